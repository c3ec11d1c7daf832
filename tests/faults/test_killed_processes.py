"""kill -9 of each kind of process, under load."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Faults
from tests.support.faults.load import Shape
from tests.support.faults.mesh import FaultMesh

pytestmark = pytest.mark.timeout(240)


@pytest.mark.ci
async def test_clients_stay_connected_while_the_event_service_is_killed(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    async with faults.load(shared_mesh) as load:
        for _ in range(3):
            await load.for_seconds(faults.rng.uniform(0.5, 2))
            load.do("kill -9 event-service")
            await shared_mesh.kill("event-service")
            await shared_mesh.is_back("event-service")
        await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert not verdict.duplicates, "a client had to connect again"


@pytest.mark.parametrize("kind", ["event-service", "postgres"])
async def test_a_stream_of_events_keeps_its_order_when_it_breaks(
    faults: Faults, shared_mesh: FaultMesh, kind: str
) -> None:
    # Few users, so that many events of one are under way when it dies.
    async with faults.load(shared_mesh, Shape(users=5, clients_each=10, rate=300)) as load:
        load.emitters.streamed = 0.5
        for _ in range(3):
            await load.for_seconds(faults.rng.uniform(0.5, 2))
            load.do(f"kill -9 {kind}; every other event goes with EmitStream")
            await shared_mesh.kill(kind)
            await shared_mesh.all_are_back()
        await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert not verdict.duplicates, "a client had to connect again"


async def test_an_event_service_that_dies_between_commit_and_fan_out_loses_nothing(faults: Faults) -> None:
    # Each life of it ends with a commit that nobody was told of: its caller retries, and clients get it.
    failpoint = "event-service.after-commit=kill:100"
    with faults.mesh(environment={"HARKARA_FAILPOINTS": failpoint}) as mesh:
        async with faults.load(mesh) as load:
            load.do(f"{failpoint}: it dies at every 100th commit")
            first = mesh.pids("event-service")
            await load.for_seconds(6)
            verdict = await faults.clean(load)
        assert mesh.pids("event-service") != first
    assert not verdict.duplicates


@pytest.mark.ci
async def test_clients_of_a_killed_edge_worker_go_on_at_another(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    async with faults.load(shared_mesh) as load:
        for _ in range(3):
            await load.for_seconds(faults.rng.uniform(0.5, 2))
            index = faults.rng.randrange(2)
            load.do(f"kill -9 edge-{index + 1}")
            await shared_mesh.kill("edge", index)
            await shared_mesh.is_back("edge")
        verdict = await faults.clean(load)
    assert verdict.duplicates, "no client had to connect again"


async def test_clients_of_the_only_edge_worker_come_back_to_it(faults: Faults) -> None:
    with faults.mesh() as mesh:
        async with faults.load(mesh) as load:
            await load.for_seconds(2)
            load.do("kill -9 edge")
            await mesh.kill("edge")
            await mesh.is_back("edge")
            await load.all_are_connected()
            await load.for_seconds(1)
            verdict = await faults.clean(load)
    assert len(verdict.duplicates) >= load.shape.users


async def test_a_killed_auth_service_disturbs_nobody_who_is_there(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    async with faults.load(shared_mesh) as load:
        await load.for_seconds(1)
        load.do("kill -9 auth-service")
        await shared_mesh.kill("auth-service")
        await load.for_seconds(1)
        await shared_mesh.is_back("auth-service")
        verdict = await faults.clean(load)
    assert not verdict.duplicates
    assert verdict.latency(1.0) < 2, "events waited for the auth-service"


async def test_a_killed_query_service_disturbs_nobody(faults: Faults, shared_mesh: FaultMesh) -> None:
    async with faults.load(shared_mesh) as load:
        await load.for_seconds(1)
        load.do("kill -9 query-service")
        await shared_mesh.kill("query-service")
        await load.for_seconds(1)
        await shared_mesh.is_back("query-service")
        verdict = await faults.clean(load)
    assert not verdict.duplicates
    assert verdict.latency(1.0) < 2


@pytest.mark.ci
async def test_a_killed_postgres_keeps_every_event_that_was_answered_ok(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        assert shared_mesh.postgres_setting(setting) == "on"
    async with faults.load(shared_mesh) as load:
        await load.for_seconds(faults.rng.uniform(0.5, 2))
        load.do("kill -9 postgres")
        await shared_mesh.kill("postgres")
        await shared_mesh.is_back("postgres")
        await shared_mesh.is_back("event-service")
        await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert not verdict.duplicates


async def test_a_killed_backend_of_postgres_keeps_every_event_that_was_answered_ok(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    # Postgres ends all of its backends then, and recovers from its write-ahead log.
    async with faults.load(shared_mesh) as load:
        await load.for_seconds(1)
        for _ in range(2):
            load.do(f"kill -9 of the backend that writes: pid {await shared_mesh.kill_writing_backend()}")
            await shared_mesh.all_are_back()
            await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert not verdict.duplicates


async def test_everything_at_once_is_killed_and_goes_on_where_it_was(faults: Faults) -> None:
    with faults.mesh("--edge-workers", "2") as mesh:
        async with faults.load(mesh, Shape(users=60, rate=60)) as load:
            await load.for_seconds(2)
            load.do("kill -9 of every process of the mesh but its launcher")
            await mesh.kill_everything()
            await mesh.all_are_back()
            await load.for_seconds(2)
            await faults.clean(load)
