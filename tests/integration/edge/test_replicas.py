"""Two event-services behind one edge: clients stay while the edge moves from one to the other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara_edge.adapters import attaching, event_stream
from tests.integration.edge.conftest import Edge, running_edge
from tests.support.scripted_mesh import (
    Attached,
    ScriptedAuth,
    ScriptedDelivery,
    ScriptedMesh,
    TinyEventService,
    delivery,
    opened,
)
from tests.support.waiting import wait_until_async

DRAIN = pb.AttachItem(drain=pb.Drain())


@dataclass
class Replicas:
    """An edge that begins at `first` and knows `second`."""

    edge: Edge
    first: ScriptedMesh
    second: ScriptedMesh


@asynccontextmanager
async def listening() -> AsyncIterator[ScriptedMesh]:
    mesh = await ScriptedMesh.start(ScriptedDelivery(), ScriptedAuth())
    try:
        yield mesh
    finally:
        await mesh.stop()


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(listening()) for _ in range(2)]
        settings = {"event_targets": (first.target, second.target)}
        edge = await stack.enter_async_context(running_edge(tmp_path, settings))
        yield Replicas(edge, first, second)


@pytest.fixture
def frozen() -> Iterator[str]:
    """Where connections are taken and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        host, port = listener.getsockname()
        yield f"{host}:{port}"


async def reopened(mesh: ScriptedMesh, seq: int) -> tuple[Attached, pb.Open]:
    """Take the stream that comes to this replica and its first Open, and answer it."""
    stream = await mesh.delivery.attached()
    open_ = await stream.expect("open")
    await stream.send(opened(open_.session, open_.generation, seq))
    return stream, open_


async def until_attached(edge: Edge, times: int) -> None:
    await wait_until_async(lambda: edge.metric("harkara_edge_attaches_total") == times)


async def test_when_its_event_service_dies_every_session_goes_on_at_the_other(replicas: Replicas) -> None:
    stream = await replicas.first.delivery.attached()
    client, session = await replicas.edge.sign_in_by_hand(stream, seq=3)
    await replicas.edge.subscribe_by_hand(stream, client, "order_created")
    await stream.send(delivery(session, 4))
    assert await client.seqs(1) == [4]

    await replicas.first.stop()

    second, open_ = await reopened(replicas.second, 4)
    assert (open_.after_seq, list(open_.types)) == (4, ["order_created"])
    await second.send(delivery(session, 5))
    assert await client.seqs(1) == [5]


async def test_a_frozen_event_service_is_left_for_the_other(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await replicas.first.delivery.attached()
    client, session = await replicas.edge.sign_in_by_hand(stream, seq=2)
    monkeypatch.setattr(event_stream, "TICK_SECONDS", 0.05)
    stream.ticking = False
    second, open_ = await reopened(replicas.second, 2)
    assert open_.after_seq == 2
    await second.send(delivery(session, 3))
    assert await client.seqs(1) == [3]


async def test_on_a_drain_the_other_answers_before_the_stream_is_left(replicas: Replicas) -> None:
    stream = await replicas.first.delivery.attached()
    client, session = await replicas.edge.sign_in_by_hand(stream)
    replicas.second.delivery.silent = True
    await stream.send(delivery(session, 1), DRAIN)
    second = await replicas.second.delivery.attached()
    # The other has said nothing yet: the one that drains still serves.
    await stream.send(delivery(session, 2))
    assert await client.seqs(2) == [1, 2]
    assert not stream.ended.done()
    await second.send()
    open_ = await second.expect("open")
    assert open_.after_seq == 2
    await asyncio.wait_for(stream.ended, 5)
    await second.send(opened(open_.session, open_.generation, 2), delivery(session, 3))
    assert await client.seqs(1) == [3]


async def test_once_its_own_is_back_a_worker_returns_to_it_and_not_before_that_answers(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "RETURN_SECONDS", 0.05)
    monkeypatch.setattr(attaching, "WORD_SECONDS", 20)
    stream = await replicas.first.delivery.attached()
    client, session = await replicas.edge.sign_in_by_hand(stream, seq=3)
    replicas.first.delivery.refuse = grpc.StatusCode.UNAVAILABLE
    stream.end(grpc.StatusCode.UNAVAILABLE)
    second, _ = await reopened(replicas.second, 3)

    replicas.first.delivery.silent = True
    replicas.first.delivery.refuse = None
    first = await replicas.first.delivery.attached()
    await second.send(delivery(session, 4))
    assert await client.seqs(1) == [4]
    assert not second.ended.done()
    await first.send()
    open_ = await first.expect("open")
    assert open_.after_seq == 4
    await asyncio.wait_for(second.ended, 5)
    await first.send(opened(open_.session, open_.generation, 4), delivery(session, 5))
    assert await client.seqs(1) == [5]


async def test_a_drain_is_obeyed_though_its_own_is_still_away(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "RETURN_SECONDS", 0.01)
    stream = await replicas.first.delivery.attached()
    replicas.first.delivery.refuse = grpc.StatusCode.UNAVAILABLE
    stream.end(grpc.StatusCode.UNAVAILABLE)
    second = await replicas.second.delivery.attached()
    asked = replicas.first.delivery.refused
    await wait_until_async(lambda: replicas.first.delivery.refused > asked + 2)
    assert not second.ended.done()
    await second.send(DRAIN)
    await asyncio.wait_for(second.ended, 5)


async def test_a_drain_is_obeyed_though_the_other_is_frozen(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "WORD_SECONDS", 0.1)
    stream = await replicas.first.delivery.attached()
    await replicas.edge.sign_in_by_hand(stream, seq=7)
    replicas.second.delivery.silent = True
    await stream.send(DRAIN)
    await asyncio.wait_for(stream.ended, 5)
    # It is the last choice, but a choice: it has started again meanwhile.
    _, open_ = await reopened(replicas.first, 7)
    assert open_.after_seq == 7


async def test_the_one_that_drains_is_not_gone_back_to_while_the_other_is_there(replicas: Replicas) -> None:
    stream = await replicas.first.delivery.attached()
    await stream.send(DRAIN)
    for turn in range(3):
        second = await replicas.second.delivery.attached()
        await until_attached(replicas.edge, 2 * turn + 2)
        second.end(grpc.StatusCode.UNAVAILABLE)
        # Both were left within seconds: the one left longer ago comes first.
        first = await replicas.first.delivery.attached()
        await until_attached(replicas.edge, 2 * turn + 3)
        first.end(grpc.StatusCode.UNAVAILABLE)


async def test_with_both_away_clients_stay_and_go_on_with_the_first_that_is_back(replicas: Replicas) -> None:
    stream = await replicas.first.delivery.attached()
    client, session = await replicas.edge.sign_in_by_hand(stream, seq=5)
    port = int(replicas.second.target.rpartition(":")[2])
    await replicas.second.stop()
    await replicas.first.stop()
    await wait_until_async(lambda: replicas.edge.metric("harkara_edge_attached") == 0)
    assert (await client.heartbeat())["seq"] == 5
    replicas.second = await ScriptedMesh.start(ScriptedDelivery(), ScriptedAuth(), port)
    again, open_ = await reopened(replicas.second, 5)
    assert open_.after_seq == 5
    await again.send(delivery(session, 6))
    assert await client.seqs(1) == [6]
    await replicas.second.stop()


async def test_one_that_takes_connections_and_says_nothing_is_passed_over(
    tmp_path: Path, frozen: str
) -> None:
    async with listening() as good, running_edge(tmp_path, {"event_targets": (frozen, good.target)}) as edge:
        stream = await good.delivery.attached()
        await edge.sign_in_by_hand(stream)


async def test_one_that_takes_the_call_and_says_nothing_is_passed_over(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "WORD_SECONDS", 0.1)
    stream = await replicas.first.delivery.attached()
    replicas.first.delivery.silent = True
    replicas.second.delivery.refuse = grpc.StatusCode.UNAVAILABLE
    stream.end(grpc.StatusCode.UNAVAILABLE)
    await replicas.first.delivery.attached()
    replicas.second.delivery.refuse = None
    second = await replicas.second.delivery.attached()
    await replicas.edge.sign_in_by_hand(second)


async def test_a_slow_one_is_found_too_when_there_is_no_quicker(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each round were as impatient as the first, nobody would come to an event-service under load."""
    monkeypatch.setattr(attaching, "WORD_SECONDS", 0.1)
    stream = await replicas.first.delivery.attached()
    replicas.first.delivery.silent = True
    replicas.second.delivery.refuse = grpc.StatusCode.UNAVAILABLE
    stream.end(grpc.StatusCode.UNAVAILABLE)

    async def say_something_late() -> None:
        while True:
            slow = await replicas.first.delivery.attached()
            await asyncio.sleep(0.35)
            with contextlib.suppress(Exception):
                await slow.send()

    speaking = asyncio.create_task(say_something_late())
    await until_attached(replicas.edge, 2)
    speaking.cancel()


async def test_moving_to_and_fro_loses_nothing_and_repeats_nothing(replicas: Replicas) -> None:
    one = TinyEventService(replicas.first.delivery)
    other = TinyEventService(replicas.second.delivery, one.log)
    running = [asyncio.create_task(service.run()) for service in (one, other)]
    clients = []
    for number in range(20):
        client = await replicas.edge.sign_in(f"user_{number}")
        await client.subscribe("*")
        clients.append(client)
    here, there = (one, replicas.first), (other, replicas.second)
    for round_ in range(4):
        service, mesh = here
        for number in range(20):
            await service.emit(f"user_{number}")
        assert mesh.delivery.current is not None
        if round_ % 2:
            mesh.delivery.current.end(grpc.StatusCode.UNAVAILABLE)
        else:
            await mesh.delivery.current.send(DRAIN)
        # Committed at either one while the sessions move.
        for number in range(20):
            one.append(f"user_{number}")
        await there[0].all_open(20)
        here, there = there, here
    for client in clients:
        assert await client.seqs(8) == [1, 2, 3, 4, 5, 6, 7, 8]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
