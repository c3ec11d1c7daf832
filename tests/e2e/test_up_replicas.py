"""`up --replicas 2 --edge-workers 2`: two event-services, joined by NATS, behind two edge workers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc import aio
from prometheus_client.parser import text_string_to_metric_families
from ulid import ULID
from websockets.exceptions import ConnectionClosed

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2_grpc as pb_grpc
from harkara.event.v1 import event_pb2
from harkara_cli.data_dir import DataDir
from tests.support.mesh import Mesh, bearer, running_mesh
from tests.support.processes import is_gone
from tests.support.reference_client import ReferenceClient
from tests.support.waiting import wait_until_async

# A start of the whole mesh, and one of a killed part of it for most tests.
pytestmark = pytest.mark.timeout(120)


MAY_BE_REPEATED = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("replicas")
    with running_mesh(folder / "data", "--replicas", "2", "--edge-workers", "2") as (mesh, _):
        yield mesh


def now(mesh: Mesh) -> dict[str, Any]:
    """What the mesh says of itself now."""
    said: dict[str, Any] = json.loads(DataDir(Path(mesh.data_dir)).run_file.read_text())
    return said


async def are_ready(mesh: Mesh, service: str) -> None:
    """Wait until every process of a service is there and ready."""

    def ready() -> bool:
        try:
            for url in mesh.ops_urls[service]:
                urllib.request.urlopen(f"{url}/readyz", timeout=2).close()  # noqa: S310 - loopback.
        except OSError:
            return False
        return all(not is_gone(pid) for pid in now(mesh)["pids"][service])

    await wait_until_async(ready, 40)


async def kill(mesh: Mesh, service: str, index: int, number: signal.Signals = signal.SIGKILL) -> None:
    """End one process of a service, and wait until it has ended."""
    pid = now(mesh)["pids"][service][index]
    os.kill(pid, number)
    await wait_until_async(lambda: is_gone(pid))


def sessions_at(mesh: Mesh, service: str, index: int) -> float:
    """How many sessions one process of a service has."""
    with urllib.request.urlopen(f"{mesh.ops_urls[service][index]}/metrics", timeout=5) as answer:  # noqa: S310
        families = text_string_to_metric_families(answer.read().decode())
        name = f"harkara_{service.replace('-', '_')}_sessions"
        return next(family for family in families if family.name == name).samples[0].value


@asynccontextmanager
async def crowd(mesh: Mesh, name: str, size: int) -> AsyncIterator[dict[str, ReferenceClient]]:
    """Clients, each of a user of its own, subscribed to everything, at both replicas."""
    users = [f"{name}_{number}" for number in range(size)]
    mesh.add_users(dict.fromkeys(users, "customer"))
    clients = {
        user_id: await ReferenceClient.sign_in(mesh.websocket_url, mesh.token_of(user_id))
        for user_id in users
    }
    for client in clients.values():
        await client.subscribe("*")
    try:
        yield clients
    finally:
        for client in clients.values():
            # One that has not read everything would first wait for itself to do so.
            client.connection.transport.abort()


async def spread(mesh: Mesh, service: str, clients: dict[str, ReferenceClient]) -> None:
    """Let clients be at both processes of a service.

    Which worker takes a connection is the kernel's choice, so one client comes again and again; and a worker
    whose own replica was slow to answer is at the other one for up to a minute.
    """
    user_id = next(iter(clients))
    async with asyncio.timeout(80):
        while not (sessions_at(mesh, service, 0) and sessions_at(mesh, service, 1)):
            clients[user_id].connection.transport.abort()
            clients[user_id] = await ReferenceClient.sign_in(mesh.websocket_url, mesh.token_of(user_id))
            await clients[user_id].subscribe("*")
            await asyncio.sleep(0.1)


class Emitters:
    """Emits at each replica in turn; what fails is emitted again, with the same id, at the next.

    Args:
        mesh: Where.
        stack: Its channels.
    """

    def __init__(self, mesh: Mesh, channels: list[aio.Channel]) -> None:
        self._stubs = [pb_grpc.EmitServiceStub(channel) for channel in channels]
        self._metadata = bearer(mesh.service_token)
        self.emitted = 0

    async def emit(self, user_id: str, first: int = 0) -> int:
        """Emit one event until it is answered; its seq."""
        event = event_pb2.EventDraft(
            user_id=user_id, event_type="order_ready", data="{}", event_id=f"evt_{ULID()}"
        )
        for attempt in range(200):
            stub: Any = self._stubs[(first + attempt) % len(self._stubs)]
            try:
                answer = await stub.Emit(pb.EmitRequest(event=event), metadata=self._metadata, timeout=3)
            except aio.AioRpcError as error:
                if error.code() not in MAY_BE_REPEATED:
                    raise
                await asyncio.sleep(0.02)
            else:
                self.emitted += 1
                return int(answer.seq)
        raise AssertionError("nobody takes events")

    async def emit_to_all(self, users: list[str], over: asyncio.Event) -> int:
        """Emit to each in turn, some at once, until it is over; how many each got."""
        turn = 0
        while not over.is_set():
            turn += 1
            await asyncio.gather(*(self.emit(user_id, turn + place) for place, user_id in enumerate(users)))
        return turn


@asynccontextmanager
async def emitters(mesh: Mesh) -> AsyncIterator[Emitters]:
    channels = [aio.insecure_channel(target) for target in mesh.emit_targets]
    try:
        yield Emitters(mesh, channels)
    finally:
        for channel in channels:
            await channel.close(None)


async def stats(mesh: Mesh) -> httpx.Response:
    headers = {"authorization": f"Bearer {mesh.admin_token}"}
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"{mesh.rest_url}/api/websocket/stats", headers=headers)


async def stats_answer(mesh: Mesh, status: int, seconds: float) -> None:
    """Wait until the live counts are answered with this HTTP status."""
    async with asyncio.timeout(seconds):
        while (await stats(mesh)).status_code != status:  # noqa: ASYNC110 - nobody tells.
            await asyncio.sleep(0.05)


async def stats_say(mesh: Mesh, connections: int, users: int) -> None:
    """Wait until the live counts are these; 2 seconds at most."""
    async with asyncio.timeout(2):
        while True:
            answer = await stats(mesh)
            assert answer.status_code == 200, answer.text
            counts = answer.json()["data"]
            if (counts["total_connections"], counts["total_users"]) == (connections, users):
                return
            await asyncio.sleep(0.05)


async def test_there_are_two_of_them_and_a_nats_that_asks_for_a_password(replicas: Mesh) -> None:
    said = now(replicas)
    assert said["emit_targets"][0] == said["emit_target"]
    assert len(set(said["emit_targets"])) == 2
    assert {service: len(pids) for service, pids in said["pids"].items()} == {
        "edge": 2,
        "event-service": 2,
        "auth-service": 1,
        "query-service": 1,
        "postgres": 1,
        "nats": 1,
    }
    assert len(said["ops_urls"]["event-service"]) == 2
    scheme, _, rest = said["backplane_url"].partition("://")
    credential, _, address = rest.partition("@")
    assert (scheme, credential.partition(":")[0], len(credential) > 30) == ("nats", "harkara", True)
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    greeting = await reader.readline()
    assert json.loads(greeting.removeprefix(b"INFO "))["auth_required"] is True
    writer.write(b"CONNECT {}\r\nPING\r\n")
    assert (await reader.readline()).startswith(b"-ERR")
    writer.close()
    for name in ("nats.conf", "secrets/nats.password"):
        assert stat.S_IMODE((Path(replicas.data_dir) / name).stat().st_mode) == 0o600


async def test_an_event_emitted_at_either_reaches_sockets_of_both(replicas: Mesh) -> None:
    async with crowd(replicas, "across", 8) as clients, emitters(replicas) as emitting:
        await spread(replicas, "event-service", clients)
        for turn in range(4):
            for user_id in clients:
                await emitting.emit(user_id, turn)
        for client in clients.values():
            assert await client.seqs(4) == [1, 2, 3, 4]


async def test_the_counts_are_exact_over_both_and_there_are_none_while_one_is_frozen(replicas: Mesh) -> None:
    async with crowd(replicas, "counted", 6) as clients:
        await stats_say(replicas, 6, 6)
        first = next(iter(clients))
        twin = await ReferenceClient.sign_in(replicas.websocket_url, replicas.token_of(first))
        await stats_say(replicas, 7, 6)
        pid = now(replicas)["pids"]["event-service"][1]
        os.kill(pid, signal.SIGSTOP)
        try:
            await stats_answer(replicas, 503, 4)
            # Its edge leaves it, and comes back to nobody: the other one has all of them.
            await wait_until_async(lambda: sessions_at(replicas, "event-service", 0) == 7)
        finally:
            os.kill(pid, signal.SIGCONT)
        await wait_until_async(lambda: sessions_at(replicas, "event-service", 1) == 0)
        await stats_answer(replicas, 200, 2)
        await stats_say(replicas, 7, 6)
        await twin.close()


async def test_when_one_is_killed_clients_stay_and_miss_nothing(replicas: Mesh) -> None:
    async with crowd(replicas, "killed", 10) as clients, emitters(replicas) as emitting:
        over = asyncio.Event()
        emitted = asyncio.create_task(emitting.emit_to_all(list(clients), over))
        for index in (0, 1):
            await wait_until_async(lambda: emitting.emitted >= 50 * (index + 1))  # noqa: B023 - used at once.
            await kill(replicas, "event-service", index)
            before = emitting.emitted
            await wait_until_async(lambda: emitting.emitted > before + 50)  # noqa: B023 - used at once.
            await are_ready(replicas, "event-service")
        over.set()
        turns = await emitted
        # Still the same connections; each event once, in order.
        for client in clients.values():
            assert await client.seqs(turns) == list(range(1, turns + 1))
            assert (await client.heartbeat())["seq"] == turns


async def test_restarting_one_after_the_other_fails_no_emit_and_no_client(replicas: Mesh) -> None:
    async with crowd(replicas, "rolled", 10) as clients, emitters(replicas) as emitting:
        over = asyncio.Event()
        emitted = asyncio.create_task(emitting.emit_to_all(list(clients), over))
        for index in (0, 1):
            await kill(replicas, "event-service", index, signal.SIGTERM)
            await are_ready(replicas, "event-service")
        over.set()
        turns = await emitted
        for client in clients.values():
            assert await client.seqs(turns) == list(range(1, turns + 1))
            assert (await client.heartbeat())["seq"] == turns


async def test_an_edge_worker_that_is_restarted_sends_its_clients_to_the_other(replicas: Mesh) -> None:
    async with crowd(replicas, "drained", 12) as clients:
        await spread(replicas, "edge", clients)
        await kill(replicas, "edge", 0, signal.SIGTERM)
        answers = await asyncio.gather(*(end_of(client) for client in clients.values()))
        # Who was at the other one has noticed nothing.
        assert set(answers) == {1012, None}
        resumed = await ReferenceClient.sign_in(replicas.websocket_url, replicas.token_of("drained_0"))
        await resumed.close()
        await are_ready(replicas, "edge")


async def end_of(client: ReferenceClient) -> int | None:
    """The close code of a client's connection; None where it is open."""
    try:
        await client.send({"type": "heartbeat"})
        first = await client.receive()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006
    return None if first["type"] == "heartbeat_ack" else await client.closed()


async def test_nats_that_is_killed_is_started_again_on_its_old_port(replicas: Mesh) -> None:
    before = now(replicas)["pids"]["nats"]
    await kill(replicas, "nats", 0)
    await wait_until_async(lambda: now(replicas)["pids"]["nats"] not in ([], before))
    address = now(replicas)["backplane_url"].rpartition("@")[2]
    host, _, port = address.partition(":")

    async def answers() -> bool:
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return False
        line = await reader.readline()
        writer.close()
        return line.startswith(b"INFO ")

    async with asyncio.timeout(10):
        while not await answers():  # noqa: ASYNC110 - nobody tells.
            await asyncio.sleep(0.02)
    async with crowd(replicas, "hinted", 4) as clients, emitters(replicas) as emitting:
        for turn in range(2):
            for user_id in clients:
                await emitting.emit(user_id, turn)
        for client in clients.values():
            assert await client.seqs(2) == [1, 2]
