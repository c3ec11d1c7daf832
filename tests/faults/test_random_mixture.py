"""Whatever comes, in whatever order, several at a time: a mixture from the seed."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import Faults
from tests.support.faults.load import Shape
from tests.support.faults.mesh import FaultMesh
from tests.support.faults.mixture import do_all, plan
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.timeout(400)

AT_ONCE = 2
"""How many things go wrong at a time."""


@pytest.mark.parametrize("seconds", [pytest.param(10, marks=pytest.mark.ci), 90])
async def test_a_random_mixture_of_faults_loses_nothing(
    faults: Faults, replicated_mesh: FaultMesh, seconds: float
) -> None:
    users = 100
    kinds = replicated_mesh.kinds()
    plans = [plan(faults.rng_of(number), kinds, users, seconds) for number in range(AT_ONCE)]
    parts = urlsplit(replicated_mesh.mesh.websocket_url)
    async with TcpProxy.running(parts.hostname or "", parts.port or 0) as (network, port):
        shape = Shape(users=users, slow_clients=10, url=f"ws://127.0.0.1:{port}{parts.path}")
        async with faults.load(replicated_mesh, shape) as load:
            for number, steps in enumerate(plans, 1):
                load.history.note(f"plan {number}: {'; '.join(map(str, steps))}")
            await asyncio.gather(*(do_all(load, network, steps) for steps in plans))
            load.do("nothing more")
            await replicated_mesh.all_are_back()
            await load.for_seconds(1)
            await faults.clean(load)
