"""`Delivering` and time: what is held goes by itself, and what has expired does not go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from harkara_event_service.adapters.memory_devices import MemoryDevices
from harkara_event_service.adapters.memory_log import MemoryLog
from harkara_event_service.domain.event import NumberedEvent, announced
from harkara_event_service.domain.registry import Registry
from harkara_event_service.service import Delivering, Devices, OpenRequest
from tests.support.delivery import Opened, RecordedOutbox
from tests.support.events import MovableClock, make_event
from tests.support.waiting import wait_until_async


class Replica:
    """`Delivering` over a log in memory, with one edge and one session that wants everything."""

    def __init__(self, collapse_seconds: float) -> None:
        self.clock = MovableClock()
        self.log = MemoryLog(self._committed, clock=self.clock)
        registry = Registry(max_sessions_per_user=2, size_of_catalogue=17, collapse_seconds=collapse_seconds)
        self.delivering = Delivering(self.log, registry, self.clock, Devices(MemoryDevices(), self.clock))
        self.outbox = RecordedOutbox(3, lambda: self.delivering.has_room(self.edge))
        self.edge = self.delivering.attach("edge-1", self.outbox)

    def _committed(self, events: Sequence[NumberedEvent]) -> None:
        self.delivering.announce(map(announced, events))

    async def open(self) -> None:
        request = OpenRequest(1, 1, "user_1", ["*"], None, must_continue=False, stopped=False)
        self.delivering.open(self.edge, [request])
        await wait_until_async(lambda: bool(self.outbox.items))
        assert isinstance(self.outbox.take()[0], Opened)

    async def emit(self, *keys: str | None, lives: float | None = None) -> None:
        expires_at = None if lives is None else self.clock() + timedelta(seconds=lives)
        events = [make_event(level="low", collapse_key=key, expires_at=expires_at) for key in keys]
        await self.log.append(events, deadline=asyncio.get_running_loop().time() + 10)


async def running(replica: Replica) -> AsyncIterator[Replica]:
    task = asyncio.create_task(replica.delivering.run())
    await replica.open()
    yield replica
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await replica.delivering.close_all()


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    async for each in running(Replica(collapse_seconds=0.03)):
        yield each


@pytest.fixture
async def patient() -> AsyncIterator[Replica]:
    async for each in running(Replica(collapse_seconds=60)):
        yield each


async def test_what_is_held_goes_by_itself(replica: Replica) -> None:
    await replica.emit("a", "a", "a")
    assert replica.outbox.seqs_of(1) == [1]

    await wait_until_async(lambda: replica.outbox.seqs_of(1) == [1, 3])


async def test_again_and_again(replica: Replica) -> None:
    for newest in (2, 4, 6):

        def has_come(seq: int = newest) -> bool:
            return seq in replica.outbox.seqs_of(1)

        await replica.emit("a", "a")
        await wait_until_async(has_come)
        replica.outbox.take()


async def test_what_is_held_goes_before_what_comes_next(patient: Replica) -> None:
    await patient.emit("a", "a", "a", None)

    assert patient.outbox.seqs_of(1) == [1, 3, 4]


async def test_what_a_full_queue_refused_comes_from_the_log(patient: Replica) -> None:
    await patient.emit("a", "b", "c", "a", "b", "a")
    assert patient.outbox.seqs_of(1) == [1, 2, 3]  # Its queue is full; 5 and 6 are held.

    await patient.emit(None)
    assert patient.outbox.seqs_of(1) == [1, 2, 3]
    patient.outbox.take()

    await wait_until_async(lambda: patient.outbox.seqs_of(1) == [5, 6, 7])


async def test_a_stream_that_ends_meanwhile_takes_what_is_held_along(replica: Replica) -> None:
    await replica.emit("a", "a")
    replica.delivering.detach(replica.edge)

    replica.edge = replica.delivering.attach("edge-1", replica.outbox)
    replica.outbox.take()
    await replica.open()
    await replica.emit("a")

    assert replica.outbox.seqs_of(1) == [3]


async def test_an_expired_event_is_not_sent_live(patient: Replica) -> None:
    await patient.emit(None, lives=0)
    await patient.emit(None, lives=60)

    assert patient.outbox.seqs_of(1) == [2]


async def test_an_expired_event_is_not_sent_from_the_log(patient: Replica) -> None:
    await patient.emit(None, None, None)  # The queue is full: what follows is read.
    await patient.emit(None, lives=60)
    await patient.emit(None)
    patient.clock.ahead = timedelta(seconds=61)
    patient.outbox.take()

    await wait_until_async(lambda: patient.outbox.seqs_of(1) == [5])
