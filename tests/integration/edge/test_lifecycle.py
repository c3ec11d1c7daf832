"""Starting, being ready, stopping."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from pathlib import Path

import grpc
import httpx
import pytest

from harkara_edge.adapters import auth_client
from harkara_edge.adapters.connection import Connection
from harkara_edge.service import Client
from harkara_edge.settings import EdgeSettings
from harkara_edge.wiring import serve
from harkara_servicekit.settings import SettingsError, load
from tests.integration.edge.conftest import Edge
from tests.support.raw_client import RawClient, message, request
from tests.support.scripted_mesh import Attached, TinyEventService
from tests.support.waiting import wait_until_async


async def ready(edge: Edge) -> int:
    assert edge.bound is not None
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://{edge.bound.ops_address}/readyz")).status_code


async def test_a_worker_is_ready_while_both_services_are_there(edge: Edge, stream: Attached) -> None:
    await wait_until_async(lambda: edge.metric("harkara_edge_watching") == 1)
    await wait_until_async(lambda: edge.metric("harkara_edge_attached") == 1)
    assert await ready(edge) == 200
    edge.delivery.refuse = grpc.StatusCode.UNAVAILABLE
    stream.end()
    await wait_until_async(lambda: edge.metric("harkara_edge_attached") == 0)
    assert await ready(edge) == 503
    edge.delivery.refuse = None
    await wait_until_async(lambda: edge.metric("harkara_edge_attached") == 1)
    assert await ready(edge) == 200
    await edge.lose_watch()
    assert await ready(edge) == 503


async def test_a_silent_auth_service_is_noticed(
    edge: Edge, stream: Attached, monkeypatch: pytest.MonkeyPatch
) -> None:
    del stream
    await wait_until_async(lambda: edge.metric("harkara_edge_watching") == 1)
    monkeypatch.setattr(auth_client, "SILENCE_SECONDS", 1.2)
    edge.auth.silent = True
    await wait_until_async(lambda: edge.metric("harkara_edge_watching") == 0)
    edge.auth.silent = False
    await wait_until_async(lambda: edge.metric("harkara_edge_watching") == 1)


async def test_a_worker_that_stops_sends_its_clients_to_another(edge: Edge, events: TinyEventService) -> None:
    del events
    clients = [await edge.sign_in(f"user_{number}") for number in range(5)]
    newcomer = await edge.open()
    edge.stop.set()
    for client in [*clients, newcomer]:
        assert await client.refused() == ("server_restarting", 1012)
    assert edge.task is not None
    await asyncio.wait_for(edge.task, 10)
    with pytest.raises(ConnectionRefusedError):
        await RawClient.connect(edge.address)


@pytest.mark.parametrize("edge_settings", [{"drain_seconds": 60.0}])
async def test_while_a_worker_drains_nobody_comes_in_and_who_is_there_is_served(
    edge: Edge, events: TinyEventService
) -> None:
    clients = [await edge.sign_in(f"user_{number}") for number in range(3)]
    for client in clients:
        await client.subscribe("*")
    edge.stop.set()
    assert await clients[0].refused() == ("server_restarting", 1012)
    assert await ready(edge) == 503
    with pytest.raises(ConnectionRefusedError):
        await RawClient.connect(edge.address)
    for number in (1, 2):
        await events.emit(f"user_{number}")
        assert await clients[number].seqs(1) == [1]
        assert (await clients[number].heartbeat())["seq"] == 1
    edge.hurry.set()
    for client in clients[1:]:
        assert await client.refused() == ("server_restarting", 1012)
    assert edge.task is not None
    await asyncio.wait_for(edge.task, 10)


@pytest.mark.parametrize("edge_settings", [{"close_seconds": 0.2}])
async def test_a_client_that_never_reads_holds_up_no_stop(edge: Edge, events: TinyEventService) -> None:
    client = await edge.raw_sign_in(receive_buffer=4_096)
    client.send(message(type="subscribe", events=["*"]))
    await wait_until_async(lambda: any(command.HasField("subscribe") for command in events.commands))
    while edge.metric("harkara_edge_unsent_bytes") < 64 * 1024:
        await events.emit("user_1", filler="x" * 60_000)
        await asyncio.sleep(0.01)
    edge.stop.set()
    assert edge.task is not None
    await asyncio.wait_for(edge.task, 5)


async def test_nothing_is_kept_of_connections_that_ended(edge: Edge, events: TinyEventService) -> None:
    del events

    def kept() -> int:
        gc.collect()
        return sum(isinstance(thing, Connection | Client) for thing in gc.get_objects())

    for number in range(20):
        client = await edge.sign_in(f"user_{number}")
        await client.subscribe("*")
        await client.close()
        raw = await RawClient.connect(edge.address)
        raw.send(request()[:30])
        await raw.close()
    await wait_until_async(lambda: edge.metric("harkara_edge_connections") == 0)
    # Sooner than any of their deadlines.
    await wait_until_async(lambda: kept() == 0, seconds=5)


async def test_a_request_under_way_when_the_worker_stops_is_refused(edge: Edge) -> None:
    raw = await RawClient.connect(edge.address)
    await wait_until_async(lambda: edge.metric("harkara_edge_connections") == 1)
    edge.stop.set()
    await asyncio.sleep(0)
    raw.send(request())
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        assert await raw.status() == 503
    await raw.close()


async def test_a_credential_is_read_again_when_its_file_changes(edge: Edge, stream: Attached) -> None:
    assert stream.authorization == "Bearer internal-edge-token"
    edge.credential.write_text("another-token")
    stream.end()
    second = await edge.delivery.attached()
    assert second.authorization == "Bearer another-token"


async def test_a_credential_open_to_others_stops_the_start(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    token.chmod(0o644)
    settings = EdgeSettings(listen_address="127.0.0.1:0", ops_address="127.0.0.1:0", credential_file=token)
    with pytest.raises(SettingsError, match="0600"):
        await serve(settings, asyncio.Event())


async def test_a_taken_address_stops_the_start(edge: Edge) -> None:
    settings = EdgeSettings(
        listen_address=edge.address, ops_address="127.0.0.1:0", credential_file=edge.credential
    )
    with pytest.raises(OSError, match="in use"):
        await serve(settings, asyncio.Event())


async def test_workers_may_share_an_address_when_they_are_told(edge: Edge) -> None:
    assert edge.bound is not None
    addresses = []
    stop = asyncio.Event()
    first: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    settings = EdgeSettings(
        listen_address="127.0.0.1:0",
        ops_address="127.0.0.1:0",
        credential_file=edge.credential,
        auth_target=edge.mesh.target,
        event_targets=(edge.mesh.target,),
        workers=2,
    )
    one = asyncio.create_task(serve(settings, stop, lambda bound: first.set_result(bound.listen_address)))
    address = await first
    second = settings.model_copy(update={"listen_address": address, "worker": "edge-2"})
    two = asyncio.create_task(serve(second, stop, lambda bound: addresses.append(bound.listen_address)))
    await wait_until_async(lambda: addresses == [address])
    stop.set()
    await asyncio.gather(one, two)


def test_every_faulty_setting_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(
            EdgeSettings,
            {
                "HARKARA_EDGE_LISTEN_ADDRESS": "nowhere",
                "HARKARA_EDGE_ALLOWED_ORIGINS": "shop.example",
                "HARKARA_EDGE_WORKER": "a b",
                "HARKARA_EDGE_LOOP": "trio",
            },
        )
    told = capsys.readouterr().err
    for name in ("LISTEN_ADDRESS", "ALLOWED_ORIGINS", "WORKER", "LOOP", "CREDENTIAL_FILE"):
        assert f"HARKARA_EDGE_{name}: " in told


def test_the_limits_are_those_of_the_protocol(tmp_path: Path) -> None:
    limits = EdgeSettings(credential_file=tmp_path / "token").limits()
    assert limits.max_messages == 200
    assert limits.max_message_bytes == 65_536
    assert limits.max_subscriptions == 200
    assert (limits.auth_seconds, limits.silence_seconds, limits.stall_seconds) == (10, 75, 60)
    assert (limits.max_unsent_bytes, limits.max_unsent_bytes_crowded) == (262_144, 65_536)
