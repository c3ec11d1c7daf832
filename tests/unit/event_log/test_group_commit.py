"""What goes into which batch, and what happens to an append that waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from prometheus_client import CollectorRegistry

from harkara_event_service.adapters.batch import Batch
from harkara_event_service.adapters.group_commit import GroupCommit, QueueLimits, lane_of
from harkara_event_service.adapters.log_metrics import LogMetrics
from harkara_event_service.domain.event import Event
from harkara_event_service.ports import Chain, Failure, Outcome, Stored
from tests.support.events import make_event, make_events
from tests.support.logs import SOON


class GatedWriter:
    """Writes nowhere, and only when it is let: each batch waits for the gate."""

    def __init__(self) -> None:
        self.batches: list[list[Event]] = []
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.connected = asyncio.Event()
        self.connected.set()
        self.fails = False
        self._next: dict[str, int] = {}

    @property
    def is_up(self) -> bool:
        return self.connected.is_set()

    async def ready(self) -> None:
        await self.connected.wait()

    async def check(self) -> None:
        pass

    async def write(self, batch: Batch) -> None:
        self.begun.set()
        await self.gate.wait()
        if self.fails:
            raise ZeroDivisionError
        indexes = batch.firsts()
        self.batches.append([batch.events[index] for index in indexes])
        seqs = {}
        for event in self.batches[-1]:
            seqs[event.event_id] = self._next[event.user_id] = self._next.get(event.user_id, 0) + 1
        batch.stored(indexes, seqs)


class Setup:
    def __init__(self, lanes: int, limits: QueueLimits) -> None:
        self.writers = [GatedWriter() for _ in range(lanes)]
        self.registry = CollectorRegistry()
        self.commit = GroupCommit(self.writers, limits, LogMetrics(self.registry))
        self.commit.start()

    @property
    def writer(self) -> GatedWriter:
        return self.writers[0]

    @property
    def queued(self) -> float:
        return self.registry.get_sample_value("harkara_event_service_log_queued_events") or 0

    def append(
        self, *events: Event, seconds: float = SOON, chain: Chain | None = None
    ) -> asyncio.Task[Sequence[Outcome]]:
        deadline = asyncio.get_running_loop().time() + seconds
        return asyncio.create_task(self.commit.append(events, (), deadline=deadline, chain=chain))

    def open(self) -> None:
        for writer in self.writers:
            writer.gate.set()


@pytest.fixture
async def one() -> AsyncIterator[Setup]:
    """One lane, batches of 10, room for 30."""
    setup = Setup(1, QueueLimits(batch_events=10, queue_events=30))
    yield setup
    await setup.commit.stop()


async def standing_at_the_gate(setup: Setup) -> asyncio.Task[Sequence[Outcome]]:
    first = setup.append(make_event("gate"))
    await setup.writer.begun.wait()
    return first


async def test_a_lone_event_waits_for_nobody(one: Setup) -> None:
    one.open()

    await one.append(make_event())

    assert [len(batch) for batch in one.writer.batches] == [1]


async def test_what_arrives_while_a_batch_is_written_goes_into_the_next(one: Setup) -> None:
    first = await standing_at_the_gate(one)
    calls = [make_events(count) for count in (1, 2, 3)]
    tasks = [one.append(*events) for events in calls]
    await asyncio.sleep(0)
    one.open()
    await asyncio.gather(first, *tasks)

    assert one.writer.batches[1:] == [[event for events in calls for event in events]]


async def test_a_batch_takes_whole_calls_up_to_its_limit(one: Setup) -> None:
    first = await standing_at_the_gate(one)
    tasks = [one.append(*make_events(count)) for count in (4, 6, 1, 10, 2)]
    await asyncio.sleep(0)
    one.open()
    await asyncio.gather(first, *tasks)

    assert [len(batch) for batch in one.writer.batches[1:]] == [10, 1, 10, 2]


async def test_a_batch_ends_at_its_bytes_but_takes_one_call_at_least() -> None:
    setup = Setup(1, QueueLimits(batch_bytes=20_000))
    first = await standing_at_the_gate(setup)
    large = '{"a":"' + "x" * 30_000 + '"}'
    tasks = [setup.append(make_event(data=large)), *(setup.append(*make_events(7)) for _ in range(3))]
    await asyncio.sleep(0)
    setup.open()
    await asyncio.gather(first, *tasks)

    assert [len(batch) for batch in setup.writer.batches[1:]] == [1, 14, 7]
    await setup.commit.stop()


async def test_past_the_queues_limit_appends_are_turned_away_at_once(one: Setup) -> None:
    first = await standing_at_the_gate(one)
    tasks = [one.append(*make_events(10)) for _ in range(3)]
    await asyncio.sleep(0)

    assert await tasks[2] == [Failure.OVERLOADED] * 10
    assert one.queued == 21
    one.open()
    await asyncio.gather(first, *tasks)
    assert one.queued == 0
    assert isinstance((await one.append(*make_events(10)))[0], Stored)


async def test_a_waiting_append_ends_at_its_deadline_and_is_not_written(one: Setup) -> None:
    first = await standing_at_the_gate(one)

    assert await one.append(*make_events(3), seconds=0.01) == [Failure.DEADLINE] * 3
    assert one.queued == 1
    one.open()
    await first
    await one.append(make_event())
    assert [len(batch) for batch in one.writer.batches] == [1, 1]


async def test_while_the_server_is_away_the_answer_is_unavailable() -> None:
    setup = Setup(1, QueueLimits())
    setup.writer.connected.clear()

    assert await setup.append(make_event(), seconds=0.01) == [Failure.UNAVAILABLE]
    await setup.commit.stop()


async def test_an_append_being_written_at_its_deadline_is_answered_and_finished(one: Setup) -> None:
    event = make_event()
    task = one.append(event, seconds=0.01)

    assert await task == [Failure.DEADLINE]
    one.open()
    await one.append(make_event())

    assert one.writer.batches[0] == [event]


async def test_a_cancelled_append_that_waits_is_not_written(one: Setup) -> None:
    first = await standing_at_the_gate(one)
    task = one.append(*make_events(5))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert one.queued == 1
    one.open()
    await first
    await one.append(make_event())
    assert [len(batch) for batch in one.writer.batches] == [1, 1]


async def test_a_cancelled_append_that_is_being_written_is_finished(one: Setup) -> None:
    first = await standing_at_the_gate(one)
    first.cancel()
    await asyncio.wait([first])
    one.open()
    await one.append(make_event())

    assert [len(batch) for batch in one.writer.batches] == [1, 1]


async def test_a_chain_that_breaks_takes_its_waiting_appends_with_it(one: Setup) -> None:
    chain = Chain()
    first = await standing_at_the_gate(one)
    late = one.append(make_event(), seconds=0.01, chain=chain)
    waiting = one.append(*make_events(2), chain=chain)
    other = one.append(make_event())
    assert await late == [Failure.DEADLINE]
    one.open()

    assert await waiting == [Failure.BROKEN_CHAIN] * 2
    assert await one.append(make_event(), chain=chain) == [Failure.BROKEN_CHAIN]
    assert isinstance((await other)[0], Stored)
    await first
    assert [len(batch) for batch in one.writer.batches] == [1, 1]
    assert one.queued == 0


async def test_an_append_turned_away_breaks_its_chain(one: Setup) -> None:
    chain = Chain()

    assert await one.append(*make_events(31), chain=chain) == [Failure.OVERLOADED] * 31
    assert await one.append(make_event(), chain=chain) == [Failure.BROKEN_CHAIN]


async def test_a_writer_that_fails_is_not_the_end_of_its_lane(
    one: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harkara_event_service.adapters.group_commit.CHECK_SECONDS", 0.01)
    one.writer.fails = True
    one.open()
    assert await one.append(make_event()) == [Failure.UNAVAILABLE]

    one.writer.fails = False
    assert isinstance((await one.append(make_event()))[0], Stored)


async def test_users_keep_their_order_over_several_lanes() -> None:
    setup = Setup(4, QueueLimits(batch_events=10))
    setup.open()
    calls = [[make_event(f"user_{(step * number) % 7}") for number in range(9)] for step in range(12)]

    outcomes = await asyncio.gather(*(setup.append(*events) for events in calls))

    numbers: dict[str, list[int]] = {}
    for events, answers in zip(calls, outcomes, strict=True):
        for event, outcome in zip(events, answers, strict=True):
            assert isinstance(outcome, Stored)
            numbers.setdefault(event.user_id, []).append(outcome.seq)
    assert all(each == list(range(1, len(each) + 1)) for each in numbers.values())
    assert sum(len(writer.batches) > 0 for writer in setup.writers) > 1
    assert setup.queued == 0
    await setup.commit.stop()


async def test_a_call_over_several_lanes_waits_for_all_of_them() -> None:
    setup = Setup(2, QueueLimits())
    users = {lane_of(f"user_{number}", 2): f"user_{number}" for number in range(20)}
    setup.writers[0].gate.set()
    task = setup.append(make_event(users[0]), make_event(users[1]))
    await setup.writers[1].begun.wait()
    assert not task.done()
    setup.open()

    assert [type(outcome) for outcome in await task] == [Stored, Stored]
    await setup.commit.stop()


async def test_at_its_deadline_a_call_tells_what_the_quicker_lane_did() -> None:
    setup = Setup(2, QueueLimits())
    users = {lane_of(f"user_{number}", 2): f"user_{number}" for number in range(20)}
    setup.writers[0].gate.set()

    outcomes = await setup.append(make_event(users[0]), make_event(users[1]), seconds=0.02)

    assert isinstance(outcomes[0], Stored)
    assert outcomes[1] is Failure.DEADLINE
    await setup.commit.stop()


async def test_stopping_answers_everybody() -> None:
    setup = Setup(1, QueueLimits())
    first = await standing_at_the_gate(setup)
    waiting = setup.append(*make_events(2))
    await asyncio.sleep(0)

    await setup.commit.stop()

    assert await first == [Failure.UNAVAILABLE]
    assert await waiting == [Failure.UNAVAILABLE] * 2
    assert await setup.append(make_event()) == [Failure.UNAVAILABLE]
