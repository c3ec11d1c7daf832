"""`Delivering` with a log in memory: what comes to an edge, and what happens when the log is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from harkara_event_service.adapters.memory_devices import MemoryDevices
from harkara_event_service.adapters.memory_log import MemoryLog
from harkara_event_service.domain.cursor import Attachment, ResumePoint
from harkara_event_service.domain.event import NumberedEvent, announced
from harkara_event_service.domain.registry import Registry
from harkara_event_service.ports import DisconnectReason, LogUnavailableError
from harkara_event_service.service import READ_EVENTS, READ_USERS, Delivering, Devices, OpenRequest
from harkara_event_service.service import delivering as delivering_module
from tests.support.delivery import (
    Advanced,
    Disconnected,
    Drained,
    Opened,
    RecordedOutbox,
    SteppedLog,
    Subscribed,
)
from tests.support.events import make_event
from tests.support.waiting import wait_until_async

USER = "user_1"


class Replica:
    """`Delivering` over a log in memory, with one edge attached."""

    def __init__(self, capacity: int = 1_000_000) -> None:
        self.memory = MemoryLog(self._committed, clock=lambda: datetime.now(UTC))
        self.log = SteppedLog(self.memory)
        self.registry = Registry(max_sessions_per_user=2, size_of_catalogue=17)
        self.delivering = Delivering(
            self.log,
            self.registry,
            lambda: datetime.now(UTC),
            Devices(MemoryDevices(), lambda: datetime.now(UTC)),
        )
        self.outbox = RecordedOutbox(capacity, lambda: self.delivering.has_room(self.edge))
        self.edge: Attachment = self.delivering.attach("edge-1", self.outbox)

    def _committed(self, events: Sequence[NumberedEvent]) -> None:
        self.delivering.announce(map(announced, events))

    async def emit(self, count: int = 1, event_type: str = "order_created", user_id: str = USER) -> None:
        deadline = asyncio.get_running_loop().time() + 10
        for start in range(0, count, 500):
            events = [
                make_event(user_id, event_type=event_type) for _ in range(start, min(start + 500, count))
            ]
            await self.log.append(events, deadline=deadline)

    def open(
        self,
        session: int = 1,
        generation: int = 1,
        after: int | None = None,
        *,
        types: Sequence[str] = ("*",),
        continues: bool = False,
        user_id: str = USER,
        epoch: str = "memory",
    ) -> None:
        wanted = None if after is None else ResumePoint(epoch, after)
        self.delivering.open(
            self.edge, [OpenRequest(session, generation, user_id, types, wanted, continues, stopped=False)]
        )


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    replica = Replica()
    running = asyncio.create_task(replica.delivering.run())
    yield replica
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await replica.delivering.close_all()


async def item(outbox: RecordedOutbox, kind: type) -> object:
    """The first queued item of a kind; waits for it."""
    await wait_until_async(lambda: any(isinstance(each, kind) for each in outbox.items))
    return next(each for each in outbox.items if isinstance(each, kind))


async def test_a_new_session_is_told_where_it_starts_and_gets_what_follows(replica: Replica) -> None:
    await replica.emit(3)
    replica.open()

    assert await item(replica.outbox, Opened) == Opened(1, 1, 3, recovered=False)
    await replica.emit(2)
    assert replica.outbox.seqs_of(1) == [4, 5]


async def test_catching_up_reads_page_after_page_without_being_asked(replica: Replica) -> None:
    """Only the first page was read until an announcement or a Written came by chance."""
    await replica.emit(5 * READ_EVENTS, "eta_updated")
    await replica.emit(1, "order_created")
    replica.open(after=0, types=["order_created"])

    await wait_until_async(lambda: replica.outbox.seqs_of(1) == [5 * READ_EVENTS + 1])


async def test_a_live_event_and_one_read_from_the_log_are_the_same_bytes(replica: Replica) -> None:
    replica.open(1)
    await item(replica.outbox, Opened)
    await replica.emit(1)
    (live,) = [each for each in replica.outbox.take() if hasattr(each, "text")]

    replica.open(2, after=0)
    await wait_until_async(lambda: replica.outbox.seqs_of(2) == [1])

    read = replica.outbox.items[-1]
    assert (live.text, live.seq) == (read.text, read.seq)  # type: ignore[union-attr]


async def test_many_users_catch_up_some_at_a_time(replica: Replica) -> None:
    users = [f"user_{number}" for number in range(3 * READ_USERS)]
    for user_id in users:
        await replica.emit(2, user_id=user_id)
    for number, user_id in enumerate(users, 1):
        replica.open(number, after=0, user_id=user_id)

    await wait_until_async(lambda: all(replica.outbox.seqs_of(n) == [1, 2] for n in range(1, len(users) + 1)))

    assert max(map(len, replica.log.reads)) <= READ_USERS


async def test_a_read_that_fails_is_tried_again(replica: Replica) -> None:
    await replica.emit(3)
    fails = iter([LogUnavailableError("away"), RuntimeError("a fault of ours"), None])

    async def fail_twice(step: str) -> None:
        if step == "before read":
            replica.log.failing = next(fails)

    replica.log.on_step = fail_twice
    replica.open(after=0)

    await wait_until_async(lambda: replica.outbox.seqs_of(1) == [1, 2, 3])


@pytest.mark.parametrize("failure", [LogUnavailableError("away"), RuntimeError("a fault of ours")])
async def test_a_new_session_is_sent_away_while_the_log_cannot_say_where_it_starts(
    replica: Replica, failure: Exception
) -> None:
    replica.log.failing = failure
    replica.open()

    expected = Disconnected(1, 1, DisconnectReason.UNAVAILABLE)
    assert await item(replica.outbox, Disconnected) == expected
    assert replica.registry.session_count == 0


@pytest.mark.parametrize("failure", [LogUnavailableError("away"), RuntimeError("a fault of ours")])
async def test_a_session_that_was_there_before_waits_for_the_log(
    replica: Replica, failure: Exception
) -> None:
    await replica.emit(3)
    asked = asyncio.Event()

    async def note(step: str) -> None:
        del step
        asked.set()

    replica.log.on_step = note
    replica.log.failing = failure
    replica.open(after=1, continues=True)
    await asked.wait()
    assert replica.outbox.items == []

    replica.log.failing = None

    assert await item(replica.outbox, Opened) == Opened(1, 1, 1, recovered=True)
    await wait_until_async(lambda: replica.outbox.seqs_of(1) == [2, 3])


async def test_a_session_that_cannot_go_on_ends_with_resume_lost(replica: Replica) -> None:
    await replica.emit(3)
    replica.open(after=1, continues=True, epoch="another")

    expected = Disconnected(1, 1, DisconnectReason.RESUME_LOST)
    assert await item(replica.outbox, Disconnected) == expected
    assert replica.registry.session_count == 0


async def test_a_session_overtaken_by_retention_while_it_catches_up_ends_with_resume_lost(
    replica: Replica,
) -> None:
    await replica.emit(50)

    async def retain(step: str) -> None:
        if step == "before read":
            replica.memory.raise_floor(USER, 40)

    replica.log.on_step = retain
    replica.open(after=10)

    expected = Disconnected(1, 1, DisconnectReason.RESUME_LOST)
    assert await item(replica.outbox, Disconnected) == expected
    assert replica.outbox.seqs_of(1) == []


async def test_one_connection_too_many_is_refused(replica: Replica) -> None:
    replica.open(1)
    replica.open(2)
    replica.open(3)

    expected = Disconnected(3, 1, DisconnectReason.TOO_MANY_CONNECTIONS)
    assert await item(replica.outbox, Disconnected) == expected


async def test_an_open_overtaken_by_a_later_one_is_not_answered(replica: Replica) -> None:
    replica.open(1, 1)
    replica.open(1, 2)

    await wait_until_async(lambda: bool(replica.outbox.items))
    await replica.emit()

    assert [each for each in replica.outbox.items if isinstance(each, Opened)] == [
        Opened(1, 2, 0, recovered=False)
    ]


async def test_an_open_repeated_by_a_faulty_edge_does_no_harm(replica: Replica) -> None:
    replica.open(1, 1)
    replica.open(1, 1)
    await item(replica.outbox, Opened)
    await replica.emit(2)

    assert replica.outbox.seqs_of(1) == [1, 2]
    replica.delivering.close(replica.edge, 1)
    assert list(replica.registry.users()) == []


async def test_a_session_closed_while_heads_are_read_is_not_answered(replica: Replica) -> None:
    replica.open(1)
    replica.delivering.close(replica.edge, 1)
    replica.open(2)

    await item(replica.outbox, Opened)

    assert replica.outbox.items == [Opened(2, 1, 0, recovered=False)]


async def test_changes_are_confirmed_where_they_take_effect(replica: Replica) -> None:
    replica.open(1, types=[])
    replica.delivering.subscribe(replica.edge, 1, ["order_created"], 7)
    await item(replica.outbox, Subscribed)
    await replica.emit()
    replica.delivering.unsubscribe(replica.edge, 1, ["order_created"], 8)
    await replica.emit()

    kinds = [type(each).__name__ for each in replica.outbox.items]
    assert kinds == ["Opened", "Subscribed", "Delivered", "Subscribed"]


async def test_commands_for_unknown_sessions_are_ignored(replica: Replica) -> None:
    delivering, edge = replica.delivering, replica.edge

    delivering.subscribe(edge, 9, ["*"], 1)
    delivering.unsubscribe(edge, 9, ["*"], 2)
    delivering.written(edge, 9, 5)
    delivering.close(edge, 9)

    assert replica.outbox.items == []


async def test_a_catch_up_stops_where_the_edges_queue_is_full_and_goes_on_when_it_drains() -> None:
    """Each session had 128 KiB of its own: ten thousand of them had 1.2 GB."""
    replica = Replica(capacity=100)
    running = asyncio.create_task(replica.delivering.run())
    await replica.emit(5 * READ_EVENTS)
    replica.open(after=0)
    await wait_until_async(lambda: len(replica.outbox.items) > READ_EVENTS)
    await replica.emit()

    assert len(replica.log.reads) == 1
    got: list[int] = []
    while len(got) <= 5 * READ_EVENTS:
        await wait_until_async(lambda: bool(replica.outbox.items))
        got += replica.outbox.seqs_of(1)
        replica.outbox.take()
    assert got == list(range(1, 5 * READ_EVENTS + 2))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_positions_that_rose_unseen_are_told(replica: Replica) -> None:
    replica.open(1, types=["eta_updated"])
    await item(replica.outbox, Opened)
    await replica.emit(3)

    replica.delivering.tell_advanced()

    assert replica.outbox.items[-1] == Advanced(((1, 3),))


async def test_positions_that_rose_unseen_are_told_without_being_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivering_module, "ADVANCED_SECONDS", 0.01)
    replica = Replica()
    running = asyncio.create_task(replica.delivering.run())
    replica.open(1, types=["eta_updated"])
    await item(replica.outbox, Opened)

    await replica.emit(3)

    assert await item(replica.outbox, Advanced) == Advanced(((1, 3),))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_drain_is_told_to_every_edge(replica: Replica) -> None:
    other = RecordedOutbox()
    replica.delivering.attach("edge-2", other)

    replica.delivering.drain()

    assert replica.outbox.items == other.items == [Drained()]


async def test_counts_are_of_now(replica: Replica) -> None:
    replica.open(1, types=["*"])
    replica.open(2, types=["order_created"])
    replica.open(3, types=["order_created", "eta_updated"], user_id="user_2")
    await wait_until_async(lambda: len(replica.outbox.items) == 3)

    stats = replica.delivering.stats()

    assert (stats.connections, sorted(stats.users)) == (3, [USER, "user_2"])
    assert (stats.queued_events, stats.active_subscriptions) == (0, 17 + 1 + 2)


async def test_nothing_is_kept_of_an_edge_that_left(replica: Replica) -> None:
    await replica.emit(300)
    replica.open(1, after=0)
    replica.open(2)
    replica.delivering.detach(replica.edge)

    await replica.emit()
    await wait_until_async(lambda: not replica.delivering._tasks)

    assert replica.registry.session_count == 0
    assert not replica.delivering._outboxes
    assert not replica.registry._streams
    replica.edge = replica.delivering.attach("edge-1", replica.outbox)


# A new life of the log.


async def test_a_new_life_is_noticed_while_nobody_opens_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering_module, "EPOCH_SECONDS", 0.01)
    replica = Replica()
    running = asyncio.create_task(replica.delivering.run())
    replica.open()
    await item(replica.outbox, Opened)

    replica.memory.epoch = "second"

    assert await item(replica.outbox, Disconnected) == Disconnected(1, 1, DisconnectReason.RESUME_LOST)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_heads_of_the_former_life_that_come_late_are_read_again(replica: Replica) -> None:
    replica.open(1)
    await item(replica.outbox, Opened)
    replica.outbox.take()
    was_read, arrives = asyncio.Event(), asyncio.Event()

    async def hold_the_first(step: str) -> None:
        if step == "after heads" and not was_read.is_set():
            was_read.set()
            await arrives.wait()

    replica.log.on_step = hold_the_first
    replica.open(2, user_id="user_2", after=0)
    await was_read.wait()
    replica.memory.epoch = "second"
    replica.open(3, user_id="user_3")
    await item(replica.outbox, Opened)
    arrives.set()

    await wait_until_async(lambda: len(replica.outbox.items) == 3)
    assert set(replica.outbox.items) == {
        Disconnected(1, 1, DisconnectReason.RESUME_LOST),
        Opened(3, 1, 0, recovered=False),
        # It asked for the former life's position, 0.
        Opened(2, 1, 0, recovered=False),
    }
