"""Both ends of `Delivering` for tests: a log that can be stopped at each step, an edge's outbox on paper."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from harkara_event_service.domain.event import Event, NumberedEvent
from harkara_event_service.ports import PAGE_BYTES, Chain, DisconnectReason, EventLog, Heads, Outcome
from tests.support.registry_desk import unpacked


class Delivered(NamedTuple):
    """An event for some sessions."""

    sessions: tuple[int, ...]
    seq: int
    text: bytes


class Opened(NamedTuple):
    """A cursor stands."""

    session: int
    generation: int
    seq: int
    recovered: bool


class Subscribed(NamedTuple):
    """A change is in force."""

    session: int
    change: int


class Advanced(NamedTuple):
    """Positions rose."""

    positions: tuple[tuple[int, int], ...]


class Disconnected(NamedTuple):
    """A connection must end."""

    session: int
    generation: int
    reason: DisconnectReason


class Drained(NamedTuple):
    """This replica stops."""


Item = Delivered | Opened | Subscribed | Advanced | Disconnected | Drained


class RecordedOutbox:
    """An `Outbox` that keeps what it is given.

    Args:
        capacity: From how many items on it is full.
        on_room: Called when one that was found full is half empty again.

    Attributes:
        items: What was queued and not taken.
    """

    def __init__(self, capacity: int = 1_000_000, on_room: Callable[[], None] = lambda: None) -> None:
        self.items: list[Item] = []
        self._capacity = capacity
        self._on_room = on_room
        self._refused = False

    def take(self, count: int = 1_000_000) -> list[Item]:
        """Take the first items, in order."""
        taken, self.items = self.items[:count], self.items[count:]
        if self._refused and len(self.items) <= self._capacity // 2:
            self._refused = False
            self._on_room()
        return taken

    def seqs_of(self, session: int) -> list[int]:
        """The events queued for a session, in order."""
        return [item.seq for item in self.items if isinstance(item, Delivered) and session in item.sessions]

    def deliver(self, sessions: bytes, seq: int, text: bytes) -> bool:
        """See `Outbox`."""
        if len(self.items) >= self._capacity:
            self._refused = True
            return False
        self.items.append(Delivered(tuple(unpacked(sessions)), seq, text))
        return True

    def catch_up(self, sessions: bytes, seq: int, text: bytes) -> bool:
        """See `Outbox`."""
        self.items.append(Delivered(tuple(unpacked(sessions)), seq, text))
        self._refused = self._refused or len(self.items) >= self._capacity
        return len(self.items) < self._capacity

    def opened(self, session: int, generation: int, epoch: str, seq: int, *, recovered: bool) -> None:
        """See `Outbox`."""
        del epoch
        self.items.append(Opened(session, generation, seq, recovered))

    def subscribed(self, session: int, change: int) -> None:
        """See `Outbox`."""
        self.items.append(Subscribed(session, change))

    def advanced(self, positions: Sequence[tuple[int, int]]) -> None:
        """See `Outbox`."""
        self.items.append(Advanced(tuple(positions)))

    def disconnect(self, session: int, generation: int, reason: DisconnectReason) -> None:
        """See `Outbox`."""
        self.items.append(Disconnected(session, generation, reason))

    def drain(self) -> None:
        """See `Outbox`."""
        self.items.append(Drained())


async def go_on(step: str) -> None:
    """Do not stop."""
    del step


class SteppedLog:
    """An `EventLog` whose reads stop before and after they happen.

    Args:
        inner: The log.

    Attributes:
        on_step: Awaited at each stop, with its name.
        page_events: The most events in a page, whatever is asked for.
        reads: Where reads of pages began.
        failing: Raised by every read while it is set.
    """

    def __init__(self, inner: EventLog) -> None:
        self.inner = inner
        self.on_step: Callable[[str], Awaitable[None]] = go_on
        self.page_events = 1_000_000
        self.reads: list[dict[str, int]] = []
        self.failing: Exception | None = None

    async def append(
        self, events: Sequence[Event], *, deadline: float, chain: Chain | None = None
    ) -> Sequence[Outcome]:
        """See `EventLog`."""
        return await self.inner.append(events, deadline=deadline, chain=chain)

    async def heads(self, user_ids: Sequence[str]) -> Heads:
        """See `EventLog`."""
        await self.on_step("before heads")
        self._fail()
        heads = await self.inner.heads(user_ids)
        await self.on_step("after heads")
        return heads

    async def read(
        self, positions: Mapping[str, int], limit: int, max_bytes: int = PAGE_BYTES
    ) -> Mapping[str, Sequence[NumberedEvent]]:
        """See `EventLog`."""
        self.reads.append(dict(positions))
        await self.on_step("before read")
        self._fail()
        pages = await self.inner.read(positions, min(limit, self.page_events), max_bytes)
        await self.on_step("after read")
        return pages

    def _fail(self) -> None:
        if self.failing is not None:
            raise self.failing
