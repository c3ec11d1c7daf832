"""The event log in memory: what `ports.EventLog` promises, for tests and for nothing that must last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from harkara_event_service.domain.event import Event, NumberedEvent
from harkara_event_service.ports import (
    PAGE_BYTES,
    Chain,
    Committed,
    Failure,
    Head,
    Heads,
    LogUnavailableError,
    Outcome,
    Refusal,
    Stored,
)
from harkara_schema.partitions import event_id_floor, to_ms

_LATE_IDS = timedelta(days=7)


class MemoryLog:
    """An `EventLog` in memory.

    Args:
        committed: see `EventLog.append`.
        clock: the time now, UTC.
        epoch: what `heads` tells.

    Attributes:
        epoch: may be changed.
        is_available: while False, appends answer UNAVAILABLE at once and reads raise.
    """

    def __init__(self, committed: Committed, *, clock: Callable[[], datetime], epoch: str = "memory") -> None:
        self._committed = committed
        self._clock = clock
        self.epoch = epoch
        self._streams: dict[str, list[NumberedEvent]] = {}
        self._floors: dict[str, int] = {}
        self._by_id: dict[str, NumberedEvent] = {}
        self.is_available = True

    async def append(
        self, events: Sequence[Event], *, deadline: float, chain: Chain | None = None
    ) -> Sequence[Outcome]:
        """See `EventLog.append`."""
        # As with a real log, what others do at this moment comes first, and a cancel finds nothing begun.
        await asyncio.sleep(0)
        failure = self._failure(deadline, chain)
        if failure is not None:
            if chain is not None:
                chain.broken = True
            return [failure] * len(events)
        stored_before = set(self._by_id)
        announced: list[NumberedEvent] = []
        outcomes = [self._append(event, stored_before, announced) for event in events]
        if announced:
            self._committed(announced)
        return outcomes

    def _failure(self, deadline: float, chain: Chain | None) -> Failure | None:
        if chain is not None and chain.broken:
            return Failure.BROKEN_CHAIN
        if asyncio.get_running_loop().time() >= deadline:
            return Failure.DEADLINE
        return None if self.is_available else Failure.UNAVAILABLE

    def _append(self, event: Event, stored_before: set[str], announced: list[NumberedEvent]) -> Outcome:
        there = self._by_id.get(event.event_id)
        if there is not None:
            if not event.is_same_content(there.event):
                return Refusal.CONFLICT
            is_duplicate = event.event_id in stored_before
            if is_duplicate:
                announced.append(there)
            return Stored(there.seq, there.event.accept_time, is_duplicate)
        if event.event_id < event_id_floor(to_ms(self._clock() - _LATE_IDS)):
            return Refusal.TOO_OLD
        if not _is_storable(event.data):
            return Refusal.UNSTORABLE
        stream = self._streams.setdefault(event.user_id, [])
        numbered = NumberedEvent(
            event, stream[-1].seq + 1 if stream else self._floors.get(event.user_id, 0) + 1
        )
        stream.append(numbered)
        self._by_id[event.event_id] = numbered
        announced.append(numbered)
        return Stored(numbered.seq, event.accept_time, duplicate=False)

    async def heads(self, user_ids: Sequence[str]) -> Heads:
        """See `EventLog.heads`."""
        await asyncio.sleep(0)
        self._check_available()
        return Heads(self.epoch, {user_id: self._head(user_id) for user_id in user_ids})

    def _head(self, user_id: str) -> Head:
        stream = self._streams.get(user_id)
        floor = self._floors.get(user_id, 0)
        return Head(stream[-1].seq if stream else floor, floor)

    async def read(
        self, positions: Mapping[str, int], limit: int, max_bytes: int = PAGE_BYTES
    ) -> Mapping[str, Sequence[NumberedEvent]]:
        """See `EventLog.read`."""
        await asyncio.sleep(0)
        self._check_available()
        return {
            user_id: self._page(user_id, position, limit, max_bytes)
            for user_id, position in positions.items()
        }

    def _page(self, user_id: str, position: int, limit: int, max_bytes: int) -> list[NumberedEvent]:
        page: list[NumberedEvent] = []
        size = 0
        for numbered in self._streams.get(user_id, ()):
            if numbered.seq > position and len(page) < limit and size < max_bytes:
                page.append(numbered)
                size += len(numbered.event.data.encode())
        return page

    def raise_floor(self, user_id: str, floor_seq: int) -> None:
        """Do what retention does: the user's events up to `floor_seq` are gone."""
        stream = self._streams.get(user_id, [])
        for numbered in stream:
            if numbered.seq <= floor_seq:
                del self._by_id[numbered.event.event_id]
        stream[:] = [numbered for numbered in stream if numbered.seq > floor_seq]
        self._floors[user_id] = floor_seq

    def _check_available(self) -> None:
        if not self.is_available:
            raise LogUnavailableError("the log was told to be away")


def _is_storable(data: str) -> bool:
    """Whether Postgres could store it: no NUL, no lone surrogate."""
    return "\0" not in data and not any("\ud800" <= char <= "\udfff" for char in data)
