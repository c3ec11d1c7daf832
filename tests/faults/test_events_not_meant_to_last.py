"""Events with a `ttl` and ephemeral ones, while the event-service freezes and dies."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf.duration_pb2 import Duration
from ulid import ULID

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2_grpc as pb_grpc
from harkara.event.v1 import event_pb2
from harkara_servicekit.grpc_client import open_channel
from tests.faults.conftest import Faults
from tests.support.faults.extra_service import extra_edge, extra_service, login_dsn
from tests.support.faults.mesh import FaultMesh
from tests.support.faults.visitor import history
from tests.support.mesh import bearer
from tests.support.plain_client import PlainClient, listening
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.timeout(120)

USER = "demo_customer"
TTL_SECONDS = 1


def draft(**fields: Any) -> event_pb2.EventDraft:
    """An event of the user."""
    return event_pb2.EventDraft(
        user_id=USER,
        event_type="order_ready",
        data='{"order_id":"o_1"}',
        event_id=f"evt_{ULID()}",
        **fields,
    )


async def emit(mesh: FaultMesh, target: str, event: event_pb2.EventDraft) -> None:
    """Emit until it is answered OK."""
    async with open_channel(target) as channel:
        stub: pb_grpc.EmitServiceAsyncStub = pb_grpc.EmitServiceStub(channel)
        async with asyncio.timeout(30):
            while True:
                try:
                    request = pb.EmitRequest(event=event)
                    await stub.Emit(request, metadata=bearer(mesh.mesh.service_token), timeout=10)
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.1)
                else:
                    return


async def position(client: PlainClient) -> int:
    """Up to where this connection has everything; there must be no event under way to it."""
    answer = await client.ask({"type": "heartbeat"})
    assert answer["type"] == "heartbeat_ack"
    return int(answer["seq"])


async def test_an_event_that_expires_while_the_event_service_is_frozen_is_not_delivered_and_is_in_history(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    # It freezes when it has committed the second event and told nobody.
    await shared_mesh.all_are_back()
    first, expired, last = draft(), draft(ttl=Duration(seconds=TTL_SECONDS)), draft()
    settings = {"POSTGRES_DSN": login_dsn(shared_mesh, "event_service")}
    failpoint = "event-service.after-commit=stop:2"
    async with (
        extra_service(shared_mesh, "event-service", settings, faults.folder, failpoints=failpoint) as extra,
        extra_edge(shared_mesh, faults.folder, EVENT_TARGETS=extra.address) as url,
        listening(url, shared_mesh.mesh.token_of(USER)) as client,
    ):
        await emit(shared_mesh, extra.address, first)
        assert (await client.receive())["event_id"] == first.event_id
        emitting = asyncio.create_task(emit(shared_mesh, extra.address, expired))
        process = psutil.Process(extra.pid)
        await wait_until_async(lambda: process.status() == psutil.STATUS_STOPPED)
        faults.say(f"frozen with an event that is good for {TTL_SECONDS} s")
        await asyncio.sleep(2 * TTL_SECONDS)
        process.resume()
        await emitting
        await emit(shared_mesh, extra.address, last)
        assert (await client.receive())["event_id"] == last.event_id
        await client.socket.close()
    stored = await asyncio.to_thread(history, shared_mesh, USER)
    assert stored.event_ids[:3] == [last.event_id, expired.event_id, first.event_id]


async def test_an_ephemeral_event_moves_no_position_and_is_nowhere_once_the_event_service_died(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    await shared_mesh.all_are_back()
    token = shared_mesh.mesh.token_of(USER)
    target = shared_mesh.mesh.emit_target
    before, passing, after = draft(), draft(storage=event_pb2.STORAGE_EPHEMERAL), draft()
    async with listening(shared_mesh.mesh.websocket_url, token) as client:
        await emit(shared_mesh, target, before)
        seq = (await client.receive())["seq"]
        await emit(shared_mesh, target, passing)
        came = await client.receive()
        assert (came["event_id"], came.get("seq")) == (passing.event_id, None)
        assert await position(client) == seq
        faults.say("kill -9 event-service")
        await shared_mesh.kill("event-service")
        await shared_mesh.is_back("event-service")
        await emit(shared_mesh, target, after)
        came = await client.receive()
        assert (came["event_id"], came["seq"]) == (after.event_id, seq + 1)
        assert await position(client) == seq + 1
        await client.socket.close()
    stored = await asyncio.to_thread(history, shared_mesh, USER)
    assert stored.event_ids[:2] == [after.event_id, before.event_id]
