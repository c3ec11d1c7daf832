"""Times and rates, with a clock that goes as far ahead as a test says."""

from __future__ import annotations

import time

import pytest

from tests.integration.edge.conftest import Edge
from tests.support.raw_client import PING, PONG, TEXT, frame, message
from tests.support.scripted_mesh import Attached, TinyEventService, opened, subscribed


async def test_without_auth_a_connection_ends_after_ten_seconds(edge: Edge) -> None:
    client = await edge.open()
    edge.clock.ahead += 9
    await client.connection.ping()
    edge.clock.ahead += 2
    assert await client.refused() == ("timeout", 4408)


async def test_a_client_that_says_nothing_for_75_seconds_ends(edge: Edge, stream: Attached) -> None:
    client, session = await edge.sign_in_by_hand(stream)
    edge.clock.ahead += 74
    assert await client.heartbeat()
    edge.clock.ahead += 74
    # A ping counts as well.
    await (await client.connection.ping())
    edge.clock.ahead += 74
    assert await client.heartbeat()
    edge.clock.ahead += 76
    assert await client.refused() == ("timeout", 4408)
    assert (await stream.expect("close")).session == session


async def test_half_a_frame_is_no_sign_of_life(edge: Edge, events: TinyEventService) -> None:
    del events
    raw = await edge.raw_sign_in()
    edge.clock.ahead += 50
    raw.send(frame(TEXT, b"x" * 100)[:50])
    raw.send(frame(PING)[:1])
    edge.clock.ahead += 26
    assert (await raw.text())["code"] == "timeout"
    assert await raw.close_code() == 4408


async def test_a_connection_ends_with_its_token(edge: Edge, stream: Attached) -> None:
    client = await edge.open()
    token = edge.auth.add("user_1", expires_at=time.time() + 40)
    await client.send({"type": "auth", "token": token})
    open_ = await stream.expect("open")
    await stream.send(opened(open_.session, open_.generation))
    await client.expect("authenticated")
    edge.clock.ahead += 35
    assert await client.heartbeat()
    edge.clock.ahead += 6
    assert await client.refused() == ("token_expired", 4402)


async def test_a_second_auth_in_time_keeps_the_connection(edge: Edge, events: TinyEventService) -> None:
    del events
    client = await edge.open()
    await client.auth(edge.auth.add("user_1", expires_at=time.time() + 40))
    await client.auth(edge.auth.add("user_1", token="next", expires_at=time.time() + 4_000))
    edge.clock.ahead += 60
    assert await client.heartbeat()


async def test_the_third_bad_message_within_a_minute_ends_the_connection(
    edge: Edge, events: TinyEventService
) -> None:
    del events
    client = await edge.sign_in()
    for text in ["nonsense", '{"type":"hello"}']:
        await client.send(text)
        assert (await client.expect("error"))["code"] == "bad_message"
    edge.clock.ahead += 61
    await client.send("[]")
    assert (await client.expect("error"))["code"] == "bad_message"
    assert await client.heartbeat()
    await client.send('{"type":"subscribe"}')
    assert (await client.expect("error"))["code"] == "bad_message"
    await client.send('{"type":"ack","seq":1.0}')
    assert await client.refused() == ("bad_message", 4400)


async def test_a_flood_of_messages_is_told_once_and_then_ends(edge: Edge, events: TinyEventService) -> None:
    del events
    raw = await edge.raw_sign_in()
    raw.send(*(message(type="heartbeat") for _ in range(300)))
    for _ in range(199):
        assert (await raw.text())["type"] == "heartbeat_ack"
    assert [(await raw.text())["code"] for _ in range(2)] == ["rate_limited", "rate_limited"]
    assert await raw.close_code() == 4429


async def test_a_client_that_keeps_to_the_rate_may_go_on(edge: Edge, events: TinyEventService) -> None:
    del events
    client = await edge.sign_in()
    for _ in range(6):
        for _ in range(99):
            assert await client.heartbeat()
        edge.clock.ahead += 5


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_a_flood_of_tiny_frames_ends_the_connection(
    edge: Edge, events: TinyEventService, opcode: int
) -> None:
    del events
    raw = await edge.raw_sign_in()
    raw.send(frame(opcode) * 10_000)
    found, payload = await raw.frame()
    while found == PONG:
        found, payload = await raw.frame()
    assert (found, b"rate_limited" in payload) == (TEXT, True)


async def test_a_client_ahead_of_the_event_service_is_read_no_more_and_loses_nothing(
    edge: Edge, stream: Attached
) -> None:
    client, session = await edge.sign_in_by_hand(stream)
    for number in range(60):
        kind = "subscribe" if number % 2 == 0 else "unsubscribe"
        await client.send({"type": kind, "events": ["order_created"]})
    await client.send({"type": "heartbeat"})
    for change in range(1, 61):
        await stream.command()
        await stream.send(subscribed(session, change))
    frames = [await client.receive() for _ in range(61)]
    answers = [frame["subscribed_events"] for frame in frames if frame["type"] == "subscription_updated"]
    assert answers == [["order_created"], []] * 30
