"""A log that answers when it is told, and a loop in which nothing takes time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from harkara_event_service.domain.event import Event, NumberedEvent
from harkara_event_service.ports import PAGE_BYTES, Chain, Head, Heads, Outcome
from tests.support.events import make_event

EPOCH = "first-life"
LARGE = "order_created"
SMALL = "eta_updated"
_EVENTS: Mapping[str, Event] = {
    LARGE: make_event(event_type=LARGE, data='{"x":"' + "x" * 50_000 + '"}'),
    SMALL: make_event(event_type=SMALL),
}


class LoopWithoutWaiting(asyncio.SelectorEventLoop):
    """Sleeps take no time: its clock jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__(_Selector(self))
        self.now = 0.0

    def time(self) -> float:
        """What the loop takes for the time."""
        return self.now


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: LoopWithoutWaiting) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now += timeout or 0
        return super().select(0)


@dataclass(eq=False)
class Asked:
    """A read that waits for its answer, and what the log held when it was asked."""

    about: Any
    then: Callable[[], Any]
    answer: asyncio.Future[Any]


class ToldLog:
    """An `EventLog` whose reads are answered when told, with what there was then or is now."""

    def __init__(self) -> None:
        self.streams: dict[str, list[NumberedEvent]] = {}
        self.floors: dict[str, int] = {}
        self.heads_asked: list[Asked] = []
        self.reads_asked: list[Asked] = []

    def last(self, user_id: str) -> int:
        """The user's last seq."""
        return len(self.streams.get(user_id, ()))

    def commit(
        self, user_id: str, event_type: str, key: str | None = None, expires_at: datetime | None = None
    ) -> NumberedEvent:
        """Store an event."""
        stream = self.streams.setdefault(user_id, [])
        event = msgspec.structs.replace(
            _EVENTS[event_type], user_id=user_id, collapse_key=key, expires_at=expires_at
        )
        stream.append(NumberedEvent(event, len(stream) + 1))
        return stream[-1]

    def heads_of(self, user_ids: Sequence[str]) -> Heads:
        """Heads as of now."""
        return Heads(EPOCH, {user: Head(self.last(user), self.floors.get(user, 0)) for user in user_ids})

    def pages_of(self, positions: Mapping[str, int], limit: int) -> dict[str, list[NumberedEvent]]:
        """Pages as of now."""
        return {
            user: self.streams.get(user, [])[max(position, self.floors.get(user, 0)) :][:limit]
            for user, position in positions.items()
        }

    async def append(
        self, events: Sequence[Event], *, deadline: float, chain: Chain | None = None
    ) -> Sequence[Outcome]:
        """Not used: `commit` stores."""
        raise NotImplementedError

    async def heads(self, user_ids: Sequence[str]) -> Heads:
        """See `EventLog`."""
        then = self.heads_of(user_ids)
        asked = Asked(user_ids, lambda: then, asyncio.get_running_loop().create_future())
        self.heads_asked.append(asked)
        answer: Heads = await asked.answer
        return answer

    async def read(
        self, positions: Mapping[str, int], limit: int, max_bytes: int = PAGE_BYTES
    ) -> Mapping[str, Sequence[NumberedEvent]]:
        """See `EventLog`; the model tells how long a page is."""
        del max_bytes
        then = self.pages_of(positions, limit)
        asked = Asked(dict(positions), lambda: then, asyncio.get_running_loop().create_future())
        self.reads_asked.append(asked)
        answer: Mapping[str, Sequence[NumberedEvent]] = await asked.answer
        return answer
