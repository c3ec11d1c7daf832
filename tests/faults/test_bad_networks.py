"""Links that delay, trickle, stall, half-close and reset: between clients and edge, and inside the mesh.

The links inside are those of one more edge, or of one more event-service with an edge of its own, whose
settings name a proxy where the mesh's own name the peer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import Faults
from tests.support.cutting_proxy import through
from tests.support.faults.extra_service import extra_service, login_dsn
from tests.support.faults.load import Load, Shape
from tests.support.faults.mesh import FaultMesh
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.timeout(180)

FAULTS = ["delays", "trickles", "stalls", "half-closes", "resets"]
ONE_FOR_CI = [pytest.param(fault, marks=pytest.mark.ci if fault == "stalls" else ()) for fault in FAULTS]
PATH = "/api/websocket/ws"


async def go_wrong(load: Load, proxy: TcpProxy, fault: str, *, slow: float) -> None:
    """Let one kind of fault befall every connection of a link, and let it pass."""
    await load.for_seconds(1)
    load.do(f"the network {fault}")
    match fault:
        case "delays":
            proxy.delay = 0.05
            await load.for_seconds(3)
            proxy.delay = 0
        case "trickles":
            proxy.bytes_per_second = slow
            await load.for_seconds(3)
            proxy.bytes_per_second = None
        case "stalls":
            proxy.stall()
            await load.for_seconds(4)
            proxy.flow()
        case "half-closes":
            for towards_client in (True, False):
                proxy.half_close(towards_client=towards_client)
                await load.for_seconds(1.5)
        case "resets":
            for _ in range(3):
                proxy.cut_all(reset=True)
                await load.for_seconds(1)
    load.do("the network is well")
    await load.for_seconds(1)


@pytest.mark.parametrize("fault", ONE_FOR_CI)
async def test_clients_behind_a_bad_network_miss_nothing(
    faults: Faults, shared_mesh: FaultMesh, fault: str
) -> None:
    parts = urlsplit(shared_mesh.mesh.websocket_url)
    async with TcpProxy.running(parts.hostname or "", parts.port or 0) as (proxy, port):
        shape = Shape(users=60, rate=60, url=f"ws://127.0.0.1:{port}{PATH}")
        async with faults.load(shared_mesh, shape) as load:
            await go_wrong(load, proxy, fault, slow=2_000)
            verdict = await faults.clean(load)
    assert bool(verdict.duplicates) is (fault in {"half-closes", "resets"})


@pytest.mark.parametrize("fault", ONE_FOR_CI)
async def test_clients_stay_connected_while_their_edge_reaches_the_event_service_badly(
    faults: Faults, shared_mesh: FaultMesh, fault: str
) -> None:
    host, _, port = shared_mesh.mesh.emit_target.rpartition(":")
    async with (
        TcpProxy.running(host, int(port)) as (proxy, proxy_port),
        extra_edge(faults, shared_mesh, f"127.0.0.1:{proxy_port}") as url,
        faults.load(shared_mesh, Shape(users=60, rate=60, url=url)) as load,
    ):
        await go_wrong(load, proxy, fault, slow=20_000)
        verdict = await faults.clean(load)
    assert not verdict.duplicates, "a client had to connect again"


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_lost_while_the_event_service_reaches_postgres_badly(
    faults: Faults, shared_mesh: FaultMesh, fault: str
) -> None:
    dsn = login_dsn(shared_mesh, "event_service")
    parts = urlsplit(dsn)
    async with TcpProxy.running(parts.hostname or "", parts.port or 0) as (proxy, proxy_port):
        settings = {"POSTGRES_DSN": through(dsn, proxy_port)}
        async with (
            extra_service(shared_mesh, "event-service", settings, faults.folder) as extra,
            extra_edge(faults, shared_mesh, extra.address) as url,
            faults.load(shared_mesh, Shape(users=60, rate=60, url=url, targets=(extra.address,))) as load,
        ):
            await go_wrong(load, proxy, fault, slow=50_000)
            verdict = await faults.clean(load)
    assert not verdict.duplicates, "a client had to connect again"


@asynccontextmanager
async def extra_edge(faults: Faults, mesh: FaultMesh, target: str) -> AsyncIterator[str]:
    """One more edge, attached there; where its clients connect."""
    settings = {"EVENT_TARGETS": target}
    async with extra_service(mesh, "edge", settings, faults.folder) as extra:
        yield f"ws://{extra.address}{PATH}"
