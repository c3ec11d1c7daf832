"""SIGTERM of one process after another, under load, as an upgrade does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

import pytest

from tests.faults.conftest import Faults
from tests.support.faults.checker import Verdict
from tests.support.faults.load import Shape
from tests.support.faults.mesh import FaultMesh
from tests.support.processes import wait_until_gone

pytestmark = pytest.mark.timeout(300)

LONGEST_EXIT_SECONDS = 30.0
BEHIND_THE_EDGE = ["auth-service", "event-service", "query-service"]


async def restart_one_by_one(faults: Faults, mesh: FaultMesh, kinds: Sequence[str]) -> Verdict:
    """SIGTERM every process of these services, the next one when the last one is back."""
    async with faults.load(mesh) as load:
        await load.for_seconds(1)
        for kind in kinds:
            for index in range(len(mesh.pids(kind))):
                load.do(f"SIGTERM {kind} {index + 1}")
                pid = mesh.signal(kind, signal.SIGTERM, index)
                await asyncio.to_thread(wait_until_gone, [pid], LONGEST_EXIT_SECONDS)
                await mesh.is_back(kind)
        await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert set(verdict.codes) <= {1000, 1012}, "a connection ended otherwise than as told"
    return verdict


@pytest.mark.parametrize("event_services", [1, pytest.param(2, marks=pytest.mark.ci)])
async def test_a_rolling_restart_of_every_service_loses_nothing(
    faults: Faults, shared_mesh: FaultMesh, replicated_mesh: FaultMesh, event_services: int
) -> None:
    mesh = shared_mesh if event_services == 1 else replicated_mesh
    verdict = await restart_one_by_one(faults, mesh, BEHIND_THE_EDGE)
    assert not verdict.duplicates, "a client had to connect again"
    if event_services == 2:
        assert verdict.longest_silence.seconds < 2, "the other one did not take over"
    verdict = await restart_one_by_one(faults, mesh, ["edge"])
    assert verdict.codes[1012] > 0, "nobody was told to come back"


async def test_a_client_that_does_not_read_cannot_hold_an_exit(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    shape = Shape(users=20, clients_each=2, slow_clients=20, rate=200, bytes_each=16_000)
    async with faults.load(shared_mesh, shape) as load:
        await load.for_seconds(1)
        paused = await shared_mesh.metric("edge", "harkara_edge_pauses_total") + shape.slow_clients
        await load.crowds[-1].hold()
        await shared_mesh.until_metric("edge", "harkara_edge_pauses_total", paused)
        for index in (0, 1):
            load.do(f"SIGTERM edge-{index + 1}, while {shape.slow_clients} clients do not read")
            pid = shared_mesh.signal("edge", signal.SIGTERM, index)
            await asyncio.to_thread(wait_until_gone, [pid], LONGEST_EXIT_SECONDS)
            await shared_mesh.is_back("edge")
        await load.crowds[-1].read()
        await faults.clean(load)
