"""SIGTERM of one process after another, under load, as an upgrade does."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.faults.conftest import Faults
from tests.support.processes import wait_until_gone

pytestmark = pytest.mark.timeout(300)


async def test_a_rolling_restart_of_every_service_loses_nothing(faults: Faults) -> None:
    with faults.mesh("--edge-workers", "2") as mesh:
        async with faults.load(mesh) as load:
            await load.for_seconds(1)
            for kind in ("auth-service", "event-service", "query-service", "edge"):
                for index in range(len(mesh.pids(kind))):
                    load.do(f"SIGTERM {kind} {index + 1}")
                    pid = mesh.signal(kind, signal.SIGTERM, index)
                    await asyncio.to_thread(wait_until_gone, [pid], 30)
                    await mesh.is_back(kind)
            await load.for_seconds(1)
            verdict = await faults.clean(load)
    assert set(verdict.codes) <= {1000, 1012}, "a connection ended otherwise than as told"
