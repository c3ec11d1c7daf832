"""Streams that end, freeze and come back, with clients that stay."""

from __future__ import annotations

from functools import partial

import grpc
import pytest

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara_edge.adapters import event_stream
from tests.integration.edge.conftest import Edge
from tests.support.scripted_mesh import (
    Attached,
    ScriptedMesh,
    TinyEventService,
    delivery,
    opened,
    subscribed,
)
from tests.support.waiting import wait_until_async


async def reopen(edge: Edge, seq: int) -> tuple[Attached, pb.Open]:
    """Take the next stream and its first Open, and answer it."""
    stream = await edge.delivery.attached()
    open_ = await stream.expect("open")
    await stream.send(opened(open_.session, open_.generation, seq))
    return stream, open_


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, None])
async def test_a_client_stays_while_the_stream_is_opened_again_from_its_position(
    edge: Edge, stream: Attached, code: grpc.StatusCode | None
) -> None:
    client, session = await edge.sign_in_by_hand(stream, seq=3)
    await edge.subscribe_by_hand(stream, client, "order_created")
    await stream.send(delivery(session, 4))
    assert await client.seqs(1) == [4]
    stream.end(code)
    second, open_ = await reopen(edge, 4)
    assert open_.user_id == "user_1"
    assert (open_.after_seq, open_.epoch, list(open_.types)) == (4, "epoch-1", ["order_created"])
    assert not open_.HasField("resume")
    await second.send(delivery(session, 5))
    assert await client.seqs(1) == [5]


async def test_a_drain_opens_another_stream(edge: Edge, stream: Attached) -> None:
    client, session = await edge.sign_in_by_hand(stream)
    await stream.send(delivery(session, 1), pb.AttachItem(drain=pb.Drain()))
    assert await client.seqs(1) == [1]
    second, open_ = await reopen(edge, 1)
    assert open_.after_seq == 1
    await second.send(delivery(session, 2))
    assert await client.seqs(1) == [2]


async def test_heartbeats_are_answered_and_subscriptions_kept_while_the_event_service_is_away(
    edge: Edge, stream: Attached
) -> None:
    client, _ = await edge.sign_in_by_hand(stream, seq=8)
    edge.delivery.refuse = grpc.StatusCode.UNAVAILABLE
    stream.end(grpc.StatusCode.UNAVAILABLE)
    await client.send({"type": "subscribe", "events": ["order_created", "order_ready"]})
    await client.send({"type": "unsubscribe", "events": ["order_created"]})
    assert (await client.heartbeat())["seq"] == 8
    edge.delivery.refuse = None
    _, open_ = await reopen(edge, 8)
    assert list(open_.types) == ["order_ready"]
    first = await client.expect("subscription_updated")
    second = await client.expect("subscription_updated")
    assert first["subscribed_events"] == ["order_created", "order_ready"]
    assert second["subscribed_events"] == ["order_ready"]


async def test_a_change_asked_on_a_stream_that_ends_is_answered_by_the_next(
    edge: Edge, stream: Attached
) -> None:
    client, _ = await edge.sign_in_by_hand(stream)
    await client.send({"type": "subscribe", "events": ["order_created"]})
    await stream.expect("subscribe")
    stream.end(grpc.StatusCode.UNAVAILABLE)
    second = await edge.delivery.attached()
    open_ = await second.expect("open")
    assert list(open_.types) == ["order_created"]
    # One more, after the Open: it has its own confirmation.
    await client.send({"type": "subscribe", "events": ["order_ready"]})
    command = await second.expect("subscribe")
    assert list(command.types) == ["order_ready"]
    await second.send(opened(open_.session, open_.generation, 0))
    assert (await client.expect("subscription_updated"))["subscribed_events"] == ["order_created"]
    await second.send(subscribed(command.session, command.change))
    updated = await client.expect("subscription_updated")
    assert updated["subscribed_events"] == ["order_created", "order_ready"]


async def test_a_client_in_the_middle_of_its_resume_resumes_on_the_next_stream(
    edge: Edge, stream: Attached
) -> None:
    client = await edge.open()
    resume = {"epoch": "epoch-1", "seq": 5, "events": ["order_created"]}
    await client.send({"type": "auth", "token": edge.auth.add("user_1"), "resume": resume})
    await stream.expect("open")
    stream.end(grpc.StatusCode.UNAVAILABLE)
    second = await edge.delivery.attached()
    open_ = await second.expect("open")
    assert not open_.HasField("after_seq")
    assert (open_.resume.epoch, open_.resume.seq, open_.generation) == ("epoch-1", 5, 2)
    await second.send(
        opened(open_.session, 2, 5, recovered=True), delivery(open_.session, 6), delivery(open_.session, 7)
    )
    assert (await client.expect("authenticated"))["recovered"] is True
    assert await client.seqs(2) == [6, 7]


async def test_a_new_client_waits_for_the_stream_and_comes_in(edge: Edge, stream: Attached) -> None:
    edge.delivery.refuse = grpc.StatusCode.UNAVAILABLE
    stream.end(grpc.StatusCode.UNAVAILABLE)
    client = await edge.open()
    await client.send({"type": "auth", "token": edge.auth.add("user_1")})
    await until_verified(edge)
    edge.delivery.refuse = None
    await reopen(edge, 0)
    await client.expect("authenticated")


async def test_a_new_client_that_waited_in_vain_is_told_to_try_again(edge: Edge, stream: Attached) -> None:
    edge.delivery.refuse = grpc.StatusCode.UNAVAILABLE
    stream.end(grpc.StatusCode.UNAVAILABLE)
    client = await edge.open()
    await client.send({"type": "auth", "token": edge.auth.add("user_1")})
    await until_verified(edge)
    edge.clock.ahead += 3.5
    assert await client.refused() == ("try_again_later", 1013)


async def test_a_frozen_event_service_is_left_after_three_silent_seconds(
    edge: Edge, stream: Attached, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The same three looks, closer together.
    monkeypatch.setattr(event_stream, "TICK_SECONDS", 0.05)
    client, session = await edge.sign_in_by_hand(stream, seq=2)
    stream.ticking = False
    second, open_ = await reopen(edge, 2)
    assert open_.after_seq == 2
    # What the frozen one says after all is nobody's any more.
    await second.send(delivery(session, 3))
    assert await client.seqs(1) == [3]


async def test_an_idle_edge_ticks(edge: Edge, stream: Attached, monkeypatch: pytest.MonkeyPatch) -> None:
    del edge
    monkeypatch.setattr(event_stream, "TICK_SECONDS", 0.05)
    before = stream.requests
    await wait_until_async(lambda: stream.requests >= before + 2)
    assert stream.pending() == 0


async def test_an_event_service_that_restarts_gets_every_session_back_with_nothing_lost_or_repeated(
    edge: Edge, events: TinyEventService
) -> None:
    clients = []
    for number in range(20):
        client = await edge.sign_in(f"user_{number}")
        await client.subscribe("*")
        clients.append(client)
    for round_ in range(3):
        for number in range(20):
            await events.emit(f"user_{number}")
        assert edge.delivery.current is not None
        edge.delivery.current.end(grpc.StatusCode.UNAVAILABLE)
        # Committed while nobody is attached.
        for number in range(20):
            events.append(f"user_{number}")
        await wait_until_async(partial(opened_at_least, events, 20 * (round_ + 2)))
    for client in clients:
        assert await client.seqs(6) == [1, 2, 3, 4, 5, 6]


async def test_the_server_process_may_go_away_and_come_back(edge: Edge, events: TinyEventService) -> None:
    client = await edge.sign_in("user_1")
    await client.subscribe("*")
    await events.emit("user_1")
    port = int(edge.mesh.target.rpartition(":")[2])
    await edge.mesh.stop()
    events.append("user_1")
    assert await client.seqs(1) == [1]
    assert (await client.heartbeat())["seq"] == 1
    edge.mesh = await ScriptedMesh.start(edge.delivery, edge.auth, port)
    assert await client.seqs(1) == [2]
    await edge.mesh.stop()


@pytest.mark.parametrize("step", range(6))
async def test_a_reader_is_caught_at_every_step_of_a_re_attach(
    edge: Edge, events: TinyEventService, step: int
) -> None:
    """The stream ends after each number of answers, while events commit; whatever was on its way is lost."""
    client = await edge.sign_in("user_1")
    await client.subscribe("*")
    for _ in range(4):
        for _ in range(step):
            await events.emit("user_1")
        assert edge.delivery.current is not None
        edge.delivery.current.end(grpc.StatusCode.UNAVAILABLE)
        await events.emit("user_1")
    total = 4 * (step + 1)
    assert await client.seqs(total) == list(range(1, total + 1))
    assert (await client.heartbeat())["seq"] == total


def opened_at_least(events: TinyEventService, opens: int) -> bool:
    return events.opens >= opens


async def until_verified(edge: Edge) -> None:
    await wait_until_async(lambda: edge.metric("harkara_edge_sessions") > 0)
