"""Clients that keep nothing: the server remembers what their device acknowledged, whatever dies."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Faults
from tests.support.faults.load import Shape
from tests.support.faults.mesh import FaultMesh

pytestmark = pytest.mark.timeout(180)

SECONDS_UNTIL_AN_ACK_COUNTS = 6.0
"""A little more than G6 says."""


async def test_devices_go_on_from_what_they_acknowledged_whatever_dies(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    shape = Shape(users=40, clients_each=2, devices=20)
    async with faults.load(shared_mesh, shape) as load:
        for user_id in load.user_ids:  # Each device has something to acknowledge.
            load.emitters.send(user_id)
        await load.for_seconds(1 + SECONDS_UNTIL_AN_ACK_COUNTS)
        for index in (0, 1):
            load.do("kill -9 event-service")
            await shared_mesh.kill("event-service")
            await load.for_seconds(faults.rng.uniform(0, 1))
            load.do(f"kill -9 edge-{index + 1}")
            await shared_mesh.kill("edge", index)
            await shared_mesh.all_are_back()
            await load.all_are_connected()
            await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert verdict.duplicates, "no client had to connect again"
