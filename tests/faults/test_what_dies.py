"""The table of docs/guarantees.md, row by row: what goes on, and what does not, while one of them is dead."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

import grpc
import pytest
from ulid import ULID
from websockets.exceptions import ConnectionClosed

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2_grpc as pb_grpc
from harkara.event.v1 import event_pb2
from harkara_servicekit.grpc_client import open_channel
from tests.faults.conftest import Faults
from tests.support.faults.mesh import FaultMesh
from tests.support.faults.visitor import Rest, come_in, history, rest
from tests.support.mesh import bearer
from tests.support.plain_client import PlainClient, listening

pytestmark = pytest.mark.timeout(180)

USER = "demo_customer"
SECONDS_TO_BE_TURNED_AWAY = 3.0
_PAST_ANY_CACHE = 6.0
"""Longer than a verified token, or a user that was looked up, is remembered."""


@dataclass
class Seen:
    """What everybody saw while something was dead.

    Attributes:
        emit: The status of one Emit, with a deadline of 3 s.
        heartbeat: Whether the connected client's heartbeat was answered.
        newcomer: How a new connection began: "authenticated", a close code, or "none" where nobody listens.
        newcomer_seconds: How long that took.
        history: Of REST.
        stats: Of REST.
    """

    emit: str = ""
    heartbeat: bool = False
    newcomer: str = ""
    newcomer_seconds: float = 0.0
    history: Rest = field(default_factory=lambda: Rest(0))
    stats: Rest = field(default_factory=lambda: Rest(0))


async def emit(mesh: FaultMesh) -> str:
    """One Emit; its status."""
    draft = event_pb2.EventDraft(
        user_id=USER, event_type="order_ready", data='{"order_id":"ord_1"}', event_id=f"evt_{ULID()}"
    )
    async with open_channel(mesh.mesh.emit_target) as channel:
        stub: pb_grpc.EmitServiceAsyncStub = pb_grpc.EmitServiceStub(channel)
        try:
            await stub.Emit(pb.EmitRequest(event=draft), metadata=bearer(mesh.mesh.service_token), timeout=3)
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return "OK"


async def heartbeat(client: PlainClient) -> bool:
    """Whether it is answered, whatever else comes."""
    await client.send({"type": "heartbeat"})
    with contextlib.suppress(TimeoutError, ConnectionClosed):
        while (await client.receive()).get("type") != "heartbeat_ack":
            pass
        return True
    return False


async def look(mesh: FaultMesh, client: PlainClient) -> Seen:
    """Ask everything of a mesh in which something is dead."""
    seen = Seen()
    seen.emit = await emit(mesh)
    seen.heartbeat = await heartbeat(client)
    began = time.monotonic()
    seen.newcomer = await come_in(mesh, USER)
    seen.newcomer_seconds = time.monotonic() - began
    seen.history = await asyncio.to_thread(history, mesh, USER)
    seen.stats = await asyncio.to_thread(rest, mesh.mesh.rest_url, "stats", mesh.mesh.admin_token)
    return seen


async def look_while_dead(faults: Faults, mesh: FaultMesh, kind: str) -> Seen:
    """What everybody sees while all processes of a kind are dead."""
    await mesh.all_are_back()
    assert await emit(mesh) == "OK"  # Its credential is known from now on.
    async with listening(mesh.mesh.websocket_url, mesh.mesh.token_of(USER)) as client:
        faults.say(f"{kind} is dead")
        async with mesh.kept_dead(kind):
            await asyncio.sleep(_PAST_ANY_CACHE)
            seen = await look(mesh, client)
        faults.say(f"it is back; meanwhile {seen}")
        await mesh.all_are_back()
        await client.socket.close()
    assert await emit(mesh) == "OK"
    assert await come_in(mesh, USER) == "authenticated"
    return seen


async def test_while_the_event_service_is_dead_clients_stay_and_newcomers_are_told_within_3_seconds(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    seen = await look_while_dead(faults, shared_mesh, "event-service")
    assert seen.emit in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert seen.heartbeat
    assert seen.newcomer == "1013"
    assert seen.newcomer_seconds < SECONDS_TO_BE_TURNED_AWAY + 1
    assert seen.history.status == 200
    assert seen.stats.status == 503


async def test_while_the_auth_service_is_dead_emit_goes_on_and_newcomers_are_sent_away(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    seen = await look_while_dead(faults, shared_mesh, "auth-service")
    assert seen.emit == "OK"
    assert seen.heartbeat
    assert seen.newcomer == "1013"
    assert seen.history.status == 503
    assert seen.stats.status == 503


async def test_while_postgres_is_dead_nothing_is_answered_ok_and_clients_stay(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    seen = await look_while_dead(faults, shared_mesh, "postgres")
    assert seen.emit in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert seen.heartbeat
    assert seen.newcomer == "1013"
    assert seen.history.status == 503
    assert seen.history.retry_after is not None


async def test_while_the_query_service_is_dead_only_rest_is(faults: Faults, shared_mesh: FaultMesh) -> None:
    seen = await look_while_dead(faults, shared_mesh, "query-service")
    assert seen.emit == "OK"
    assert seen.heartbeat
    assert seen.newcomer == "authenticated"
    assert seen.history.status == 0


async def test_while_nats_is_dead_everything_goes_on(faults: Faults, replicated_mesh: FaultMesh) -> None:
    seen = await look_while_dead(faults, replicated_mesh, "nats")
    assert seen.emit == "OK"
    assert seen.heartbeat
    assert seen.newcomer == "authenticated"
    assert seen.history.status == 200
    assert seen.stats.status == 200


async def test_while_one_edge_worker_is_dead_everything_goes_on_at_the_other(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    await shared_mesh.all_are_back()
    faults.say("edge-1 is dead")
    async with shared_mesh.kept_dead("edge", 0):
        assert await emit(shared_mesh) == "OK"
        assert [await come_in(shared_mesh, USER) for _ in range(10)] == ["authenticated"] * 10
        assert (await asyncio.to_thread(history, shared_mesh, USER)).status == 200
    await shared_mesh.all_are_back()
