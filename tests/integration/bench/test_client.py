"""`bench client`: it counts what was stored, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harkara_bench.client import EVENT_TYPE, NotStoredError, calls_of, measure, percentile
from harkara_client import Emitter
from tests.support.event_service import Assembled, add_service, assembled_event_service
from tests.support.held_log import HeldLog

USERS = ["user_1", "user_2"]


@pytest.fixture
def log() -> HeldLog:
    return HeldLog()


@pytest.fixture
async def held(log: HeldLog, tmp_path: Path) -> AsyncIterator[Assembled]:
    async with assembled_event_service(lambda _: log, tmp_path) as service:
        yield service


async def test_every_event_of_a_row_is_in_the_log(held: Assembled, log: HeldLog) -> None:
    token = add_service(held.calls.auth, "deliveries", [EVENT_TYPE])
    async with Emitter(held.calls.target, token=token) as emitter:
        single, several = calls_of(emitter, USERS)
        one_each = await measure("emit", 40, 1, 8, single)
        together = await measure("emit_many", 40, 20, 1, several(20))
    assert (one_each.events, together.events) == (40, 40)
    assert len(log.stored) == 80
    for row in (one_each, together):
        assert 0 < row.p50_ms <= row.p99_ms <= 1e3 * row.seconds


async def test_a_row_with_an_event_that_was_refused_is_no_figure(held: Assembled) -> None:
    async with Emitter(held.calls.target, token="nobody") as emitter:
        _, several = calls_of(emitter, USERS)
        with pytest.raises(ExceptionGroup) as failed:
            await measure("emit_many", 40, 20, 1, several(20))
    assert failed.group_contains(NotStoredError)


@pytest.mark.parametrize(("share", "value"), [(50, 50), (99, 99), (100, 100), (0, 1)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    assert percentile([float(each) for each in range(100, 0, -1)], share) == value
