"""The reference's flow, over real sockets and real gRPC."""

from __future__ import annotations

import asyncio
import re

import grpc
import pytest

from harkara.event.v1 import delivery_service_pb2 as pb
from tests.integration.edge.conftest import Edge
from tests.support.reference_client import ReferenceClient
from tests.support.scripted_mesh import (
    Attached,
    TinyEventService,
    delivery,
    disconnect,
    opened,
    subscribed,
)


async def test_a_client_of_the_reference_authenticates_subscribes_and_receives(
    edge: Edge, events: TinyEventService
) -> None:
    client = await edge.open()
    answer = await client.auth(edge.auth.add("user_123"), user_id="user_123", user_role="customer")

    assert answer["user_id"] == "user_123"
    assert answer["user_role"] == "customer"
    assert re.fullmatch("conn_[0-9a-z]+", answer["connection_id"])
    assert answer["epoch"] == "epoch-1"
    assert answer["seq"] == 0
    assert answer["heartbeat_interval"] == 30
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer["expires_at"])
    assert "recovered" not in answer

    assert await client.subscribe("earning_recorded", "delivery_completed") == [
        "earning_recorded",
        "delivery_completed",
    ]
    await events.emit("user_123", "earning_recorded")
    await events.emit("user_123", "order_created")
    await events.emit("user_123", "delivery_completed")
    assert [(await client.event())["seq"] for _ in range(2)] == [1, 3]
    assert (await client.heartbeat())["seq"] == 3
    assert await client.unsubscribe("earning_recorded") == ["delivery_completed"]


async def test_an_event_is_the_event_services_text_byte_for_byte(edge: Edge, stream: Attached) -> None:
    client, session = await edge.sign_in_by_hand(stream)
    texts = [
        b'{"event_type" : "order_created","data":{"a":1.0,"b":"\\u00e9\xc3\xa9"},"seq":1}',
        b"x" * 125,
        b"x" * 126,
        b"y" * 65_535,
        b"z" * 65_536,
    ]
    await stream.send(*(delivery(session, seq, text) for seq, text in enumerate(texts, 1)))
    for text in texts:
        frame = await asyncio.wait_for(client.connection.recv(decode=False), 10)
        assert frame == text


async def test_the_edge_names_itself_and_shows_its_credential(edge: Edge, stream: Attached) -> None:
    await edge.sign_in_by_hand(stream)
    assert stream.edge == "edge-1"
    assert stream.authorization == "Bearer internal-edge-token"


async def test_a_subscription_is_confirmed_when_the_event_service_confirms_it_and_not_before(
    edge: Edge, stream: Attached
) -> None:
    client, session = await edge.sign_in_by_hand(stream)
    await client.send({"type": "subscribe", "events": ["order_created"]})
    command = await stream.expect("subscribe")
    assert (command.session, list(command.types)) == (session, ["order_created"])
    # A heartbeat is answered meanwhile; the subscription is not.
    assert (await client.heartbeat())["seq"] == 0
    await stream.send(subscribed(session, command.change), delivery(session, 1))
    assert (await client.expect("subscription_updated"))["subscribed_events"] == ["order_created"]
    assert (await client.event())["seq"] == 1


async def test_messages_sent_behind_auth_are_handled_in_order_after_it(edge: Edge, stream: Attached) -> None:
    client = await edge.open()
    await client.send({"type": "auth", "token": edge.auth.add("user_1")})
    await client.send({"type": "subscribe", "events": ["order_created"]})
    await client.send({"type": "heartbeat", "timestamp": "2026-01-27T10:30:00Z"})
    open_ = await stream.expect("open")
    await stream.send(opened(open_.session, open_.generation, 7))
    assert (await client.expect("authenticated"))["seq"] == 7
    assert (await client.expect("heartbeat_ack"))["seq"] == 7
    command = await stream.expect("subscribe")
    await stream.send(subscribed(command.session, command.change))
    await client.expect("subscription_updated")


async def test_the_star_is_subscribed_shown_and_removed_as_one_entry(
    edge: Edge, events: TinyEventService
) -> None:
    client = await edge.sign_in()
    assert await client.subscribe("*") == ["*"]
    await events.emit("user_1", "payment_failed")
    assert (await client.event())["event_type"] == "payment_failed"
    assert await client.unsubscribe("order_created") == ["*"]
    assert await client.unsubscribe("*") == []


@pytest.mark.usefixtures("events")
async def test_an_unknown_type_refuses_the_message_and_names_what_is_unknown(edge: Edge) -> None:
    client = await edge.sign_in()
    await client.send({"type": "subscribe", "events": ["order_created", "no_such_type"]})
    error = await client.expect("error")
    assert (error["code"], error["events"]) == ("unknown_event_type", ["no_such_type"])
    assert await client.subscribe("payment_failed") == ["payment_failed"]


@pytest.mark.parametrize("edge_settings", [{"max_subscriptions": 3}])
@pytest.mark.usefixtures("events")
async def test_one_entry_too_many_refuses_the_message(edge: Edge) -> None:
    client = await edge.sign_in()
    await client.subscribe("order_created", "order_ready")
    await client.send({"type": "subscribe", "events": ["payment_failed", "*"]})
    assert (await client.expect("error"))["code"] == "too_many_subscriptions"
    assert await client.subscribe("*") == ["order_created", "order_ready", "*"]


# Resume.


async def test_a_resume_restores_the_subscription_and_sends_what_was_missed(
    edge: Edge, events: TinyEventService
) -> None:
    for event_type in ["order_created", "payment_failed", "order_created", "order_ready"]:
        events.append("user_1", event_type)
    client = await edge.open()
    token = edge.auth.add("user_1")
    resume = {"epoch": "epoch-1", "seq": 1, "events": ["order_created", "order_ready", "no_such_type"]}
    answer = await client.auth(token, resume=resume)
    assert (answer["recovered"], answer["seq"]) == (True, 1)
    error = await client.expect("error")
    assert (error["code"], error["events"]) == ("unknown_event_type", ["no_such_type"])
    assert await client.seqs(2) == [3, 4]
    assert await client.subscribe("payment_failed") == ["order_created", "order_ready", "payment_failed"]


@pytest.mark.parametrize(
    "resume",
    [
        {"epoch": "another", "seq": 1, "events": ["order_created"]},
        {"epoch": "epoch-1", "seq": 99, "events": ["order_created"]},
        {"epoch": "epoch-1", "seq": "1", "events": ["order_created"]},
        {"events": ["order_created", 7]},
    ],
)
async def test_a_resume_that_cannot_be_is_answered_so_and_subscribes_from_now_on(
    edge: Edge, events: TinyEventService, resume: dict[str, object]
) -> None:
    events.append("user_1")
    events.append("user_1")
    client = await edge.open()
    answer = await client.auth(edge.auth.add("user_1"), resume=resume)
    assert (answer["recovered"], answer["seq"]) == (False, 2)
    await events.emit("user_1")
    assert await client.seqs(1) == [3]


# Authentication that fails.


@pytest.mark.parametrize(
    ("fields", "code", "close_code"),
    [
        ({"token": "no-such-token"}, "unauthenticated", 4401),
        ({}, "unauthenticated", 4401),
        ({"token": "good", "user_id": "somebody"}, "forbidden", 4403),
        ({"token": "good", "user_role": "admin"}, "forbidden", 4403),
        ({"token": "disabled"}, "forbidden", 4403),
        ({"token": "of-a-service"}, "forbidden", 4403),
        ({"token": "nobody-answers"}, "try_again_later", 1013),
    ],
)
async def test_a_first_auth_that_fails_is_told_why_as_far_as_it_may_know(
    edge: Edge, stream: Attached, fields: dict[str, str], code: str, close_code: int
) -> None:
    del stream
    edge.auth.add("user_1", token="good")
    edge.auth.tokens["disabled"] = grpc.StatusCode.PERMISSION_DENIED
    edge.auth.tokens["nobody-answers"] = grpc.StatusCode.UNAVAILABLE
    edge.auth.add("orders", token="of-a-service", role="service", kind=2)
    client = await edge.open()
    await client.send({"type": "auth", **fields})
    assert await client.refused() == (code, close_code)


async def test_a_message_before_auth_is_unauthenticated(edge: Edge, stream: Attached) -> None:
    del stream
    client = await edge.open()
    await client.send({"type": "subscribe", "events": ["order_created"]})
    assert await client.refused() == ("unauthenticated", 4401)


async def test_a_second_auth_extends_the_connection(edge: Edge, stream: Attached) -> None:
    client, _ = await edge.sign_in_by_hand(stream)
    edge.auth.add("user_1", token="later", expires_at=4_102_444_800.0)
    answer = await client.auth("later")
    assert answer["expires_at"] == "2100-01-01T00:00:00.000Z"
    assert stream.pending() == 0


async def test_a_second_auth_for_somebody_else_is_forbidden(edge: Edge, stream: Attached) -> None:
    client, session = await edge.sign_in_by_hand(stream)
    await client.send({"type": "auth", "token": edge.auth.add("user_2")})
    assert await client.refused() == ("forbidden", 4403)
    assert (await stream.expect("close")).session == session


async def test_events_go_on_while_a_second_auth_is_verified(edge: Edge, stream: Attached) -> None:
    client, session = await edge.sign_in_by_hand(stream)
    edge.auth.add("user_1", token="slow")
    gate = edge.auth.hold("slow")
    await client.send({"type": "auth", "token": "slow"})
    await stream.send(delivery(session, 1))
    assert (await client.event())["seq"] == 1
    gate.set()
    assert (await client.expect("authenticated"))["seq"] == 1


# What the event-service says of sessions.


@pytest.mark.parametrize(
    ("reason", "code", "close_code"),
    [
        (pb.DISCONNECT_REASON_TOO_MANY_CONNECTIONS, "rate_limited", 4429),
        (pb.DISCONNECT_REASON_RESUME_LOST, "server_restarting", 1012),
        (pb.DISCONNECT_REASON_UNAVAILABLE, "try_again_later", 1013),
    ],
)
async def test_a_session_that_the_event_service_refuses_is_told_what_to_do(
    edge: Edge, stream: Attached, reason: pb.DisconnectReason.ValueType, code: str, close_code: int
) -> None:
    client = await edge.open()
    await client.send({"type": "auth", "token": edge.auth.add("user_1")})
    open_ = await stream.expect("open")
    await stream.send(disconnect(open_.session, open_.generation, reason))
    assert await client.refused() == (code, close_code)


async def test_a_client_that_leaves_takes_its_cursor_along(edge: Edge, stream: Attached) -> None:
    client, session = await edge.sign_in_by_hand(stream)
    await client.close()
    assert (await stream.expect("close")).session == session


async def test_a_client_that_vanishes_takes_its_cursor_along(edge: Edge, stream: Attached) -> None:
    client, session = await edge.sign_in_by_hand(stream)
    client.connection.transport.abort()
    assert (await stream.expect("close")).session == session


async def test_acks_of_no_device_are_taken_and_told_to_nobody(edge: Edge, stream: Attached) -> None:
    client, session = await edge.sign_in_by_hand(stream, seq=3)
    await stream.send(delivery(session, 4))
    await client.event()
    await client.send({"type": "ack", "seq": 4})
    assert await client.heartbeat(ack=4)
    assert stream.pending() == 0


async def test_many_clients_at_once_all_come_in(edge: Edge, events: TinyEventService) -> None:
    async def one(number: int) -> ReferenceClient:
        client = await edge.sign_in(f"user_{number}")
        await client.subscribe("*")
        return client

    clients = await asyncio.gather(*(one(number) for number in range(100)))
    for number in range(100):
        await events.emit(f"user_{number}")
    assert [await client.seqs(1) for client in clients] == [[1]] * 100


# Devices.


async def test_a_device_resumes_without_a_position_and_its_acknowledgements_are_told(
    edge: Edge, stream: Attached
) -> None:
    client = await edge.open()
    fields = {"device_id": "phone-1", "resume": {"events": ["order_created"]}}
    await client.send({"type": "auth", "token": edge.auth.add("user_1"), **fields})
    open_ = await stream.expect("open")
    assert (open_.device_id, open_.from_device, open_.HasField("resume")) == ("phone-1", True, False)
    await stream.send(opened(open_.session, open_.generation, 7, recovered=True))
    answer = await client.expect("authenticated")
    assert (answer["seq"], answer["recovered"]) == (7, True)

    await stream.send(delivery(open_.session, 8), delivery(open_.session, 9))
    assert await client.seqs(2) == [8, 9]
    await client.send({"type": "ack", "seq": 8})
    ack = await stream.expect("ack")
    assert (ack.session, ack.seq) == (open_.session, 8)
    await client.heartbeat(ack=99)
    assert (await stream.expect("ack")).seq == 9


async def test_a_faulty_device_refuses_no_auth(edge: Edge, stream: Attached) -> None:
    client = await edge.open()
    fields = {"device_id": {"not": "a name"}, "resume": {"events": ["order_created"]}}
    await client.send({"type": "auth", "token": edge.auth.add("user_1"), **fields})
    open_ = await stream.expect("open")
    assert (open_.device_id, open_.from_device) == ("", False)
    await stream.send(opened(open_.session, open_.generation, 7))

    answer = await client.expect("authenticated")
    assert (answer["seq"], answer["recovered"]) == (7, False)


# Events without a number.


async def test_an_event_without_a_number_comes_in_its_place_and_moves_no_position(
    edge: Edge, stream: Attached
) -> None:
    client, session = await edge.sign_in_by_hand(stream)
    passing = b'{"event_type":"order_created","data":{}}'
    for seq in (1, 2):
        await stream.send(delivery(session, seq), delivery(session, 0, passing))

    events = [await client.event() for _ in range(4)]

    assert [event.get("seq") for event in events] == [1, None, 2, None]
    assert (await client.heartbeat())["seq"] == 2
