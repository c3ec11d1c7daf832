"""The figures of docs/reliability.md: `./harkara test --faults --figures FILE`.

Each is measured at the size that the page tells, shown, written to FILE, and only then compared with what it
should be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.conftest import Faults
from tests.support.faults.checker import Verdict
from tests.support.faults.load import Load, Shape
from tests.support.faults.memory import MemoryWatch
from tests.support.faults.mesh import FaultMesh, replicas

pytestmark = [pytest.mark.figures, pytest.mark.timeout(3_600)]

THOUSAND = Shape(users=1_000, rate=500, longest_back_off=60)
"""1,000 connected users and 500 Emit/s."""


def tell(faults: Faults, name: str, verdict: Verdict, **more: float) -> None:
    """Show and keep what a run under faults came to."""
    faults.figure(
        name,
        events=verdict.emitted,
        lost=len(verdict.faults["lost"]),
        holes=len(verdict.faults["holes"]),
        repeated=len(verdict.faults["repeats"]),
        reconnects=len(verdict.duplicates),
        longest_silence_seconds=verdict.longest_silence.seconds,
        **more,
    )


@pytest.mark.parametrize("number", [1, 2])
async def test_the_event_service_is_killed_20_times(faults: Faults, number: int) -> None:
    with faults.mesh(*replicas(number)) as mesh:
        async with faults.load(mesh, THOUSAND) as load:
            for _ in range(20):
                await load.for_seconds(faults.rng.uniform(1, 5))
                await mesh.kill("event-service", faults.rng.randrange(number))
                await mesh.is_back("event-service")
            verdict = await faults.clean(load)
    tell(faults, f"event-service killed 20 times, {number} of them", verdict)
    assert not verdict.duplicates
    assert verdict.longest_silence.seconds <= 3


@pytest.mark.parametrize(("number", "seconds"), [(1, 3.0), (2, 10.0)])
async def test_the_event_service_is_frozen(faults: Faults, number: int, seconds: float) -> None:
    with faults.mesh(*replicas(number)) as mesh:
        async with faults.load(mesh, THOUSAND) as load:
            for _ in range(5):
                await load.for_seconds(faults.rng.uniform(1, 5))
                with mesh.frozen("event-service", faults.rng.randrange(number)):
                    await load.for_seconds(seconds)
                await mesh.is_back("event-service")
            verdict = await faults.clean(load)
    tell(faults, f"event-service frozen 5 times for {seconds:g} s, {number} of them", verdict)
    assert not verdict.duplicates
    assert verdict.longest_silence.seconds <= 6


async def test_postgres_is_killed(faults: Faults) -> None:
    with faults.mesh() as mesh:
        async with faults.load(mesh, THOUSAND) as load:
            for _ in range(5):
                await load.for_seconds(faults.rng.uniform(1, 4))
                await mesh.kill("postgres")
                await mesh.all_are_back()
            verdict = await faults.clean(load)
    tell(faults, "postgres killed 5 times", verdict)
    assert not verdict.duplicates
    assert verdict.longest_silence.seconds <= 6


async def test_an_edge_worker_is_killed_20_times(faults: Faults) -> None:
    with faults.mesh("--edge-workers", "2") as mesh:
        async with faults.load(mesh, THOUSAND) as load:
            for _ in range(20):
                await load.for_seconds(faults.rng.uniform(1, 5))
                await mesh.kill("edge", faults.rng.randrange(2))
                await mesh.is_back("edge")
            verdict = await faults.clean(load)
    tell(faults, "edge worker killed 20 times, 2 of them", verdict)
    assert verdict.duplicates
    assert verdict.longest_silence.seconds <= 5


async def test_nats_is_dead_for_30_seconds(faults: Faults) -> None:
    with faults.mesh(*replicas(2)) as mesh:
        async with faults.load(mesh, THOUSAND) as load:
            await load.for_seconds(2)
            since = time.monotonic()
            async with mesh.kept_dead("nats"):
                await load.for_seconds(30)
            until = time.monotonic()
            await mesh.is_back("nats")
            await load.for_seconds(2)
            verdict = await faults.clean(load)
    p99 = verdict.latency(0.99, since, until)
    tell(faults, "nats killed for 30 s", verdict, p99_seconds=p99)
    assert not verdict.duplicates
    assert p99 <= 2


async def test_30_slow_readers_of_1_000_delay_nobody(faults: Faults) -> None:
    # 50 users with 20 connections each; what a held one is sent fills its buffers in a few seconds.
    shape = Shape(
        users=50, clients_each=20, slow_clients=30, rate=100, bytes_each=16_000, longest_back_off=60
    )
    seconds = 25.0
    with faults.mesh() as mesh:
        async with faults.load(mesh, shape) as load:
            slow = [client for client, _ in load.crowds[-1].job.clients]
            spans: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
            await load.for_seconds(5)
            for turn in range(3):
                spans["without"].append(await span(load, seconds))
                before = await mesh.metric("edge", "harkara_edge_pauses_total")
                await load.crowds[-1].hold()
                await mesh.until_metric("edge", "harkara_edge_pauses_total", before + len(slow))
                load.do(f"turn {turn + 1}: {len(slow)} readers are paused")
                spans["with"].append(await span(load, seconds))
                await load.crowds[-1].read()
                await load.for_seconds(10)
            verdict = await faults.clean(load)
    quick = verdict.without(slow)
    p99 = {which: sorted(quick.latency(0.99, *each) for each in those)[1] for which, those in spans.items()}
    shift = 100 * (p99["with"] / p99["without"] - 1)
    faults.figure(
        "30 slow readers of 1,000",
        lost=len(verdict.faults["lost"]),
        holes=len(verdict.faults["holes"]),
        repeated=len(verdict.faults["repeats"]),
        reconnects=len(verdict.duplicates),
        p99_ms_without=1_000 * p99["without"],
        p99_ms_with=1_000 * p99["with"],
        shift_percent=shift,
    )
    assert not verdict.duplicates
    assert shift <= 10


async def span(load: Load, seconds: float) -> tuple[float, float]:
    """Let it go on; from when to when."""
    since = time.monotonic()
    await load.for_seconds(seconds)
    return since, time.monotonic()


@asynccontextmanager
async def watched(mesh: FaultMesh) -> AsyncIterator[MemoryWatch]:
    """The memory of a mesh's services meanwhile."""
    watch = MemoryWatch(mesh)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("how", ["cut", "edges killed"])
async def test_10_000_clients_reconnect(faults: Faults, how: str) -> None:
    shape = Shape(users=10_000, rate=50, processes=2, longest_back_off=60)
    with faults.mesh("--edge-workers", "2") as mesh:
        async with faults.load(mesh, shape) as load, watched(mesh) as watch:
            await load.for_seconds(3)
            load.do(f"10,000 clients lose their connections: {how}")
            before = await load.lost_connections()
            began = time.monotonic()
            if how == "cut":
                await asyncio.gather(*(crowd.cut() for crowd in load.crowds))
            else:
                for index in (1, 0):
                    await mesh.kill("edge", index)
            await load.all_have_lost(before)
            await asyncio.gather(*(crowd.reach({}, 120) for crowd in load.crowds))
            seconds = time.monotonic() - began
            load.do(f"all are back after {seconds:.1f} s")
            verdict = await faults.clean(load)
    tell(
        faults,
        f"10,000 clients reconnect: {how}",
        verdict,
        seconds_until_all_are_back=seconds,
        edge_peak_mib=watch.peaks()["edge"],
        event_service_peak_mib=watch.peaks()["event-service"],
        auth_service_peak_mib=watch.peaks()["auth-service"],
    )
    assert seconds <= 20


async def test_memory_is_flat_over_a_soak_with_churn(faults: Faults) -> None:
    minutes = faults.soak_minutes
    with faults.mesh("--edge-workers", "2") as mesh:
        async with faults.load(mesh, Shape(users=500, rate=200)) as load, watched(mesh) as watch:
            until = time.monotonic() + 60 * minutes
            # What is loaded and cached once is no growth.
            warm = time.monotonic() + 60 * minutes / 5
            while time.monotonic() < until:
                leaving = faults.rng.sample(load.user_ids, 10)
                await load.crowds[0].cut([f"{user_id}.0" for user_id in leaving])
                await load.for_seconds(1)
            growth = watch.growth(warm)
            verdict = await faults.clean(load)
    tell(
        faults,
        f"soak of {minutes:g} minutes with churn",
        verdict,
        **{f"{service}_mib_per_minute": value for service, value in growth.items()},
        **{f"{service}_peak_mib": value for service, value in watch.peaks().items()},
    )
    assert max(growth.values()) <= 1
