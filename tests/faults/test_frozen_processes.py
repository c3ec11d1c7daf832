"""SIGSTOP of each kind of process, under load, and SIGCONT later: worse than death, for it is not told."""

from __future__ import annotations

import signal

import pytest

from tests.faults.conftest import Faults
from tests.support.faults.load import Load, Shape
from tests.support.faults.mesh import FaultMesh

pytestmark = pytest.mark.timeout(240)


async def freeze(load: Load, kind: str, seconds: float, index: int = 0) -> None:
    """Freeze one process for a while, and wait until all is well again."""
    load.do(f"SIGSTOP {kind} for {seconds:.1f} s")
    with load.mesh.frozen(kind, index):
        await load.for_seconds(seconds)
        load.do(f"SIGCONT {kind}")
    await load.mesh.all_are_back()


@pytest.mark.ci
async def test_clients_stay_connected_while_the_event_service_is_frozen(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    async with faults.load(shared_mesh) as load:
        await load.for_seconds(1)
        await freeze(load, "event-service", faults.rng.uniform(4, 6))
        await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert not verdict.duplicates, "a client had to connect again"


async def test_clients_of_a_frozen_edge_worker_wait_for_it(faults: Faults, shared_mesh: FaultMesh) -> None:
    async with faults.load(shared_mesh) as load:
        await load.for_seconds(1)
        await freeze(load, "edge", faults.rng.uniform(4, 8))
        await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert not verdict.duplicates


async def test_clients_that_hear_nothing_of_a_frozen_edge_worker_go_on_at_another(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    shape = Shape(heartbeat_seconds=1, dead_seconds=3)
    async with faults.load(shared_mesh, shape) as load:
        await load.for_seconds(1)
        await freeze(load, "edge", 12)
        await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert verdict.duplicates, "no client went elsewhere"


async def test_a_frozen_auth_service_disturbs_nobody_who_is_there(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    async with faults.load(shared_mesh) as load:
        await load.for_seconds(1)
        await freeze(load, "auth-service", 6)
        verdict = await faults.clean(load)
    assert not verdict.duplicates
    assert verdict.latency(1.0) < 2, "events waited for the auth-service"


async def test_a_frozen_query_service_disturbs_nobody(faults: Faults, shared_mesh: FaultMesh) -> None:
    async with faults.load(shared_mesh) as load:
        await load.for_seconds(1)
        await freeze(load, "query-service", 4)
        verdict = await faults.clean(load)
    assert not verdict.duplicates
    assert verdict.latency(1.0) < 2


async def test_clients_stay_connected_while_postgres_is_frozen(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    async with faults.load(shared_mesh) as load:
        await load.for_seconds(1)
        await freeze(load, "postgres", faults.rng.uniform(4, 6))
        await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert not verdict.duplicates


async def test_an_event_service_frozen_inside_its_transaction_goes_on_where_it_was(faults: Faults) -> None:
    # Retries of events that are stored take the careful way, whose transaction has several statements.
    failpoint = "event-service.in-transaction=stop:3"
    with faults.mesh(environment={"HARKARA_FAILPOINTS": failpoint}) as mesh:
        async with faults.load(mesh) as load:
            load.emitters.copies = 2
            load.do(failpoint)
            await load.for_seconds(6)
            load.do("SIGCONT event-service")
            mesh.signal("event-service", signal.SIGCONT)
            await mesh.all_are_back()
            await load.for_seconds(1)
            verdict = await faults.clean(load)
    assert not verdict.duplicates
    assert verdict.longest_silence.seconds > 3, "it did not freeze"
