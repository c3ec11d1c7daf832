"""Emits events through event-service's `EmitService`, as an internal service would."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import msgspec
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from ulid import ULID

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2_grpc as pb_grpc
from harkara.event.v1 import event_pb2
from harkara_cli.calls import Replicas
from harkara_cli.errors import MisuseError

BATCH = 500
LEVELS = ("low", "medium", "high", "critical")
STORAGES = ("stored", "ephemeral")

_CHUNK_BYTES = 65_536
_TEXT_FIELDS = ("user_id", "event_type", "data", "source", "event_id", "collapse_key")
_FIELDS = frozenset({*_TEXT_FIELDS, "event_level", "timestamp", "ttl", "storage"})
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
# google.rpc.Code, by number.
_CODES = {3: "INVALID_ARGUMENT", 6: "ALREADY_EXISTS", 7: "PERMISSION_DENIED", 12: "UNIMPLEMENTED"}
"""After these an event is certainly not stored, and never will be."""


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Reads some, at most so many; none at the end."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of one event.

    Attributes:
        event_id: Its id; empty where it failed and had none.
        seq: Its number in its user's stream; 0 where it failed, and where it was not to be stored.
        duplicate: Whether it was stored before.
        error: Why it was not stored; None where it was.
        may_retry: Whether it may be stored when it is emitted again, with the same id.
    """

    event_id: str
    seq: int
    duplicate: bool
    error: str | None = None
    may_retry: bool = False

    def to_json(self) -> str:
        """One line."""
        fields: dict[str, Any] = {"event_id": self.event_id, "seq": self.seq, "duplicate": self.duplicate}
        return json.dumps(fields if self.error is None else {**fields, "error": self.error})


def draft(fields: dict[str, Any]) -> event_pb2.EventDraft:
    """An event from its fields as they stand in the protocol; `data` is JSON text, `ttl` in seconds.

    Raises:
        MisuseError: A field is unknown or has the wrong form.
    """
    if unknown := fields.keys() - _FIELDS:
        message = f"unknown field {min(unknown)}: there are {', '.join(sorted(_FIELDS))}"
        raise MisuseError(message)
    made = event_pb2.EventDraft()
    for name in _TEXT_FIELDS:
        value = fields.get(name)
        if value is not None:
            if not isinstance(value, str):
                message = f"{name} is not text"
                raise MisuseError(message)
            setattr(made, name, value)
    if level := _choice(fields, "event_level", LEVELS):
        made.event_level = event_pb2.EventLevel.Value(f"EVENT_LEVEL_{level}")
    if storage := _choice(fields, "storage", STORAGES):
        made.storage = event_pb2.Storage.Value(f"STORAGE_{storage}")
    if (when := fields.get("timestamp")) is not None:
        made.timestamp.CopyFrom(_timestamp(when))
    if (ttl := fields.get("ttl")) is not None:
        made.ttl.CopyFrom(_duration(ttl))
    return made


def _choice(fields: dict[str, Any], name: str, choices: Sequence[str]) -> str:
    """One of the choices, in upper case; empty where the field is left out."""
    value = fields.get(name)
    if value is not None and value not in choices:
        message = f"{name} {value} is none of {', '.join(choices)}"
        raise MisuseError(message)
    return "" if value is None else str(value).upper()


def drafts_in(file: Readable, defaults: dict[str, Any]) -> Iterator[list[event_pb2.EventDraft]]:
    """Events from JSON lines, in the batches in which they come: a slow pipe is not waited for.

    `data` is an object, of which every byte is kept, or its JSON in a string.

    Args:
        file: Its lines. A read returns what there is, and does not wait for more.
        defaults: Fields for the lines that leave them out.

    Raises:
        MisuseError: A line is no event; its number is said. Those before it have been yielded. Or the file
            cannot be read.
    """
    number = 0
    rest = b""
    while True:
        chunk = file.read(_CHUNK_BYTES)
        *lines, rest = (rest + chunk).split(b"\n") if chunk else (rest, b"")
        batch: list[event_pb2.EventDraft] = []
        for line in lines:
            number += 1
            if not line.strip():
                continue
            try:
                batch.append(draft({**defaults, **_object(line)}))
            except MisuseError as error:
                if batch:
                    yield batch
                message = f"line {number}: {error}"
                raise MisuseError(message) from error
        yield from (batch[start : start + BATCH] for start in range(0, len(batch), BATCH))
        if not chunk:
            return


def _duration(seconds: object) -> Duration:
    if isinstance(seconds, int | float) and not isinstance(seconds, bool):
        made = Duration()
        with contextlib.suppress(ValueError, OverflowError):
            made.FromTimedelta(timedelta(seconds=seconds))
            return made
    message = f"ttl {seconds!s:.40} is no number of seconds"
    raise MisuseError(message)


class Emitter:
    """Emits, and emits again with the same ids what may not have been stored.

    Args:
        replicas: Of event-service, with a service's credential.
    """

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    def one(self, event: event_pb2.EventDraft) -> Outcome:
        """Emits one event.

        Raises:
            CliError: It is not stored, or it is not known whether it is.
        """
        is_new = _mint_id(event)
        answer = self._replicas.call(
            lambda channel: pb_grpc.EmitServiceStub(channel).Emit, pb.EmitRequest(event=event)
        )
        return Outcome(answer.event_id, answer.seq, answer.duplicate and not is_new)

    def many(self, events: Sequence[event_pb2.EventDraft]) -> Iterator[Outcome]:
        """Emits up to 1,000 events; one that is at fault fails alone.

        Raises:
            CliError: The call failed.
        """
        are_new = [_mint_id(event) for event in events]
        answer = self._replicas.call(
            lambda channel: pb_grpc.EmitServiceStub(channel).EmitBatch, pb.EmitBatchRequest(events=events)
        )
        for result, is_new in zip(answer.results, are_new, strict=True):
            failed = result.HasField("error")
            error = _error_of(result) if failed else None
            may_retry = failed and result.error.code not in _CODES
            yield Outcome(result.event_id, result.seq, result.duplicate and not is_new, error, may_retry)


def _mint_id(event: event_pb2.EventDraft) -> bool:
    """Gives an event an id where it has none, so that it can be emitted again; whether it had none.

    What is stored of such an event is our own first attempt: nobody is told of a duplicate.
    """
    if event.event_id:
        return False
    event.event_id = f"evt_{ULID()}"
    return True


def _error_of(result: pb.EmitResult) -> str:
    code = _CODES.get(result.error.code, f"code {result.error.code}")
    field = f" ({result.error.field})" if result.error.field else ""
    return f"{code}: {result.error.message}{field}"


def _object(line: bytes) -> dict[str, Any]:
    """The members of a line; `data` as the JSON text it is: parsed and printed again, digits would change."""
    try:
        raw = _members(line)
        data = raw.pop("data", None)
        fields = {name: msgspec.json.decode(value) for name, value in raw.items()}
        if data is not None:
            text = bytes(data)
            fields["data"] = msgspec.json.decode(text, type=str) if text.startswith(b'"') else text.decode()
    except RecursionError as error:
        raise MisuseError("nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"not JSON: {error}"
        raise MisuseError(message) from error
    return fields


def _members(line: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _MEMBERS.decode(line)
    except msgspec.ValidationError as error:
        raise MisuseError("not a JSON object") from error


def _timestamp(text: object) -> Timestamp:
    made = Timestamp()
    try:
        made.FromJsonString(str(text))
    except ValueError as error:
        message = f"timestamp {text} is not ISO 8601"
        raise MisuseError(message) from error
    return made
