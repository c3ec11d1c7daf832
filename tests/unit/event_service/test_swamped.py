"""While too many sessions wait for the log, new events wait for them (docs/architecture.md)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from harkara_catalogue import Catalogue
from harkara_event_service.adapters.memory_log import MemoryLog
from harkara_event_service.domain.acceptance import Draft, Emitter
from harkara_event_service.domain.cursor import Attachment, ResumePoint
from harkara_event_service.domain.registry import SWAMPED_SESSIONS, Registry
from harkara_event_service.ports import Chain, Failure
from harkara_event_service.service import Emitting

EPOCH = "first-life"


def registry_with(behind: int, live: int, *, stopped: int = 0) -> Registry:
    """One session for each user: some wait for the log, some stand still, the rest is live."""
    registry = Registry(max_sessions_per_user=1, size_of_catalogue=17)
    edge = Attachment("edge-1")
    for number in range(1, behind + live + stopped + 1):
        stands_still = number > behind + live
        session = registry.open(edge, number, 1, f"user_{number}", ["*"], is_new=True, stopped=stands_still)
        assert session is not None
        position = 5 if behind < number <= behind + live else 0
        registry.start(session, 5, 0, EPOCH, ResumePoint(EPOCH, position))
    return registry


@pytest.mark.parametrize(
    ("behind", "live", "stopped", "swamped"),
    [
        (SWAMPED_SESSIONS, 9 * SWAMPED_SESSIONS - 1, 0, True),
        (SWAMPED_SESSIONS, 9 * SWAMPED_SESSIONS, 0, False),  # A tenth, not more.
        (SWAMPED_SESSIONS - 1, 0, 0, False),  # Too few to matter.
        (0, 0, 2 * SWAMPED_SESSIONS, False),  # They wait for their own sockets.
    ],
)
def test_more_than_a_tenth_waiting_for_the_log_swamps_a_replica(
    behind: int, live: int, stopped: int, *, swamped: bool
) -> None:
    assert registry_with(behind, live, stopped=stopped).is_swamped() is swamped


async def test_a_swamped_replica_stores_nothing_and_says_that_it_may_be_tried_again() -> None:
    log = MemoryLog(lambda _: None, clock=lambda: datetime.now(UTC), epoch=EPOCH)
    swamped = True
    emitting = Emitting(
        log,
        Catalogue.reference(),
        lambda: datetime.now(UTC),
        lambda: "unused",
        is_swamped=lambda: swamped,
        hand_on=lambda _: None,
    )
    emitter = Emitter("orders", frozenset({"order_ready"}))
    draft = Draft(
        user_id="ada", event_type="order_ready", data="{}", event_id="evt_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    )
    judged = emitting.judge(emitter, [draft])
    chain = Chain()
    deadline = asyncio.get_running_loop().time() + 5

    (refused,) = await emitting.store(judged, deadline=deadline, chain=chain)
    swamped = False
    (after,) = await emitting.store(judged, deadline=deadline, chain=chain)

    assert refused.outcome is Failure.OVERLOADED
    assert after.outcome is Failure.BROKEN_CHAIN
    assert (await log.heads(["ada"])).by_user["ada"].last_seq == 0


def test_sessions_whose_edge_takes_no_more_wait_for_that_edge_and_slow_nobody() -> None:
    """An edge that froze with a tenth of all sessions stopped every Emit until it was taken for dead."""
    registry = registry_with(2 * SWAMPED_SESSIONS, 0)
    assert registry.is_swamped()
    (edge,) = {session.attachment for stream in registry._streams.values() for session in stream.behind}

    registry.fill(edge)
    assert not registry.is_swamped()

    registry.has_room(edge)
    assert registry.is_swamped()
