"""Whatever comes, in whatever order, several at a time: a mixture from the seed."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from tests.faults.conftest import Faults
from tests.support.faults.load import Load
from tests.support.faults.mesh import FaultMesh

pytestmark = pytest.mark.timeout(400)

_ACTIONS = ("kill", "freeze", "stop", "cut")


async def hurt(faults: Faults, load: Load) -> None:
    """One thing, chosen by the seed."""
    mesh, rng = load.mesh, faults.rng
    action, kind = rng.choice(_ACTIONS), rng.choice(mesh.kinds())
    if action == "cut":
        clients = [f"{user_id}.0" for user_id in rng.sample(load.user_ids, len(load.user_ids) // 4)]
        load.do(f"{len(clients)} clients lose their connection")
        await load.crowds[0].cut(clients)
        return
    pids = mesh.pids(kind)
    if not pids:  # Another one is just starting it again.
        return
    index = rng.randrange(len(pids))
    if action == "freeze":
        seconds = rng.uniform(0.5, 5)
        load.do(f"SIGSTOP {kind} {index + 1} for {seconds:.1f} s")
        with mesh.frozen(kind, index):
            await load.for_seconds(seconds)
        return
    # Postgres' own SIGTERM waits for everybody to leave; SIGINT is its orderly stop.
    orderly = signal.SIGINT if kind == "postgres" else signal.SIGTERM
    number = signal.SIGKILL if action == "kill" else orderly
    load.do(f"{number.name} {kind} {index + 1}")
    mesh.signal(kind, number, index)


async def keep_hurting(faults: Faults, load: Load, until: float) -> None:
    """One thing after another."""
    while time.monotonic() < until:
        await hurt(faults, load)
        await load.for_seconds(faults.rng.uniform(0.5, 4))


@pytest.mark.parametrize("seconds", [pytest.param(10, marks=pytest.mark.ci), 90])
async def test_a_random_mixture_of_faults_loses_nothing(
    faults: Faults, replicated_mesh: FaultMesh, seconds: float
) -> None:
    async with faults.load(replicated_mesh) as load:
        until = time.monotonic() + seconds
        await asyncio.gather(*(keep_hurting(faults, load, until) for _ in range(2)))
        load.do("nothing more")
        await replicated_mesh.all_are_back()
        await load.for_seconds(1)
        await faults.clean(load)
