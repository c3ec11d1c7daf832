"""Events on their way to one EmitStream: their order, their batches, their answers. No I/O, no clock.

    waiting ──room──▶ unsent ──batch──▶ under way ──answer──▶ out
                         ▲                  │
                         └──── broken ──────┘

The contract of EmitStream (harkara/event/v1/emit_service.proto): results come in the order of the events, and
a stream that ends has stored nothing for a user beyond the first event of theirs without a result. So what is
under way goes back to the front of the line when a stream breaks, and goes out again in the same order, with
the same ids: no event is stored twice, and none overtakes one of the same user.

An event whose caller has given up (its future is done) is not sent again, and keeps its place only for as
long as its answer may still come. A caller who gave up knows that it may be stored.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import event_pb2
from harkara_client.errors import EmitError, RefusedError
from harkara_client.event_draft import Emitted

MAX_BATCH_EVENTS: Final = 1_000
"""As the contract has it."""

MAX_BATCH_BYTES: Final = 1024 * 1024
"""Of one request; the contract allows 4 MiB."""

MAX_REQUESTS_UNDER_WAY: Final = 8
"""What comes while so many are unanswered goes together in the next one: batches grow with the load."""

REFUSALS: Final = {3: "INVALID_ARGUMENT", 6: "ALREADY_EXISTS", 7: "PERMISSION_DENIED", 12: "UNIMPLEMENTED",
                   16: "UNAUTHENTICATED"}  # fmt: skip
"""After these an event is certainly not stored; by google.rpc.Code number. All others may be retried."""


class StreamBrokenError(Exception):
    """The stream's answers cannot be used: open another one."""


@dataclass(eq=False, slots=True)
class Item:
    """One event and whoever waits for its answer.

    Attributes:
        draft: The event, with an id.
        future: Where the answer goes; done where nobody waits any more.
        size: Of the message, in bytes.
        sends: On how many streams it was sent.
        ends_request: Whether it was the last one of its request.
    """

    draft: event_pb2.EventDraft
    future: asyncio.Future[Emitted]
    size: int = field(init=False)
    sends: int = 0
    ends_request: bool = False

    def __post_init__(self) -> None:
        self.size = self.draft.ByteSize()


class EmitQueue:
    """See the module.

    Args:
        max_events: How many events are taken in at most; what is more waits outside.
        max_bytes: Likewise in bytes; a single event is always taken.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._waiting: deque[Item] = deque()
        self._unsent: deque[Item] = deque()
        self._under_way: deque[Item] = deque()
        self._events = 0
        self._bytes = 0
        self._requests = 0

    def __len__(self) -> int:
        """How many events have not left, those outside included."""
        return len(self._waiting) + self._events

    @property
    def has_under_way(self) -> bool:
        """Whether an answer is to come."""
        return bool(self._under_way)

    @property
    def taken_in(self) -> int:
        """How many events are inside."""
        return self._events

    def add(self, item: Item) -> None:
        """Put an event behind all others."""
        self._waiting.append(item)
        self._take_in()

    def next_batch(self) -> Sequence[event_pb2.EventDraft]:
        """What the next request holds: all that is ready; nothing where enough is under way."""
        batch: list[event_pb2.EventDraft] = []
        size = 0
        if self._requests >= MAX_REQUESTS_UNDER_WAY:
            return batch
        while self._unsent and len(batch) < MAX_BATCH_EVENTS:
            item = self._unsent[0]
            if item.future.done():
                self._let_out(self._unsent.popleft())
                self._take_in()
                continue
            if batch and size + item.size > MAX_BATCH_BYTES:
                break
            self._under_way.append(self._unsent.popleft())
            item.sends += 1
            item.ends_request = False
            batch.append(item.draft)
            size += item.size
        if batch:
            self._under_way[-1].ends_request = True
            self._requests += 1
        return batch

    def answered(self, results: Sequence[pb.EmitResult]) -> None:
        """Give the next events their results.

        Raises:
            StreamBrokenError: A result belongs to no event, or says that the event may be sent again.
        """
        for result in results:
            if not self._under_way:
                raise StreamBrokenError("an answer to nothing")
            item = self._under_way[0]
            if result.event_id not in {item.draft.event_id, ""}:
                raise StreamBrokenError("an answer out of order")
            failed = result.HasField("error")
            if failed and result.error.code not in REFUSALS:
                raise StreamBrokenError(result.error.message)
            self._under_way.popleft()
            self._requests -= item.ends_request
            self._let_out(item)
            if item.future.done():
                continue
            if failed:
                item.future.set_exception(
                    RefusedError(
                        REFUSALS[result.error.code],
                        result.error.message,
                        event_id=item.draft.event_id,
                        field=result.error.field,
                        may_be_stored=item.sends > 1,
                    )
                )
            else:
                item.future.set_result(Emitted(item.draft.event_id, result.seq, result.duplicate))
        self._take_in()

    def broken(self) -> bool:
        """The stream is gone: what it did not answer is to be sent again.

        Returns:
            Whether anybody still waits for anything.
        """
        self._unsent.extendleft(reversed(self._under_way))
        self._under_way.clear()
        self._requests = 0
        kept = deque(item for item in self._unsent if not item.future.done())
        for item in self._unsent:
            if item.future.done():
                self._let_out(item)
        self._unsent = kept
        self._take_in()
        return bool(self._unsent)

    def refused(self) -> None:
        """The stream was refused as a whole: it has stored nothing of what it did not answer."""
        for item in self._under_way:
            item.sends -= 1

    def fail_all(self, error_of: Callable[[Item], EmitError]) -> None:
        """Give every event this error; nothing is left."""
        everything = list(self._all())
        for line in (self._waiting, self._unsent, self._under_way):
            line.clear()
        self._events = self._bytes = self._requests = 0
        for item in everything:
            if not item.future.done():
                item.future.set_exception(error_of(item))

    def _all(self) -> Iterator[Item]:
        yield from self._under_way
        yield from self._unsent
        yield from self._waiting

    def _take_in(self) -> None:
        """Let in what there is room for, in order."""
        while self._waiting:
            item = self._waiting[0]
            if item.future.done():
                self._waiting.popleft()
                continue
            if self._events and (
                self._events >= self._max_events or self._bytes + item.size > self._max_bytes
            ):
                return
            self._waiting.popleft()
            self._unsent.append(item)
            self._events += 1
            self._bytes += item.size

    def _let_out(self, item: Item) -> None:
        self._events -= 1
        self._bytes -= item.size
