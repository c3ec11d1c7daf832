"""The fence of mechanics, "Reading: heads and cursors": stale deliveries between an Open and its Opened."""

from __future__ import annotations

import grpc

from tests.integration.edge.conftest import Edge
from tests.support.scripted_mesh import Attached, advanced, delivery, opened


async def test_a_delivery_that_stands_before_opened_is_dropped(edge: Edge, stream: Attached) -> None:
    client = await edge.open()
    await client.send({"type": "auth", "token": edge.auth.add("user_1")})
    open_ = await stream.expect("open")
    await stream.send(
        delivery(open_.session, 9),
        opened(open_.session, open_.generation, 10),
        delivery(open_.session, 11),
    )
    assert (await client.expect("authenticated"))["seq"] == 10
    assert await client.seqs(1) == [11]


async def test_an_opened_of_an_older_generation_opens_nothing(edge: Edge, stream: Attached) -> None:
    client, session = await edge.sign_in_by_hand(stream, seq=10)
    stream.end(grpc.StatusCode.UNAVAILABLE)
    second = await edge.delivery.attached()
    open_ = await second.expect("open")
    assert (open_.generation, open_.after_seq, open_.epoch) == (2, 10, "epoch-1")
    await second.send(opened(session, 1, 10), delivery(session, 12))
    await second.send(opened(session, 2, 10), delivery(session, 11), delivery(session, 12))
    assert await client.seqs(2) == [11, 12]


async def test_a_repeated_delivery_is_written_once(edge: Edge, stream: Attached) -> None:
    client, session = await edge.sign_in_by_hand(stream, seq=10)
    await stream.send(delivery(session, 11), delivery(session, 11))
    await stream.send(delivery(session, 11), delivery(session, 12))
    assert await client.seqs(2) == [11, 12]


async def test_a_position_that_advanced_is_where_the_next_stream_goes_on(
    edge: Edge, stream: Attached
) -> None:
    client, session = await edge.sign_in_by_hand(stream, seq=10)
    await stream.send(advanced(session, 5_000))
    await stream.send(delivery(session, 5_001))
    assert await client.seqs(1) == [5_001]
    await stream.send(advanced(session, 9_000))
    stream.end(grpc.StatusCode.UNAVAILABLE)
    second = await edge.delivery.attached()
    assert (await second.expect("open")).after_seq == 9_000
    assert (await client.heartbeat())["seq"] == 9_000


async def test_what_an_unknown_session_gets_is_dropped(edge: Edge, stream: Attached) -> None:
    client, session = await edge.sign_in_by_hand(stream)
    await stream.send(
        delivery([4_000_000_000, session], 1), advanced(77, 5), opened(78, 1, 5), delivery(79, 1)
    )
    assert await client.seqs(1) == [1]
