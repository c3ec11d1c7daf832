"""Every WebSocket example of the reference, said to the whole mesh by a client that knows nothing else."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from harkara.event.v1 import event_pb2
from tests.support.mesh import Mesh
from tests.support.plain_client import PlainClient, connected, listening
from tests.support.reference_vectors import Vector, load_vectors

VECTORS = load_vectors()
EVENTS = {name: vector for name, vector in VECTORS.items() if vector.kind == "event"}
LEVELS = {
    "low": event_pb2.EVENT_LEVEL_LOW,
    "medium": event_pb2.EVENT_LEVEL_MEDIUM,
    "high": event_pb2.EVENT_LEVEL_HIGH,
    "critical": event_pb2.EVENT_LEVEL_CRITICAL,
}
ISO_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")


@pytest.fixture(scope="module")
def reference_users(mesh: Mesh) -> Mesh:
    """The users whom the reference's examples speak of."""
    mesh.add_users({"user_123": "customer", "cust_123": "customer", "dboy_123": "delivery_boy"})
    return mesh


def example(name: str) -> dict[str, Any]:
    """The reference's example of this name."""
    return dict(VECTORS[name].body)


def assert_has_the_fields_of(answer: dict[str, Any], name: str) -> None:
    """Each field of the example is there, with a value of the same JSON type."""
    for field, value in VECTORS[name].body.items():
        assert field in answer, f"{field} is missing in {answer}"
        assert type(answer[field]) is type(value), f"{field}: {answer[field]!r}"


async def test_the_connection_flow_goes_as_the_reference_shows_it(reference_users: Mesh) -> None:
    mesh = reference_users
    async with connected(mesh.websocket_url) as client:
        answer = await client.ask({**example("auth"), "token": mesh.token_of("user_123", "customer")})
        assert_has_the_fields_of(answer, "authenticated")
        assert answer["type"] == "authenticated"
        assert answer["user_id"] == "user_123"
        assert answer["user_role"] == "customer"
        assert answer["connection_id"].startswith("conn_")

        assert await client.ask(example("subscribe")) == example("subscription_updated")

        answer = await client.ask(example("heartbeat"))
        assert_has_the_fields_of(answer, "heartbeat_ack")
        assert answer["type"] == "heartbeat_ack"


async def test_subscriptions_are_managed_as_the_reference_shows_it(reference_users: Mesh) -> None:
    mesh = reference_users
    async with connected(mesh.websocket_url) as client:
        await client.authenticate(mesh.token_of("user_123"))
        assert await client.ask(example("management_subscribe")) == example("management_subscribed")
        answer = await client.ask(example("management_unsubscribe"))
        assert_has_the_fields_of(answer, "management_unsubscribed")
        assert answer["type"] == example("management_unsubscribed")["type"]
        assert answer["subscribed_events"] == ["earning_recorded", "delivery_completed"]


@pytest.mark.parametrize("name", EVENTS)
async def test_an_event_of_the_reference_arrives_field_by_field(reference_users: Mesh, name: str) -> None:
    mesh = reference_users
    vector = EVENTS[name]
    user_id, event_type = vector.body["user_id"], vector.body["event_type"]
    source = vector.body.get("source", "demo_service")
    data = json.dumps(vector.body["data"], ensure_ascii=False)
    async with listening(mesh.websocket_url, mesh.token_of(user_id), [event_type]) as client:
        draft = event_pb2.EventDraft(user_id=user_id, event_type=event_type, data=data, source=source)
        if "timestamp" in vector.body:
            draft.timestamp.FromJsonString(vector.body["timestamp"])
        (result,) = mesh.emit(draft, token=mesh.service_token_of(source, "*"))
        assert not result.HasField("error"), result
        (event,) = await client.receive_events(1)

    assert_has_the_fields_of(event, name)
    for field, value in vector.body.items():
        if field != "event_id":
            assert event[field] == value
    assert list(event) == [
        "event_type", "event_level", "event_id", "timestamp", "user_id", "data", "source", "seq",
    ]  # fmt: skip
    assert event["event_id"] == result.event_id
    assert event["seq"] == result.seq
    assert event["source"] == source
    assert ISO_UTC.match(event["timestamp"])
    await assert_rest_has_it(mesh, vector, event)


async def assert_rest_has_it(mesh: Mesh, vector: Vector, event: dict[str, Any]) -> None:
    """The same event, read over REST by its id and in its user's history."""
    headers = {"authorization": f"Bearer {mesh.token_of(vector.body['user_id'])}"}
    async with httpx.AsyncClient(base_url=mesh.rest_url, headers=headers) as rest:
        by_id = (await rest.get(f"/api/websocket/events/{event['event_id']}")).json()
        history = (await rest.get(f"/api/websocket/events/user/{event['user_id']}?limit=1")).json()
    assert by_id["status"] == "success"
    row = by_id["data"]
    assert {field: row[field] for field in event if field != "seq"} == {
        field: value for field, value in event.items() if field != "seq"
    }
    assert row["_id"] == event["event_id"]
    assert ISO_UTC.match(row["created_at"])
    assert history["data"][0]["event_id"] == event["event_id"]


async def test_events_reach_only_their_user_and_only_who_subscribed(mesh: Mesh) -> None:
    mesh.add_users({"only_a": "customer", "only_b": "customer"})
    url = mesh.websocket_url
    async with (
        listening(url, mesh.token_of("only_a"), ["order_created"]) as all_orders,
        listening(url, mesh.token_of("only_a"), ["eta_updated"]) as etas,
        listening(url, mesh.token_of("only_b")) as another,
    ):
        mesh.emit(
            event_pb2.EventDraft(user_id="only_a", event_type="order_created", data='{"order_id":"1"}'),
            event_pb2.EventDraft(user_id="only_a", event_type="eta_updated", data='{"eta_minutes":5}'),
            event_pb2.EventDraft(user_id="only_b", event_type="order_ready", data='{"order_id":"2"}'),
        )
        assert [event["event_type"] for event in await all_orders.receive_events(1)] == ["order_created"]
        assert [event["event_type"] for event in await etas.receive_events(1)] == ["eta_updated"]
        assert [event["event_type"] for event in await another.receive_events(1)] == ["order_ready"]
        # Nothing else is on its way: the heartbeat's answer is what comes next.
        for client in (all_orders, etas, another):
            assert (await client.ask({"type": "heartbeat"}))["type"] == "heartbeat_ack"


async def test_after_an_unsubscribe_no_event_of_that_type_comes(mesh: Mesh) -> None:
    mesh.add_users({"quiet": "customer"})
    async with listening(
        mesh.websocket_url, mesh.token_of("quiet"), ["order_ready", "eta_updated"]
    ) as client:
        await client.ask({"type": "unsubscribe", "events": ["order_ready"]})
        mesh.emit(
            event_pb2.EventDraft(user_id="quiet", event_type="order_ready", data="{}"),
            event_pb2.EventDraft(user_id="quiet", event_type="eta_updated", data="{}"),
        )
        (event,) = await client.receive_events(1)
        assert (event["event_type"], event["seq"]) == ("eta_updated", 2)


async def missed(client: PlainClient, count: int) -> list[int]:
    return [event["seq"] for event in await client.receive_events(count)]


async def test_a_client_that_resumes_gets_what_it_missed_once_and_in_order(mesh: Mesh) -> None:
    mesh.add_users({"resumer": "customer"})
    token = mesh.token_of("resumer")
    draft = event_pb2.EventDraft(user_id="resumer", event_type="order_ready", data="{}")
    async with connected(mesh.websocket_url) as client:
        answer = await client.authenticate(token)
        epoch, seq = answer["epoch"], answer["seq"]
        assert seq == 0
    mesh.emit(*[draft] * 150)
    async with connected(mesh.websocket_url) as client:
        resume = {"epoch": epoch, "seq": seq, "events": ["order_ready"]}
        answer = await client.authenticate(token, resume=resume)
        assert (answer["recovered"], answer["seq"]) == (True, 0)
        mesh.emit(*[draft] * 50)
        assert await missed(client, 200) == list(range(1, 201))
        assert (await client.ask({"type": "heartbeat"}))["seq"] == 200


@pytest.mark.parametrize("resume", [{"epoch": "another", "seq": 0}, {"seq": 4}])
async def test_a_resume_that_cannot_be_had_is_said_and_nothing_old_comes(
    mesh: Mesh, resume: dict[str, Any]
) -> None:
    user_id = f"lost_{'epoch' if 'epoch' in resume else 'seq'}"
    mesh.add_users({user_id: "customer"})
    token = mesh.token_of(user_id)
    draft = event_pb2.EventDraft(user_id=user_id, event_type="order_ready", data="{}")
    mesh.emit(draft, draft, draft)
    async with connected(mesh.websocket_url) as client:
        epoch = (await client.authenticate(token))["epoch"]
    async with connected(mesh.websocket_url) as client:
        wanted = {"epoch": epoch, "events": ["order_ready"], **resume}
        answer = await client.authenticate(token, resume=wanted)
        assert (answer["recovered"], answer["seq"]) == (False, 3)
        mesh.emit(draft)
        assert await missed(client, 1) == [4]


async def test_a_disabled_user_is_sent_away_within_five_seconds(mesh: Mesh) -> None:
    mesh.add_users({"doomed": "customer"})
    async with listening(mesh.websocket_url, mesh.token_of("doomed")) as client:
        began = datetime.now(UTC)
        mesh.change_users("disable", ["doomed"])
        code, said = await client.close_code()
        assert (code, said[-1]["code"]) == (4403, "forbidden")
        assert (datetime.now(UTC) - began).total_seconds() < 5
    async with connected(mesh.websocket_url) as client:
        await client.send({"type": "auth", "token": mesh.token_of("doomed")})
        assert (await client.close_code())[0] == 4403


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "subscribe", "events": ["*"]}, 4401),
        ({"type": "auth", "token": "eyJhbGc..."}, 4401),
        ({"type": "auth"}, 4401),
        ({"type": "auth", "token": "GOOD", "user_id": "somebody_else"}, 4403),
        ({"type": "auth", "token": "GOOD", "user_role": "admin"}, 4403),
    ],
)
async def test_a_bad_first_message_is_answered_by_its_close_code(
    mesh: Mesh, message: dict[str, Any], code: int
) -> None:
    good = {"token": mesh.users[0].token} if message.get("token") == "GOOD" else {}
    async with connected(mesh.websocket_url) as client:
        await client.send({**message, **good})
        closed, said = await client.close_code()
        assert closed == code
        assert said[-1]["type"] == "error"
