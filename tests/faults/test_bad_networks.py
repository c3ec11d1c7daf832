"""Links that delay, trickle, stall, half-close and reset: between clients and edge, and inside the mesh.

The links inside are those of one more process (and of an edge of its own where it is none), whose settings
name a proxy where the mesh's own name the peer.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harkara_cli.data_dir import DataDir
from tests.faults.conftest import Faults
from tests.support.cutting_proxy import through
from tests.support.faults.extra_service import extra_edge, extra_service, login_dsn
from tests.support.faults.load import Load, Shape
from tests.support.faults.mesh import FaultMesh
from tests.support.faults.visitor import Rest, history
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.timeout(180)

FAULTS = ["delays", "trickles", "stalls", "half-closes", "resets"]
ONE_FOR_CI = [pytest.param(fault, marks=pytest.mark.ci if fault == "stalls" else ()) for fault in FAULTS]
PATH = "/api/websocket/ws"
USER = "demo_customer"
REST_SECONDS = 8.0
"""In which REST answers, whatever the query-service is waiting for."""
SECONDS_A_USER_IS_REMEMBERED = 6.0
"""And a little more."""


async def go_wrong(load: Load, proxy: TcpProxy, fault: str, *, slow: float) -> None:
    """Let one kind of fault befall every connection of a link of a load, and let it pass."""
    await load.for_seconds(1)
    load.do(f"the network {fault}")
    await befall(proxy, fault, slow)
    load.do("the network is well")
    await load.for_seconds(1)


async def befall(proxy: TcpProxy, fault: str, slow: float) -> None:
    """One kind of fault, for some seconds."""
    match fault:
        case "delays":
            proxy.delay = 0.05
            await asyncio.sleep(3)
            proxy.delay = 0
        case "trickles":
            proxy.bytes_per_second = slow
            await asyncio.sleep(3)
            proxy.bytes_per_second = None
        case "stalls":
            proxy.stall()
            await asyncio.sleep(4)
            proxy.flow()
        case "half-closes":
            for towards_client in (True, False):
                proxy.half_close(towards_client=towards_client)
                await asyncio.sleep(1.5)
        case "resets":
            for _ in range(3):
                proxy.cut_all(reset=True)
                await asyncio.sleep(1)


@pytest.mark.parametrize("fault", FAULTS)
async def test_clients_behind_a_bad_network_miss_nothing(
    faults: Faults, shared_mesh: FaultMesh, fault: str
) -> None:
    async with proxied(urlsplit(shared_mesh.mesh.websocket_url).netloc) as (proxy, address):
        shape = Shape(users=60, rate=60, url=f"ws://{address}{PATH}")
        async with faults.load(shared_mesh, shape) as load:
            await go_wrong(load, proxy, fault, slow=2_000)
            verdict = await faults.clean(load)
    assert bool(verdict.duplicates) is (fault in {"half-closes", "resets"})


@pytest.mark.parametrize("fault", ONE_FOR_CI)
async def test_clients_stay_connected_while_their_edge_reaches_the_event_service_badly(
    faults: Faults, shared_mesh: FaultMesh, fault: str
) -> None:
    async with (
        proxied(shared_mesh.mesh.emit_target) as (proxy, target),
        extra_edge(shared_mesh, faults.folder, EVENT_TARGETS=target) as url,
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
    async with (
        proxied(server_of(dsn)) as (proxy, target),
        extra_pair(faults, shared_mesh, POSTGRES_DSN=through(dsn, port_of(target))) as shape,
        faults.load(shared_mesh, shape) as load,
    ):
        await go_wrong(load, proxy, fault, slow=50_000)
        verdict = await faults.clean(load)
    assert not verdict.duplicates, "a client had to connect again"


@pytest.mark.parametrize("fault", FAULTS)
async def test_nobody_who_is_there_is_disturbed_while_the_edge_reaches_the_auth_service_badly(
    faults: Faults, shared_mesh: FaultMesh, fault: str
) -> None:
    async with (
        proxied(shared_mesh.mesh.auth_target) as (proxy, target),
        extra_edge(shared_mesh, faults.folder, AUTH_TARGET=target) as url,
        faults.load(shared_mesh, Shape(users=60, rate=60, url=url)) as load,
    ):
        await go_wrong(load, proxy, fault, slow=20_000)
        verdict = await faults.clean(load)
    assert not verdict.duplicates, "a client had to connect again"
    assert verdict.latency(1.0) < 2, "events waited for the auth-service"


@pytest.mark.parametrize("fault", FAULTS)
async def test_clients_come_in_while_the_edge_reaches_the_auth_service_badly(
    faults: Faults, shared_mesh: FaultMesh, fault: str
) -> None:
    # All of them lose their connections when it begins, and ask who they are through the bad link.
    async with (
        proxied(shared_mesh.mesh.auth_target) as (proxy, target),
        extra_edge(shared_mesh, faults.folder, AUTH_TARGET=target) as url,
        faults.load(shared_mesh, Shape(users=60, rate=60, url=url)) as load,
    ):
        async with asyncio.TaskGroup() as group:
            group.create_task(go_wrong(load, proxy, fault, slow=20_000))
            await load.for_seconds(1.5)
            await load.crowds[0].cut()
        verdict = await faults.clean(load)
    assert len(verdict.duplicates) >= load.shape.users


@pytest.mark.parametrize("fault", FAULTS)
async def test_emit_goes_on_while_the_event_service_reaches_the_auth_service_badly(
    faults: Faults, shared_mesh: FaultMesh, fault: str
) -> None:
    async with (
        proxied(shared_mesh.mesh.auth_target) as (proxy, target),
        extra_pair(faults, shared_mesh, AUTH_TARGET=target) as shape,
        faults.load(shared_mesh, shape) as load,
    ):
        await go_wrong(load, proxy, fault, slow=20_000)
        verdict = await faults.clean(load)
    assert not verdict.duplicates, "a client had to connect again"
    assert verdict.latency(1.0) < 2, "events waited for the auth-service"


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_replica_that_reaches_nats_badly_brings_everything_within_two_seconds(
    faults: Faults, replicated_mesh: FaultMesh, fault: str
) -> None:
    # Its clients get what the other replicas store, too.
    nats = replicated_mesh.mesh.backplane_url or ""
    async with (
        proxied(server_of(nats)) as (proxy, target),
        extra_pair(faults, replicated_mesh, BACKPLANE=through(nats, port_of(target))) as shape,
        faults.load(
            replicated_mesh, replace(shape, targets=(*replicated_mesh.emit_targets, *shape.targets))
        ) as load,
    ):
        since = time.monotonic()
        await go_wrong(load, proxy, fault, slow=5_000)
        verdict = await faults.clean(load)
    assert not verdict.duplicates, "a client had to connect again"
    assert verdict.latency(0.99, since) < 2


@pytest.mark.parametrize("fault", FAULTS)
async def test_clients_come_in_while_the_auth_service_reaches_postgres_badly(
    faults: Faults, shared_mesh: FaultMesh, fault: str
) -> None:
    dsn = login_dsn(shared_mesh, "auth_service")
    async with proxied(server_of(dsn)) as (proxy, target):
        settings = {
            "POSTGRES_DSN": through(dsn, port_of(target)),
            "HS256_KEY_FILE": str(DataDir(Path(shared_mesh.mesh.data_dir)).key_file),
        }
        async with (
            extra_service(shared_mesh, "auth-service", settings, faults.folder) as extra,
            extra_edge(shared_mesh, faults.folder, AUTH_TARGET=extra.address) as url,
            faults.load(shared_mesh, Shape(users=60, rate=60, url=url)) as load,
        ):
            await load.for_seconds(SECONDS_A_USER_IS_REMEMBERED)
            async with asyncio.TaskGroup() as group:
                group.create_task(go_wrong(load, proxy, fault, slow=20_000))
                await load.for_seconds(1.5)
                await load.crowds[0].cut()
            verdict = await faults.clean(load)
    assert len(verdict.duplicates) >= load.shape.users


@pytest.mark.parametrize("fault", FAULTS)
async def test_rest_answers_or_says_try_again_while_the_query_service_reaches_postgres_badly(
    faults: Faults, shared_mesh: FaultMesh, fault: str
) -> None:
    await shared_mesh.all_are_back()
    dsn = login_dsn(shared_mesh, "query_service")
    seen: list[Rest] = []
    is_over = asyncio.Event()
    async with proxied(server_of(dsn)) as (proxy, target):
        settings = {
            "POSTGRES_DSN": through(dsn, port_of(target)),
            "EVENT_TARGETS": shared_mesh.mesh.emit_target,
        }
        async with extra_service(shared_mesh, "query-service", settings, faults.folder) as extra:

            async def read() -> Rest:
                began = time.monotonic()
                answer = await asyncio.to_thread(history, shared_mesh, USER, f"http://{extra.address}")
                assert time.monotonic() - began < REST_SECONDS, f"{answer} came late"
                return answer

            async def keep_reading() -> None:
                while not is_over.is_set():
                    seen.append(await read())
                    await asyncio.sleep(0.1)

            assert (await read()).status == 200
            faults.say(f"the network {fault}")
            reading = asyncio.create_task(keep_reading())
            await befall(proxy, fault, slow=5_000)
            is_over.set()
            await reading
            faults.say(f"the network is well; meanwhile {Counter(answer.status for answer in seen)}")
            async with asyncio.timeout(REST_SECONDS):
                while (await read()).status != 200:
                    pass
    assert seen
    assert {answer.status for answer in seen} <= {200, 503, 504}
    assert all(answer.retry_after is not None for answer in seen if answer.status == 503)


def server_of(dsn: str) -> str:
    """The `host:port` of a libpq URL."""
    return urlsplit(dsn).netloc.rpartition("@")[2]


def port_of(address: str) -> int:
    """The port of `host:port`."""
    return int(address.rpartition(":")[2])


@asynccontextmanager
async def proxied(address: str) -> AsyncIterator[tuple[TcpProxy, str]]:
    """A proxy before `host:port`, and where it listens."""
    host, _, port = address.rpartition(":")
    async with TcpProxy.running(host, int(port)) as (proxy, proxy_port):
        yield proxy, f"127.0.0.1:{proxy_port}"


@asynccontextmanager
async def extra_pair(faults: Faults, mesh: FaultMesh, **settings: str) -> AsyncIterator[Shape]:
    """One more event-service with an edge of its own; a load that is all theirs."""
    told = {"POSTGRES_DSN": login_dsn(mesh, "event_service"), **settings}
    async with (
        extra_service(mesh, "event-service", told, faults.folder) as extra,
        extra_edge(mesh, faults.folder, EVENT_TARGETS=extra.address) as url,
    ):
        yield Shape(users=60, rate=60, url=url, targets=(extra.address,))
