"""A device that keeps nothing but its name goes on where it was, through the whole mesh."""

from __future__ import annotations

from harkara.event.v1 import event_pb2
from tests.support.mesh import Mesh
from tests.support.plain_client import PlainClient, connected

RESUME = {"events": ["*"]}


def emit(mesh: Mesh, user: str, count: int) -> None:
    draft = event_pb2.EventDraft(user_id=user, event_type="order_created", data="{}")
    assert not any(result.HasField("error") for result in mesh.emit(*[draft] * count))


async def come_in(mesh: Mesh, client: PlainClient, user: str, device_id: str) -> tuple[int, bool]:
    answer = await client.authenticate(mesh.token_of(user), device_id=device_id, resume=RESUME)
    assert answer["type"] == "authenticated", answer
    return answer["seq"], answer["recovered"]


async def seqs(client: PlainClient, count: int) -> list[int]:
    return [event["seq"] for event in await client.receive_events(count)]


async def test_a_device_gets_what_it_did_not_acknowledge(mesh: Mesh) -> None:
    user = "device_user"
    mesh.add_users({user: "customer"})
    emit(mesh, user, 1)
    async with connected(mesh.websocket_url) as client:
        assert await come_in(mesh, client, user, "phone") == (1, False)
        emit(mesh, user, 4)
        assert await seqs(client, 4) == [2, 3, 4, 5]
        await client.send({"type": "ack", "seq": 3})
        await client.ask({"type": "heartbeat", "timestamp": "2026-01-27T10:30:00Z"})

    emit(mesh, user, 1)
    async with connected(mesh.websocket_url) as client:
        assert await come_in(mesh, client, user, "phone") == (3, True)
        assert await seqs(client, 3) == [4, 5, 6]
    async with connected(mesh.websocket_url) as client:
        assert await come_in(mesh, client, user, "tablet") == (6, False)
