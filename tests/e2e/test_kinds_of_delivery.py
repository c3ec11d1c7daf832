"""Events that need not reach everybody, through the whole mesh: what a client sees, and what REST shows."""

from __future__ import annotations

import json

import httpx
from google.protobuf.duration_pb2 import Duration

from harkara.event.v1 import event_pb2
from tests.support.mesh import Mesh
from tests.support.plain_client import listening


def location(user_id: str, number: int, **fields: object) -> event_pb2.EventDraft:
    """A position of a courier: of level low."""
    draft = event_pb2.EventDraft(
        user_id=user_id, event_type="location_updated", data=json.dumps({"number": number})
    )
    draft.MergeFrom(event_pb2.EventDraft(**fields))  # type: ignore[arg-type]
    return draft


async def history(mesh: Mesh, user_id: str) -> list[int]:
    headers = {"authorization": f"Bearer {mesh.token_of(user_id)}"}
    async with httpx.AsyncClient(base_url=mesh.rest_url, headers=headers) as rest:
        answer = (await rest.get(f"/api/websocket/events/user/{user_id}")).json()
    return [row["seq"] for row in answer["data"]]


async def test_a_client_gets_the_newest_of_a_key_and_history_keeps_all(mesh: Mesh) -> None:
    user = "kinds_collapsed"
    mesh.add_users({user: "customer"})
    async with listening(mesh.websocket_url, mesh.token_of(user), ["location_updated"]) as client:
        mesh.emit(*[location(user, number, collapse_key="courier-7") for number in range(1, 51)])
        events = await client.receive_events(2)

    assert [(event["seq"], event["data"]["number"]) for event in events] == [(1, 1), (50, 50)]
    assert await history(mesh, user) == list(range(50, 0, -1))


async def test_a_client_does_not_get_what_has_expired_and_history_keeps_it(mesh: Mesh) -> None:
    user = "kinds_expired"
    mesh.add_users({user: "customer"})
    async with listening(mesh.websocket_url, mesh.token_of(user), ["location_updated"]) as client:
        mesh.emit(location(user, 1, ttl=Duration(nanos=1)), location(user, 2, ttl=Duration(seconds=60)))
        (event,) = await client.receive_events(1)

    assert event["seq"] == 2
    assert await history(mesh, user) == [2, 1]


async def test_an_ephemeral_event_reaches_a_client_without_seq_and_is_in_no_history(mesh: Mesh) -> None:
    user = "kinds_ephemeral"
    mesh.add_users({user: "customer"})
    async with listening(mesh.websocket_url, mesh.token_of(user), ["location_updated"]) as client:
        (result,) = mesh.emit(location(user, 1, storage=event_pb2.STORAGE_EPHEMERAL))
        mesh.emit(location(user, 2))
        first, second = await client.receive_events(2)

    assert (result.seq, result.event_id) == (0, first["event_id"])
    assert list(first) == [
        "event_type", "event_level", "event_id", "timestamp", "user_id", "data", "source",
    ]  # fmt: skip
    assert second["seq"] == 1
    assert await history(mesh, user) == [1]
