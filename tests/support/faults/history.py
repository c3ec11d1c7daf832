"""What happened in a run under faults, record by record, as it is kept on disk: JSON, one a line.

Every process that takes part writes a file of its own; times are of the machine's one monotonic clock.
What a history means is `checker`'s work.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

Outcome = Literal["ok", "refused", "unknown"]
"""Of one call: stored; certainly not stored by it; perhaps."""


class Emitted(msgspec.Struct, tag="emitted", tag_field="is"):
    """An event is to be emitted; the first call may wait for its emitter.

    Attributes:
        at: When.
        event_id: Which; retries have the same.
        user_id: Whom it is for.
        collapse_key: Not empty where a later event of this user with the same key may take its place.
        is_streamed: Whether it goes with EmitStream, after those before it.
    """

    at: float
    event_id: str
    user_id: str
    collapse_key: str = ""
    is_streamed: bool = False


class Call(msgspec.Struct, tag="call", tag_field="is"):
    """One Emit that ended.

    Attributes:
        at: When it was sent.
        until: When it was over.
        event_id: Of which event.
        outcome: See `Outcome`.
        status: The gRPC status.
        seq: Where it is "ok".
        duplicate: Likewise.
    """

    at: float
    until: float
    event_id: str
    outcome: Outcome
    status: str
    seq: int = 0
    duplicate: bool = False


class Opened(msgspec.Struct, tag="opened", tag_field="is"):
    """A connection is authenticated and subscribed to everything.

    Attributes:
        at: When its client knew.
        client: Whose it is: one client has one connection after another.
        connection: Its number, unique in the run.
        user_id: Its user.
        epoch: As told.
        seq: As told; None where the client did not resume, so that events may lie between it and the
            subscription.
        asked: The position that the client asked to go on from.
        recovered: The answer to that, or to a device's resume.
        acked: Of a client that leaves it to the server where its device goes on: what it had acknowledged.
    """

    at: float
    client: str
    connection: int
    user_id: str
    epoch: str
    seq: int | None
    asked: tuple[str, int] | None = None
    recovered: bool | None = None
    acked: int | None = None


class Frame(msgspec.Struct, tag="frame", tag_field="is"):
    """A connection received an event.

    Attributes:
        at: When.
        connection: Which.
        user_id: As the event says.
        event_id: As the event says.
        seq: As the event says.
    """

    at: float
    connection: int
    user_id: str
    event_id: str
    seq: int


class Closed(msgspec.Struct, tag="closed", tag_field="is"):
    """A connection, or the attempt to make one, ended.

    Attributes:
        at: When.
        client: Whose.
        connection: Which.
        code: The close code; 0 where none came.
        is_last: Whether the client does not come back, as the code told it, or because it was told to stop.
    """

    at: float
    client: str
    connection: int
    code: int
    is_last: bool = False


class Stored(msgspec.Struct, tag="stored", tag_field="is"):
    """What the log holds of a user in the end.

    Attributes:
        user_id: Whose.
        events: `(seq, event_id)`, in order.
    """

    user_id: str
    events: list[tuple[int, str]]


class Note(msgspec.Struct, tag="note", tag_field="is"):
    """Something was done to the mesh.

    Attributes:
        at: When.
        what: In words.
    """

    at: float
    what: str


Record = Emitted | Call | Opened | Frame | Closed | Stored | Note

_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class HistoryWriter:
    """Writes records to a file.

    Args:
        path: A new file.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=1 << 20)
        self._encode = msgspec.json.Encoder().encode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, record: Record) -> None:
        """Add a record; it is on disk after `flush`."""
        self._file.write(self._encode(record) + b"\n")

    def note(self, what: str) -> None:
        """Add what was done to the mesh just now."""
        self.write(Note(time.monotonic(), what))

    def flush(self) -> None:
        """Let others see what was written."""
        self._file.flush()

    def close(self) -> None:
        """Flush, and let go of the file."""
        self._file.close()


def read_history(paths: Iterable[Path]) -> Iterator[Record]:
    """The records of all files, one file after another."""
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):  # The last one of a killed process may be torn.
                    yield _decoder.decode(line)
