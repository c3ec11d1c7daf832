"""Two event-services and NATS between them: either may die, freeze or stop, and the other goes on."""

from __future__ import annotations

import time

import psutil
import pytest

from tests.faults.conftest import Faults
from tests.support.faults.extra_service import extra_service, login_dsn
from tests.support.faults.load import Shape
from tests.support.faults.mesh import FaultMesh
from tests.support.processes import is_gone
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.timeout(240)


@pytest.mark.ci
async def test_either_of_two_event_services_is_killed_and_clients_stay_connected(
    faults: Faults, replicated_mesh: FaultMesh
) -> None:
    async with faults.load(replicated_mesh) as load:
        for _ in range(3):
            await load.for_seconds(faults.rng.uniform(0.5, 1.5))
            index = faults.rng.randrange(2)
            load.do(f"kill -9 event-service {index + 1}")
            await replicated_mesh.kill("event-service", index)
            await replicated_mesh.is_back("event-service")
        await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert not verdict.duplicates, "a client had to connect again"
    assert verdict.longest_silence.seconds < 3


@pytest.mark.parametrize("index", [0, 1])
async def test_either_of_two_event_services_is_frozen_and_the_other_goes_on(
    faults: Faults, replicated_mesh: FaultMesh, index: int
) -> None:
    async with faults.load(replicated_mesh) as load:
        await load.for_seconds(1)
        load.do(f"SIGSTOP event-service {index + 1} for 8 s")
        with replicated_mesh.frozen("event-service", index):
            await load.for_seconds(8)
        load.do(f"SIGCONT event-service {index + 1}")
        await replicated_mesh.all_are_back()
        await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert not verdict.duplicates, "a client had to connect again"
    assert verdict.longest_silence.seconds < 7, "the other one did not go on"


@pytest.mark.ci
async def test_events_come_within_two_seconds_while_nats_is_dead(
    faults: Faults, replicated_mesh: FaultMesh
) -> None:
    async with faults.load(replicated_mesh) as load:
        await load.for_seconds(1)
        load.do("SIGSTOP nats for 4 s")
        since = time.monotonic()
        with replicated_mesh.frozen("nats"):
            await load.for_seconds(4)
        load.do("SIGCONT nats")
        for _ in range(3):
            load.do("kill -9 nats")
            await replicated_mesh.kill("nats")
            await load.for_seconds(1)
        until = time.monotonic()
        await replicated_mesh.is_back("nats")
        verdict = await faults.clean(load)
    assert not verdict.duplicates
    assert verdict.latency(0.99, since, until) < 2


async def test_a_replica_frozen_inside_its_transaction_does_not_stop_the_others(
    faults: Faults, replicated_mesh: FaultMesh
) -> None:
    # A third one, which freezes holding the locks of the users that it writes for.
    failpoints = "event-service.in-transaction=stop:3"
    settings = {
        "POSTGRES_DSN": login_dsn(replicated_mesh, "event_service"),
        "BACKPLANE": replicated_mesh.mesh.backplane_url or "",
    }
    async with extra_service(
        replicated_mesh, "event-service", settings, faults.folder, failpoints=failpoints
    ) as third:
        targets = (*replicated_mesh.emit_targets, third.address)
        async with faults.load(replicated_mesh, Shape(users=20, targets=targets)) as load:
            load.emitters.copies = 3  # Of an event that is stored, the other copies take the careful way.
            load.do(f"a third replica; {failpoints}")
            process = psutil.Process(third.pid)
            await wait_until_async(lambda: process.status() == psutil.STATUS_STOPPED)
            load.do("it froze inside its transaction")
            await load.for_seconds(8)
            process.resume()
            load.do("SIGCONT")
            verdict = await faults.clean(load)
    assert not verdict.duplicates
    assert verdict.longest_silence.seconds < 4, "the frozen one stopped the others"


@pytest.mark.ci
async def test_a_replica_that_dies_between_commit_and_fan_out_loses_nothing(
    faults: Faults, replicated_mesh: FaultMesh
) -> None:
    # A third one: its last commit nobody was told of, so its callers retry, and the others bring it.
    failpoints = "event-service.after-commit=kill:50"
    settings = {
        "POSTGRES_DSN": login_dsn(replicated_mesh, "event_service"),
        "BACKPLANE": replicated_mesh.mesh.backplane_url or "",
    }
    async with extra_service(
        replicated_mesh, "event-service", settings, faults.folder, failpoints=failpoints
    ) as third:
        targets = (*replicated_mesh.emit_targets, third.address)
        async with faults.load(replicated_mesh, Shape(targets=targets)) as load:
            load.do(f"a third replica; {failpoints}")
            await wait_until_async(lambda: is_gone(third.pid))
            load.do("it died")
            await load.for_seconds(2)
            verdict = await faults.clean(load)
    assert not verdict.duplicates


@pytest.mark.ci
async def test_an_event_emitted_at_both_replicas_at_once_is_one_event(
    faults: Faults, replicated_mesh: FaultMesh
) -> None:
    async with faults.load(replicated_mesh) as load:
        load.do("each event is emitted by four calls at once, over both replicas")
        load.emitters.copies = 4
        await load.for_seconds(4)
        verdict = await faults.clean(load)
    assert not verdict.duplicates


async def test_everything_together_is_killed_and_goes_on_where_it_was(
    faults: Faults, replicated_mesh: FaultMesh
) -> None:
    async with faults.load(replicated_mesh, Shape(users=60, rate=60)) as load:
        await load.for_seconds(2)
        load.do("kill -9 of every process of the mesh but its launcher")
        await replicated_mesh.kill_everything()
        await replicated_mesh.all_are_back()
        await load.for_seconds(2)
        await faults.clean(load)


async def test_the_newest_of_what_collapses_comes_whatever_dies(
    faults: Faults, replicated_mesh: FaultMesh
) -> None:
    async with faults.load(replicated_mesh, Shape(users=20, rate=200)) as load:
        load.emitters.places = 0.7
        for index in (0, 1):
            await load.for_seconds(2)
            load.do(f"kill -9 event-service {index + 1}; 7 of 10 events are couriers' places")
            await replicated_mesh.kill("event-service", index)
            await replicated_mesh.is_back("event-service")
        async with replicated_mesh.kept_dead("nats"):
            await load.for_seconds(3)
        verdict = await faults.clean(load)
    assert not verdict.duplicates
    assert verdict.frames < verdict.ok, "nothing collapsed"
