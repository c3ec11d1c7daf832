"""A reader caught at every step of a resume, a pause and a re-attach while events commit.

Every read of the log stops before and after it happens. First a walk counts the steps; then it is done
again once for each of them, with commits in that step only, and once with commits in all of them. Over
real gRPC and real Postgres, the commits through the very log whose reads stand still.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara_event_service.adapters.postgres_log import PostgresLog, PostgresLogSettings
from harkara_event_service.ports import Committed, Stored
from tests.support.attached_edge import AttachedEdge, attached_edge
from tests.support.delivery import SteppedLog
from tests.support.event_service import Assembled, assembled_event_service
from tests.support.events import make_event
from tests.support.logs import append
from tests.support.postgres import Database

BEFORE = 7
"""How many events the user has before a walk."""

PAGE_EVENTS = 3
MOST_STEPS = 40
"""Beyond so many nothing commits in them, so that a walk comes to its end."""


class Stage:
    """A service whose reads stop at each step, and a user who gets events there.

    Args:
        service: The service.
        log: Its log.
        stack: Closes what a walk opens.

    Attributes:
        steps: The steps that came, by name.
        user: The user of this walk.
        last: The user's last seq.
    """

    def __init__(self, service: Assembled, log: SteppedLog, stack: AsyncExitStack) -> None:
        self.log = log
        self.steps: list[str] = []
        self.user = ""
        self.last = 0
        self._service = service
        self._stack = stack
        self._commit_at: frozenset[int] | None = frozenset()
        self._numbers = count(1)
        self._under_way = 0
        log.on_step = self._on_step
        log.page_events = PAGE_EVENTS

    async def begin(self, commit_at: frozenset[int] | None) -> None:
        """Begin a walk with a new user.

        Args:
            commit_at: At which steps events commit, counted from 0; None for all.
        """
        self.user = f"user_{next(self._numbers)}"
        self.last = 0
        self.steps = []
        self._commit_at = commit_at
        await self.commit(BEFORE)

    async def attach(self) -> AttachedEdge:
        """An edge's stream."""
        return await self._stack.enter_async_context(attached_edge(self._service.calls))

    async def commit(self, events: int) -> None:
        """Store events of the user; the log announces them."""
        self._under_way += 1
        outcomes = await append(self.log.inner, *(make_event(self.user) for _ in range(events)))
        self._under_way -= 1
        for outcome in outcomes:
            assert isinstance(outcome, Stored)
            self.last = max(self.last, outcome.seq)

    def is_complete(self, edge: AttachedEdge, session: int) -> bool:
        """Whether the last event came for a session, and none is under way."""
        return not self._under_way and edge.last_of(session) == self.last

    async def epoch(self) -> str:
        """The log's epoch."""
        return (await self.log.inner.heads([])).epoch

    async def _on_step(self, step: str) -> None:
        number = len(self.steps)
        self.steps.append(step)
        if number < MOST_STEPS and (self._commit_at is None or number in self._commit_at):
            await self.commit(2)


Walk = Callable[[Stage], Awaitable[tuple[AttachedEdge, int]]]
"""Does something with session 1; returns its edge, and behind which seq everything must come."""


async def resume(stage: Stage) -> tuple[AttachedEdge, int]:
    edge = await stage.attach()
    await edge.open(1, stage.user, resume=pb.Resume(epoch=await stage.epoch(), seq=2))
    assert (await edge.opened(1)).recovered
    return edge, 2


async def resume_beside_a_live_session(stage: Stage) -> tuple[AttachedEdge, int]:
    edge = await stage.attach()
    await edge.open(2, stage.user)
    start = (await edge.opened(2)).seq
    await edge.open(1, stage.user, resume=pb.Resume(epoch=await stage.epoch(), seq=2))
    await edge.opened(1)
    await stage.commit(1)
    await edge.until(lambda: stage.is_complete(edge, 2))
    assert edge.seqs_of(2) == list(range(start + 1, stage.last + 1))
    return edge, 2


async def pause_and_go_on(stage: Stage) -> tuple[AttachedEdge, int]:
    """A connection clogs when it has one event, and drains after more were committed."""
    edge = await stage.attach()
    await edge.open(1, stage.user)
    opened = await edge.opened(1)
    await stage.commit(3)
    position = opened.seq + 1
    await edge.until(lambda: position in edge.seqs_of(1))
    await edge.open(1, stage.user, 2, after=position, epoch=opened.epoch, paused=True)
    assert (await edge.opened(1, 2)).seq == position
    await stage.commit(2)
    await edge.open(1, stage.user, 3, after=position, epoch=opened.epoch)
    assert (await edge.opened(1, 3)).seq == position
    # The fence: whatever came before that Opened was dropped at the edge.
    edge.drop_before(1, 3)
    return edge, position


async def go_on_at_once(stage: Stage) -> tuple[AttachedEdge, int]:
    """A connection drains before the event-service has heard that it clogged."""
    edge = await stage.attach()
    await edge.open(1, stage.user)
    opened = await edge.opened(1)
    await stage.commit(3)
    position = opened.seq + 1
    await edge.until(lambda: position in edge.seqs_of(1))
    await edge.open(1, stage.user, 2, after=position, epoch=opened.epoch, paused=True)
    await edge.open(1, stage.user, 3, after=position, epoch=opened.epoch)
    await edge.opened(1, 3)
    edge.drop_before(1, 3)
    return edge, position


async def attach_again(stage: Stage) -> tuple[AttachedEdge, int]:
    """An edge's stream breaks, and it attaches again with where its connection stands."""
    edge = await stage.attach()
    await edge.open(1, stage.user)
    opened = await edge.opened(1)
    await stage.commit(2)
    position = opened.seq + 1
    await edge.until(lambda: position in edge.seqs_of(1))
    await edge.leave()
    await stage.commit(2)
    again = await stage.attach()
    await again.open(1, stage.user, 2, after=position, epoch=opened.epoch)
    assert (await again.opened(1, 2)).seq == position
    return again, position


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    logs: list[SteppedLog] = []

    def make_log(committed: Committed) -> SteppedLog:
        inner = PostgresLog(
            database.dsn_for("harkara_event_service"),
            committed,
            clock=lambda: datetime.now(UTC),
            registry=CollectorRegistry(),
            settings=PostgresLogSettings(),
        )
        logs.append(SteppedLog(inner))
        return logs[0]

    async with assembled_event_service(make_log, tmp_path) as service:
        inner = logs[0].inner
        assert isinstance(inner, PostgresLog)
        await inner.open()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(inner.close)
            yield Stage(service, logs[0], stack)


@pytest.mark.parametrize(
    "walk", [resume, resume_beside_a_live_session, pause_and_go_on, go_on_at_once, attach_again]
)
async def test_whenever_events_commit_each_comes_once_and_in_order(stage: Stage, walk: Walk) -> None:
    await _go(stage, walk, frozenset())
    steps = len(stage.steps)
    assert steps >= 4, "a walk has at least one read of heads and one of a page"

    for step in range(steps):
        await _go(stage, walk, frozenset({step}))
    await _go(stage, walk, None)


async def _go(stage: Stage, walk: Walk, commit_at: frozenset[int] | None) -> None:
    await stage.begin(commit_at)
    edge, position = await walk(stage)
    await edge.until(lambda: stage.is_complete(edge, 1))
    # Live now: one more comes, and nothing comes again before it.
    await stage.commit(1)
    await edge.until(lambda: stage.is_complete(edge, 1))
    assert edge.seqs_of(1) == list(range(position + 1, stage.last + 1)), stage.steps
    await edge.leave()
