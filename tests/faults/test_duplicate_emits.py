"""The same event emitted several times at once, as impatient callers and outboxes do."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Faults
from tests.support.faults.load import Shape
from tests.support.faults.mesh import FaultMesh

pytestmark = pytest.mark.timeout(180)


async def test_an_event_emitted_three_times_at_once_is_one_event(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    async with faults.load(shared_mesh) as load:
        load.do("each event is emitted by three calls at once")
        load.emitters.copies = 3
        await load.for_seconds(5)
        verdict = await faults.clean(load)
    assert not verdict.duplicates


async def test_an_event_emitted_three_times_at_once_while_the_event_service_dies_is_one_event(
    faults: Faults,
) -> None:
    failpoint = "event-service.after-commit=kill:100"
    with faults.mesh(environment={"HARKARA_FAILPOINTS": failpoint}) as mesh:
        async with faults.load(mesh, Shape(rate=60)) as load:
            load.do(f"each event is emitted by three calls at once; {failpoint}")
            load.emitters.copies = 3
            await load.for_seconds(8)
            verdict = await faults.clean(load)
    assert not verdict.duplicates
