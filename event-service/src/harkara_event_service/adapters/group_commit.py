"""Group commit: whatever arrives while one batch is being written goes into the next.

A lone event waits for nothing; a flood costs one flush to disk for a thousand events. Each lane has
one batch under way, and a user's events always go through the same lane, so they keep their order.

What does not belong here: how a batch is written (`batch_writer`).
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from sys import getsizeof
from typing import Protocol

import structlog

from harkara_event_service.adapters.batch import Batch, Call, Share
from harkara_event_service.adapters.log_metrics import LogMetrics
from harkara_event_service.domain.event import Event
from harkara_event_service.ports import Chain, Failure, Outcome

_log = structlog.get_logger()

CHECK_SECONDS = 1.0
"""How long a lane lies idle before it asks its server for a sign of life."""

_EVENT_BYTES = 1000
"""What an event takes in memory besides its `data`, about: its fields, outcome and place in a batch."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much may be under way.

    Args:
        batch_events: the most events written at once; a larger share goes alone.
        batch_bytes: their memory likewise.
        queue_events: the most events waiting or being written; past it appends are OVERLOADED.
        queue_bytes: their memory likewise.
    """

    batch_events: int = 500
    batch_bytes: int = 8 << 20
    queue_events: int = 20_000
    queue_bytes: int = 64 << 20


class Writer(Protocol):
    """What a lane writes with."""

    @property
    def is_up(self) -> bool:
        """Whether it could write now, as far as is known."""
        ...

    async def ready(self) -> None:
        """Wait until it can write."""
        ...

    async def check(self) -> None:
        """Look whether it still can."""
        ...

    async def write(self, batch: Batch) -> None:
        """Write; see `BatchWriter.write`."""
        ...


def lane_of(user_id: str, lanes: int) -> int:
    """Which lane a user's events go through, 0 to `lanes` - 1; the same in every process."""
    return zlib.crc32(user_id.encode()) % lanes


class GroupCommit:
    """Collects appends into batches.

    Args:
        writers: one for each lane.
        limits: see `QueueLimits`.
        metrics: where it counts.
    """

    def __init__(self, writers: Sequence[Writer], limits: QueueLimits, metrics: LogMetrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._events = 0
        self._bytes = 0
        self._is_closed = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._calls: set[Call] = set()
        self._lanes = [_Lane(writer, limits, self._left) for writer in writers]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to write."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(lane.run()) for lane in self._lanes]

    async def append(
        self,
        events: Sequence[Event],
        lookups: Collection[int],
        *,
        deadline: float,
        chain: Chain | None,
    ) -> Sequence[Outcome]:
        """Store events; see `EventLog.append`.

        Args:
            events: as there.
            lookups: which of them (by index) may only be found, never stored.
            deadline: as there.
            chain: as there.
        """
        loop = asyncio.get_running_loop()
        sizes = [getsizeof(event.data) + _EVENT_BYTES for event in events]
        size = sum(sizes)
        failure = self._refusal(len(events), size, loop.time() >= deadline, chain)
        if failure is not None:
            if chain is not None:
                chain.broken = True
            return [failure] * len(events)
        call = Call(len(events), deadline, chain, loop.create_future())
        self._enter(len(events), size)
        if len(self._lanes) == 1:
            self._lanes[0].put(call.add(range(len(events)), events, lookups, size))
        else:
            self._spread(call, events, lookups, sizes)
        timer = loop.call_at(deadline, self._out_of_time, call)
        self._calls.add(call)
        try:
            await call.answered
        except asyncio.CancelledError:
            call.abandon()
            self._withdraw(call)
            raise
        finally:
            timer.cancel()
            self._calls.discard(call)
        return call.outcomes

    def _refusal(self, events: int, size: int, is_late: bool, chain: Chain | None) -> Failure | None:
        if chain is not None and chain.broken:
            return Failure.BROKEN_CHAIN
        if self._is_closed:
            return Failure.UNAVAILABLE
        if is_late:
            return Failure.DEADLINE
        if self._events + events > self._limits.queue_events or self._bytes + size > self._limits.queue_bytes:
            self._metrics.turned_away.inc(events)
            return Failure.OVERLOADED
        return None

    def _spread(
        self, call: Call, events: Sequence[Event], lookups: Collection[int], sizes: Sequence[int]
    ) -> None:
        by_lane: dict[int, list[int]] = {}
        for position, event in enumerate(events):
            by_lane.setdefault(lane_of(event.user_id, len(self._lanes)), []).append(position)
        shares = [
            (
                self._lanes[lane],
                call.add(
                    positions,
                    [events[position] for position in positions],
                    {index for index, position in enumerate(positions) if position in lookups},
                    sum([sizes[position] for position in positions]),
                ),
            )
            for lane, positions in by_lane.items()
        ]
        for lane_to_use, share in shares:
            lane_to_use.put(share)

    def _out_of_time(self, call: Call) -> None:
        """The deadline came: answer, and take what was not begun out of the queues."""
        if call.is_over:
            return
        waits_for_server = all(
            share.is_done or (not share.is_being_written and not lane.is_up)
            for share, lane in ((share, self._lane_of(share)) for share in call.shares)
        )
        call.give_up(Failure.UNAVAILABLE if waits_for_server else Failure.DEADLINE)
        self._withdraw(call)

    def _lane_of(self, share: Share) -> _Lane:
        return self._lanes[lane_of(share.events[0].user_id, len(self._lanes))]

    def _withdraw(self, call: Call) -> None:
        for share in call.shares:
            if not share.is_done and not share.is_being_written:
                self._lane_of(share).remove(share)
                share.is_done = True
                self._left(share)

    def _enter(self, events: int, size: int) -> None:
        self._events += events
        self._bytes += size
        self._empty.clear()
        self._metrics.queued_events.set(self._events)
        self._metrics.queued_bytes.set(self._bytes)

    def _left(self, share: Share) -> None:
        self._events -= len(share.events)
        self._bytes -= share.size
        if not self._events:
            self._empty.set()
        self._metrics.queued_events.set(self._events)
        self._metrics.queued_bytes.set(self._bytes)

    async def drain(self, seconds: float) -> None:
        """Take no more, and write what is there while there is time."""
        self._is_closed = True
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            _log.warning("log_not_drained", events=self._events)

    async def stop(self) -> None:
        """End the lanes; what is not answered yet is UNAVAILABLE."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for call in list(self._calls):
            call.give_up(Failure.UNAVAILABLE)


class _Lane:
    """One queue and its writer."""

    def __init__(self, writer: Writer, limits: QueueLimits, left: Callable[[Share], None]) -> None:
        self._writer = writer
        self._limits = limits
        self._left = left
        self._queue: deque[Share] = deque()
        self._filled = asyncio.Event()

    @property
    def is_up(self) -> bool:
        return self._writer.is_up

    def put(self, share: Share) -> None:
        self._queue.append(share)
        self._filled.set()

    def remove(self, share: Share) -> None:
        # Appends run out of time in about the order in which they came: it is near the front.
        self._queue.remove(share)

    async def run(self) -> None:
        while True:
            try:
                await self._step()
            except Exception:  # noqa: BLE001 - whatever it is.
                # What comes after it must be written.
                _log.exception("log_lane_failed")
                await asyncio.sleep(CHECK_SECONDS)

    async def _step(self) -> None:
        await self._writer.ready()
        if not self._filled.is_set() and not await self._fills_within(CHECK_SECONDS):
            await self._writer.check()
            return
        batch = self._take()
        if batch is None:
            self._filled.clear()
            return
        try:
            await self._writer.write(batch)
        finally:
            batch.finish()
            for share in batch.shares:
                self._left(share)

    async def _fills_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._filled.wait()
        except TimeoutError:
            return False
        return True

    def _take(self) -> Batch | None:
        shares: list[Share] = []
        events = size = 0
        while self._queue:
            share = self._queue[0]
            events += len(share.events)
            size += share.size
            if shares and (events > self._limits.batch_events or size > self._limits.batch_bytes):
                break
            self._queue.popleft()
            if share.call.chain is not None and share.call.chain.broken:
                share.finish(Failure.BROKEN_CHAIN)
                self._left(share)
            else:
                shares.append(share)
        return Batch(shares) if shares else None
