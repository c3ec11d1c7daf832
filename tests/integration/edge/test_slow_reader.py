"""G7 with real sockets: a client that does not read is paused, loses nothing, and delays nobody."""

from __future__ import annotations

import json

import pytest

from tests.integration.edge.conftest import Edge
from tests.support.raw_client import PING, PONG, TEXT, RawClient, frame, message
from tests.support.scripted_mesh import TinyEventService
from tests.support.waiting import wait_until_async

EVENT_BYTES = 8_000
EVENTS = 150
"""More than the kernel's buffers of both sides and the edge's own threshold hold together."""


async def slow_client(edge: Edge, user_id: str = "user_1") -> RawClient:
    resume = {"epoch": "epoch-1", "seq": 0, "events": ["*"]}
    return await edge.raw_sign_in(user_id, receive_buffer=4_096, resume=resume)


async def read_events(raw: RawClient, count: int) -> list[int]:
    return [(await raw.text())["seq"] for _ in range(count)]


async def test_a_client_that_does_not_read_is_paused_and_then_reads_everything_once_in_order(
    edge: Edge, events: TinyEventService
) -> None:
    raw = await slow_client(edge)
    quick = await edge.sign_in("user_1")
    await quick.subscribe("*")
    for seq in range(1, EVENTS + 1):
        await events.emit("user_1", pad="x" * EVENT_BYTES)
        # The quick one has each of them while the slow one has read none.
        assert await quick.seqs(1) == [seq]
    await wait_until_async(lambda: edge.metric("harkara_edge_pauses_total") == 1)
    await wait_until_async(lambda: edge.metric("harkara_edge_unsent_bytes") > 0)
    assert 200_000 < edge.metric("harkara_edge_unsent_bytes") < 400_000
    opens = [command.open for command in events.commands if command.WhichOneof("command") == "open"]
    assert [(open_.generation, open_.paused) for open_ in opens if open_.session == 1] == [
        (1, False),
        (2, True),
    ]
    # Committed while it is paused.
    for _ in range(20):
        await events.emit("user_1", pad="x" * EVENT_BYTES)
    assert await read_events(raw, EVENTS + 20) == list(range(1, EVENTS + 21))
    raw.send(message(type="heartbeat"))
    assert (await raw.text())["seq"] == EVENTS + 20
    await wait_until_async(lambda: edge.metric("harkara_edge_unsent_bytes") == 0)


@pytest.mark.parametrize("edge_settings", [{"max_unsent_bytes_total": 40_000}])
async def test_once_all_together_hold_too_much_nobody_may_hold_anything(
    edge: Edge, events: TinyEventService
) -> None:
    raw = await slow_client(edge)
    for _ in range(EVENTS):
        await events.emit("user_1", pad="x" * EVENT_BYTES)
    await wait_until_async(lambda: edge.metric("harkara_edge_pauses_total") == 1)
    await wait_until_async(lambda: edge.metric("harkara_edge_unsent_bytes") > 0)
    assert edge.metric("harkara_edge_unsent_bytes") < 40_000 + 2 * EVENT_BYTES
    assert await read_events(raw, EVENTS) == list(range(1, EVENTS + 1))


async def test_a_paused_client_survives_a_re_attach(edge: Edge, events: TinyEventService) -> None:
    raw = await slow_client(edge)
    for _ in range(EVENTS):
        await events.emit("user_1", pad="x" * EVENT_BYTES)
    await wait_until_async(lambda: edge.metric("harkara_edge_pauses_total") == 1)
    # The Open that pauses the cursor must have come; ended sooner, the stream takes it along.
    await wait_until_async(lambda: events.opens == 2)
    assert edge.delivery.current is not None
    edge.delivery.current.end()
    await wait_until_async(lambda: events.opens == 3)
    last = events.commands[-1].open
    assert last.paused
    assert 0 < last.after_seq < EVENTS
    assert await read_events(raw, EVENTS) == list(range(1, EVENTS + 1))


async def test_a_client_that_takes_nothing_for_a_minute_is_cut(edge: Edge, events: TinyEventService) -> None:
    raw = await slow_client(edge)
    for _ in range(EVENTS):
        await events.emit("user_1", pad="x" * EVENT_BYTES)
    await wait_until_async(lambda: edge.metric("harkara_edge_pauses_total") == 1)
    edge.clock.ahead += 55
    raw.send(frame(PING))
    await wait_until_async(lambda: edge.metric("harkara_edge_sessions") == 1)
    edge.clock.ahead += 6
    await wait_until_async(
        lambda: edge.registry.get_sample_value("harkara_edge_closes_total", {"code": "4408"}) == 1
    )
    # Nobody reads the close either: in the end the connection is cut.
    edge.clock.ahead += 6
    await wait_until_async(lambda: edge.metric("harkara_edge_connections") == 0)


async def test_a_slow_client_that_reads_now_and_then_stays(edge: Edge, events: TinyEventService) -> None:
    raw = await slow_client(edge)
    for _ in range(EVENTS):
        await events.emit("user_1", pad="x" * EVENT_BYTES)
    await wait_until_async(lambda: edge.metric("harkara_edge_pauses_total") == 1)
    read = 0
    for _ in range(3):
        edge.clock.ahead += 40
        held = edge.metric("harkara_edge_unsent_bytes")
        raw.send(frame(PING))
        for _ in range(25):
            read += 1
            assert (await next_event(raw))["seq"] == read
        await wait_until_async(lambda: edge.metric("harkara_edge_unsent_bytes") != held)  # noqa: B023
    assert edge.metric("harkara_edge_sessions") == 1


async def next_event(raw: RawClient) -> dict[str, object]:
    opcode, payload = await raw.frame()
    while opcode == PONG:
        opcode, payload = await raw.frame()
    assert opcode == TEXT
    event: dict[str, object] = json.loads(payload)
    return event


@pytest.mark.parametrize("edge_settings", [{"max_unsent_bytes": 65_536}])
async def test_answers_that_nobody_reads_do_not_pile_up(edge: Edge, events: TinyEventService) -> None:
    """A client that pings without reading is at some point read no more, and served again afterwards."""
    raw = await slow_client(edge)
    for _ in range(60):
        await events.emit("user_1", pad="x" * EVENT_BYTES)
    await wait_until_async(lambda: edge.metric("harkara_edge_pauses_total") == 1)
    # Short of the limit of frames, long enough to fill what there is.
    raw.send(frame(PING, b"x" * 125) * 4_000)
    await wait_until_async(lambda: edge.metric("harkara_edge_unsent_bytes") > 128_000)
    held = edge.metric("harkara_edge_unsent_bytes")
    assert held < 200_000
    found: list[int] = []
    while len(found) < 60:
        opcode, payload = await raw.frame()
        if opcode == TEXT:
            found.append(json.loads(payload)["seq"])
    assert found == list(range(1, 61))
