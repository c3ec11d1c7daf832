"""An edge that reads nothing for a while: what waits for it is bounded, and nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara_event_service.adapters.attach_outbox import FULL_BYTES, AttachOutbox
from harkara_event_service.adapters.memory_log import MemoryLog
from harkara_event_service.ports import Committed
from tests.support.attached_edge import AttachedEdge, attached_edge, open_command, written_command
from tests.support.event_service import Assembled, assembled_event_service
from tests.support.events import MovableClock, make_event
from tests.support.logs import append
from tests.support.waiting import wait_until_async

LARGE = '{"x":"' + "x" * 60_000 + '"}'
ON_ITS_WAY_BYTES = 1 << 20
"""What may come on top of a full queue: the rest of the page in hand."""


@dataclass
class Stage:
    """A service and its log."""

    service: Assembled
    log: MemoryLog

    def waiting_bytes(self) -> int:
        """How much waits for the edges."""
        total = 0
        for outbox in self.service.delivering._outboxes.values():
            assert isinstance(outbox, AttachOutbox)
            total += outbox._bytes
        return total

    async def commit(self, user_id: str, count: int) -> None:
        """Store large events."""
        await append(self.log, *(make_event(user_id, LARGE) for _ in range(count)))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    logs: list[MemoryLog] = []

    def make_log(committed: Committed) -> MemoryLog:
        logs.append(MemoryLog(committed, clock=MovableClock()))
        return logs[0]

    async with assembled_event_service(make_log, tmp_path) as service:
        yield Stage(service, logs[0])


async def read_all(edge: AttachedEdge, last: dict[int, int]) -> None:
    """Read until every session has its last event, and report what was read as an edge does."""
    reported = dict.fromkeys(last, 0)

    def news() -> dict[int, int]:
        return {each: edge.last_of(each) for each in last if edge.last_of(each) > reported[each]}

    while reported != last:
        await edge.until(lambda: bool(news()))
        came = news()
        await edge.send(*(written_command(each, seq) for each, seq in came.items()))
        reported |= came


async def test_live_events_for_an_edge_that_reads_nothing_are_left_to_the_log(stage: Stage) -> None:
    count = 2 * FULL_BYTES // len(LARGE) // 10 * 10
    calls = stage.service.calls
    async with attached_edge(calls, "slow") as slow, attached_edge(calls, "quick") as quick:
        await slow.open(1, "user_1")
        await quick.open(1, "user_1")
        await slow.opened(1)
        await quick.opened(1)
        slow.is_reading.clear()

        for start in range(0, count, 10):
            await stage.commit("user_1", 10)
            await quick.got(1, range(1, start + 11))

        assert stage.waiting_bytes() <= FULL_BYTES + ON_ITS_WAY_BYTES
        stats = await calls.delivery().GetStats(pb.GetStatsRequest(), timeout=20)
        assert stats.queued_events > 0

        slow.is_reading.set()
        await read_all(slow, {1: count})
        assert slow.seqs_of(1) == list(range(1, count + 1))
        await stage.commit("user_1", 1)
        await slow.got(1, range(1, count + 2))


async def test_a_catch_up_of_many_sessions_does_not_pile_up_for_an_edge_that_reads_nothing(
    stage: Stage,
) -> None:
    users = [f"user_{number}" for number in range(1, 121)]
    for user_id in users:
        await stage.commit(user_id, 4)
    async with attached_edge(stage.service.calls) as edge:
        edge.is_reading.clear()
        resume = pb.Resume(epoch="memory", seq=0)

        await edge.send(
            *(open_command(number, user_id, resume=resume) for number, user_id in enumerate(users, 1))
        )

        await wait_until_async(lambda: stage.waiting_bytes() >= FULL_BYTES)
        await stage.commit("somebody", 1)
        assert stage.waiting_bytes() <= FULL_BYTES + ON_ITS_WAY_BYTES
        edge.is_reading.set()
        await read_all(edge, dict.fromkeys(range(1, len(users) + 1), 4))
        assert all(edge.seqs_of(number) == [1, 2, 3, 4] for number in range(1, len(users) + 1))
