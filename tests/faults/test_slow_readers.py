"""Clients that stop reading: nothing queues for them, nobody waits for them, and they miss nothing."""

from __future__ import annotations

import time

import pytest

from tests.faults.conftest import Faults
from tests.support.faults.load import Shape
from tests.support.faults.memory import private_mebibytes
from tests.support.faults.mesh import FaultMesh

pytestmark = pytest.mark.timeout(180)

# What a held client is sent in the meantime, all of them together, is far more than this.
GROWTH_MIB = 40


async def test_clients_that_stop_reading_are_paused_and_delay_nobody(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    shape = Shape(users=20, clients_each=2, slow_clients=20, rate=200, bytes_each=16_000)
    async with faults.load(shared_mesh, shape) as load:
        await load.for_seconds(2)
        slow = load.crowds[-1]
        paused = await shared_mesh.metric("edge", "harkara_edge_pauses_total") + shape.slow_clients
        memory = sum(private_mebibytes(pid) for pid in shared_mesh.pids("edge"))
        load.do(f"{shape.slow_clients} clients stop reading")
        await slow.hold()
        await shared_mesh.until_metric("edge", "harkara_edge_pauses_total", paused)
        load.do("all of them are paused")
        since = time.monotonic()
        await load.for_seconds(8)
        until = time.monotonic()
        growth = sum(private_mebibytes(pid) for pid in shared_mesh.pids("edge")) - memory
        load.do(f"they read on; the edge's memory had grown by {growth:.0f} MiB")
        await slow.read()
        verdict = await faults.clean(load)
    assert not verdict.duplicates
    assert growth < GROWTH_MIB
    quick = verdict.without([client for client, _ in slow.job.clients])
    assert quick.latency(1.0, since, until) < 2, "the others waited"
