"""Attach over gRPC, on Postgres: what an edge is sent, and in which order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import psycopg
import pytest
import pytest_asyncio

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2, event_pb2
from tests.support.attached_edge import (
    AttachedEdge,
    attached_edge,
    close_command,
    open_command,
    subscribe_command,
    unsubscribe_command,
    written_command,
)
from tests.support.event_service import OPERATOR, ORDERS, PERSON, QUERY_SERVICE, Listening
from tests.support.postgres import Database

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 20
Code = grpc.StatusCode


@pytest_asyncio.fixture(loop_scope="module")
async def edge(calls: Listening) -> AsyncIterator[AttachedEdge]:
    """An attached edge worker."""
    async with attached_edge(calls) as edge:
        yield edge


async def emit(calls: Listening, user: str, count: int = 1, **fields: Any) -> None:
    given: dict[str, Any] = {"event_type": "order_created", "data": "{}", "user_id": user}
    for start in range(0, count, 1000):
        events = [event_pb2.EventDraft(**(given | fields))] * min(1000, count - start)
        answer = await calls.emit().EmitBatch(
            emit_service_pb2.EmitBatchRequest(events=events), timeout=SECONDS
        )
        assert not any(result.HasField("error") for result in answer.results)


async def epoch_of(edge: AttachedEdge, user: str, session: int = 4_000_000_000) -> str:
    """The log's epoch."""
    await edge.open(session, user, types=[])
    epoch = (await edge.opened(session)).epoch
    await edge.send(close_command(session))
    return epoch


async def disconnected(edge: AttachedEdge, session: int) -> pb.Disconnect:
    """Wait until a session is ended."""

    def found() -> list[pb.Disconnect]:
        return [item.disconnect for item in edge.items if item.disconnect.session == session]

    await edge.until(lambda: bool(found()))
    return found()[0]


# How a cursor starts.


async def test_a_first_open_is_told_where_it_starts(calls: Listening, edge: AttachedEdge, user: str) -> None:
    await emit(calls, user, 3)

    await edge.open(1, user, generation=7)

    opened = await edge.opened(1, 7)
    assert (opened.seq, opened.recovered) == (3, False)
    assert opened.epoch
    await emit(calls, user, 2)
    await edge.got(1, [4, 5])


async def test_a_resume_goes_on_behind_the_position(calls: Listening, edge: AttachedEdge, user: str) -> None:
    epoch = await epoch_of(edge, user)
    await emit(calls, user, 5)

    await edge.open(1, user, resume=pb.Resume(epoch=epoch, seq=2))

    opened = await edge.opened(1)
    assert (opened.seq, opened.recovered) == (2, True)
    await edge.got(1, [3, 4, 5])
    await emit(calls, user)
    await edge.got(1, [3, 4, 5, 6])


@pytest.mark.parametrize("case", ["another epoch", "beyond the last", "negative"])
async def test_a_resume_that_cannot_be_starts_at_the_last_and_sends_nothing_of_the_past(
    calls: Listening, edge: AttachedEdge, user: str, case: str
) -> None:
    epoch = "another" if case == "another epoch" else await epoch_of(edge, user)
    await emit(calls, user, 5)
    seq = {"another epoch": 2, "beyond the last": 6, "negative": -1}[case]

    await edge.open(1, user, resume=pb.Resume(epoch=epoch, seq=seq))

    opened = await edge.opened(1)
    assert (opened.seq, opened.recovered) == (5, False)
    await emit(calls, user)
    await edge.got(1, [6])


async def test_a_resume_under_what_retention_left_is_not_recovered(
    calls: Listening, edge: AttachedEdge, user: str, module_database: Database
) -> None:
    epoch = await epoch_of(edge, user)
    await emit(calls, user, 5)
    with psycopg.connect(module_database.dsn, autocommit=True) as connection:
        connection.execute("UPDATE user_stream SET floor_seq = 3 WHERE user_id = %s", [user])

    await edge.send(
        open_command(1, user, resume=pb.Resume(epoch=epoch, seq=2)),
        open_command(2, user, resume=pb.Resume(epoch=epoch, seq=3)),
    )

    assert not (await edge.opened(1)).recovered
    assert (await edge.opened(2)).recovered
    await edge.got(2, [4, 5])


async def test_opened_stands_before_every_delivery_of_its_generation(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    epoch = await epoch_of(edge, user)
    emitting = asyncio.create_task(emit(calls, user, 200))
    for generation in range(1, 20):
        after = 0 if generation > 1 else None
        await edge.open(1, user, generation, after=after, epoch=epoch)
    await emitting
    await edge.opened(1, 19)
    answered = [(item.opened.session, item.opened.generation) for item in edge.items]
    at = answered.index((1, 19))

    await edge.until(lambda: bool(edge.seqs_of(1)) and edge.seqs_of(1)[-1] == 200)
    behind = [item.delivery.seq for item in edge.items[at:] if item.HasField("delivery")]
    assert behind == list(range(1, 201))


# Live.


async def test_one_event_for_sessions_of_two_edges_comes_once_to_each(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    async with attached_edge(calls, "edge-2") as other:
        await edge.send(open_command(1, user), open_command(2, user))
        await other.open(1, user)
        await edge.opened(2)
        await other.opened(1)

        await emit(calls, user, 3)

        await edge.got(1, [1, 2, 3])
        await edge.got(2, [1, 2, 3])
        await other.got(1, [1, 2, 3])
        deliveries = [item for item in edge.items if item.HasField("delivery")]
        assert len(deliveries) == 3, "one item for both sessions"


async def test_the_text_is_what_clients_receive_live_and_from_the_log(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    data = '{"note":"tab\\t \\u00e9 é 😀", "n": 1.50}'
    epoch = await epoch_of(edge, user)
    await edge.open(1, user)
    await edge.opened(1)
    await emit(calls, user, data=data)
    await edge.got(1, [1])

    await edge.open(2, user, resume=pb.Resume(epoch=epoch, seq=0))
    await edge.got(2, [1])

    (live,), (read,) = edge.texts_of(1), edge.texts_of(2)
    assert live == read
    assert f'"data":{data},'.encode() in live
    text = json.loads(live)
    assert (text["user_id"], text["source"], text["seq"]) == (user, "orders", 1)


async def test_only_subscribed_types_come(calls: Listening, edge: AttachedEdge, user: str) -> None:
    await edge.send(
        open_command(1, user, types=["order_ready"]),
        open_command(2, user, types=[]),
        open_command(3, user, types=["*"]),
    )
    await edge.opened(3)

    await emit(calls, user, event_type="order_created")
    await emit(calls, user, event_type="order_ready")

    await edge.got(3, [1, 2])
    await edge.got(1, [2])
    assert edge.seqs_of(2) == []


async def test_a_change_is_confirmed_where_it_takes_effect(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await edge.open(1, user, types=[])
    await edge.opened(1)
    emitting = asyncio.create_task(emit(calls, user, 300))
    await edge.send(subscribe_command(1, ["order_created"], 1))
    await edge.until(lambda: any(item.HasField("subscribed") for item in edge.items))
    await edge.send(unsubscribe_command(1, ["order_created"], 2))
    await emitting
    await emit(calls, user)
    await edge.send(subscribe_command(1, ["order_created"], 3))
    await edge.until(
        lambda: [i.subscribed.change for i in edge.items if i.HasField("subscribed")] == [1, 2, 3]
    )
    await emit(calls, user)

    await edge.until(lambda: 302 in edge.seqs_of(1))
    kinds = [
        item.subscribed.change if item.HasField("subscribed") else "event"
        for item in edge.items
        if item.WhichOneof("item") in {"subscribed", "delivery"}
    ]
    first, undone, again = (kinds.index(change) for change in (1, 2, 3))
    assert "event" not in kinds[:first]
    assert kinds[undone:again] == [2]
    assert kinds[again:] == [3, "event"]


async def test_a_change_sent_behind_an_open_is_confirmed_behind_its_opened(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await edge.send(open_command(1, user, types=[]), subscribe_command(1, ["*"], 5))

    await edge.item("subscribed")

    assert [item.WhichOneof("item") for item in edge.items] == ["opened", "subscribed"]
    await emit(calls, user)
    await edge.got(1, [1])


async def test_nothing_comes_for_a_session_that_was_closed(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await edge.send(open_command(1, user), open_command(2, user))
    await edge.opened(2)
    await edge.send(close_command(1), subscribe_command(2, ["*"], 1))
    await edge.item("subscribed")

    await emit(calls, user)

    await edge.got(2, [1])
    assert edge.seqs_of(1) == []


async def test_commands_for_sessions_that_are_not_open_are_ignored(edge: AttachedEdge, user: str) -> None:
    ack = pb.AttachCommand(ack=pb.Ack(session=9, seq=4))
    await edge.send(
        subscribe_command(9, ["*"], 1),
        unsubscribe_command(9, ["*"], 2),
        written_command(9, 4),
        close_command(9),
        ack,
    )
    await edge.open(1, user)

    await edge.opened(1)

    assert len(edge.items) == 1


# Catching up.


async def test_a_catch_up_of_1000_events_stays_within_the_window(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    kib = 1024
    epoch = await epoch_of(edge, user)
    await emit(calls, user, 1000, data='{"x":"' + "x" * (2 * kib) + '"}')

    await edge.open(1, user, resume=pb.Resume(epoch=epoch, seq=0))
    written = 0
    while written < 1000:
        written = await _take_a_window(edge, written, 128 * kib + 3 * kib)

    assert edge.seqs_of(1) == list(range(1, 1001))
    await emit(calls, user)
    await edge.got(1, range(1, 1002))


async def _take_a_window(edge: AttachedEdge, written: int, most_bytes: int) -> int:
    """Wait for what comes without a word of ours, check how much it is, and report it as written."""
    await edge.until(lambda: len(edge.seqs_of(1)) > written)
    # Whatever else was sent arrives before the answer to this.
    await edge.send(subscribe_command(1, ["*"], written + 1))
    await edge.until(lambda: any(item.subscribed.change == written + 1 for item in edge.items))
    assert sum(map(len, edge.texts_of(1)[written:])) <= most_bytes
    written = len(edge.seqs_of(1))
    await edge.send(written_command(1, written))
    return written


async def test_a_catch_up_past_types_that_are_not_subscribed_needs_no_word_of_the_edge(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    epoch = await epoch_of(edge, user)
    await emit(calls, user, 1000)
    await emit(calls, user, event_type="order_ready")

    await edge.open(1, user, types=["order_ready"], resume=pb.Resume(epoch=epoch, seq=0))

    await edge.got(1, [1001])


async def test_a_paused_session_gets_nothing_and_then_goes_on_where_it_stood(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await edge.open(1, user)
    epoch = (await edge.opened(1)).epoch
    await emit(calls, user, 2)
    await edge.got(1, [1, 2])

    await edge.open(1, user, 2, after=2, epoch=epoch, paused=True)
    assert (await edge.opened(1, 2)).seq == 2
    await edge.open(2, user)
    await edge.opened(2)
    await emit(calls, user, 3)
    await edge.got(2, [3, 4, 5])
    assert edge.seqs_of(1) == [1, 2]

    await edge.open(1, user, 3, after=2, epoch=epoch)
    await edge.got(1, [1, 2, 3, 4, 5])
    await emit(calls, user)
    await edge.got(1, [1, 2, 3, 4, 5, 6])


async def test_a_session_attached_again_goes_on_behind_after_seq(calls: Listening, user: str) -> None:
    async with attached_edge(calls) as first:
        await first.open(1, user)
        epoch = (await first.opened(1)).epoch
        await emit(calls, user, 2)
        await first.got(1, [1, 2])
    await emit(calls, user, 3)

    async with attached_edge(calls) as again:
        await again.open(1, user, 2, after=2, epoch=epoch)
        opened = await again.opened(1, 2)
        assert (opened.seq, opened.recovered) == (2, True)
        await again.got(1, [3, 4, 5])


@pytest.mark.parametrize(("after", "epoch"), [(1, "another"), (1, ""), (9, None)])
async def test_a_session_that_cannot_go_on_is_ended_with_resume_lost(
    calls: Listening, edge: AttachedEdge, user: str, after: int, epoch: str | None
) -> None:
    known = await epoch_of(edge, user)
    await emit(calls, user, 3)

    await edge.open(1, user, 2, after=after, epoch=known if epoch is None else epoch)

    lost = await disconnected(edge, 1)
    assert (lost.generation, lost.reason) == (2, pb.DISCONNECT_REASON_RESUME_LOST)
    assert edge.seqs_of(1) == []


async def test_connections_of_one_user_are_limited_over_all_edges(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    async with attached_edge(calls, "edge-2") as other:
        await edge.send(*(open_command(number, user) for number in range(1, 20)))
        await other.open(1, user)
        await edge.opened(19)
        await other.opened(1)

        await other.open(2, user)

        refused = await disconnected(other, 2)
        assert (refused.generation, refused.reason) == (1, pb.DISCONNECT_REASON_TOO_MANY_CONNECTIONS)
        await edge.send(close_command(3))
        await edge.open(30, user)
        await edge.opened(30)


# The stream.


async def read_to_the_end(call: Any) -> None:
    while True:
        await call.read()


@pytest.mark.parametrize(
    "request_",
    [
        pb.AttachRequest(),
        pb.AttachRequest(edge="no spaces"),
        pb.AttachRequest(edge="x" * 65),
        pb.AttachRequest(edge="edge", commands=[pb.AttachCommand()]),
        pb.AttachRequest(edge="edge", commands=[open_command(0, "user_1")]),
        pb.AttachRequest(edge="edge", commands=[open_command(1, "")]),
        pb.AttachRequest(edge="edge", commands=[open_command(1, "no spaces")]),
        pb.AttachRequest(edge="edge", commands=[open_command(1, "user_1", 0)]),
    ],
    ids=[
        "no name",
        "bad name",
        "long name",
        "no command",
        "no session",
        "no user",
        "bad user",
        "no generation",
    ],
)
async def test_what_breaks_the_contract_ends_the_stream(calls: Listening, request_: pb.AttachRequest) -> None:
    call = calls.delivery().Attach()
    await call.write(request_)

    # The first tick may come before the end, and gRPC tells the end only after it was read.
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await read_to_the_end(call)
    assert ended.value.code() is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, Code.UNAUTHENTICATED),
        (PERSON, Code.PERMISSION_DENIED),
        (ORDERS, Code.PERMISSION_DENIED),
        (QUERY_SERVICE, Code.PERMISSION_DENIED),
        (OPERATOR, Code.PERMISSION_DENIED),
    ],
)
async def test_nobody_but_an_edge_may_attach(calls: Listening, token: str | None, code: Code) -> None:
    call = calls.delivery(token).Attach()

    assert await call.code() is code


async def test_a_stream_that_its_edge_ends_is_ended_cleanly_and_forgotten(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await edge.open(1, user)
    await edge.opened(1)

    await edge.call.done_writing()

    assert await edge.ended() is Code.OK
    async with attached_edge(calls, "other") as other:
        await other.send(*(open_command(number, user) for number in range(1, 21)))
        await other.opened(20)


async def test_an_edge_that_says_nothing_for_3_seconds_is_taken_for_dead_and_ticks_keep_it(
    calls: Listening, edge: AttachedEdge
) -> None:
    loop = asyncio.get_running_loop()
    async with attached_edge(calls, "silent") as silent:
        silent.is_ticking = False
        nameless = calls.delivery().Attach()
        started = loop.time()

        assert await silent.ended() is Code.UNAVAILABLE
        assert loop.time() - started > 2.5
        assert await nameless.code() is Code.UNAVAILABLE
        # Ticks each second go the other way as well, and whoever sends them stays.
        assert edge.messages.count(0) >= 2
        assert not edge.call.done()


# Counts.


async def test_stats_count_what_all_edges_hold(calls: Listening, edge: AttachedEdge, user: str) -> None:
    stub = calls.delivery(QUERY_SERVICE)
    async with attached_edge(calls, "edge-2") as other:
        epoch = await epoch_of(edge, user)
        await emit(calls, user, 4)
        await edge.send(
            open_command(1, user, types=["*"]),
            open_command(2, user, types=["order_created", "order_ready"]),
            open_command(3, user, 2, after=1, epoch=epoch, types=[], paused=True),
        )
        await other.open(1, f"{user}_b", types=["order_created"])
        await edge.opened(3, 2)
        await other.opened(1)

        stats: pb.GetStatsResponse = await stub.GetStats(pb.GetStatsRequest(), timeout=SECONDS)

    assert stats.connections == 4
    assert len(set(stats.user_hashes)) == len(stats.user_hashes) == 2
    assert stats.queued_events == 3
    assert stats.active_subscriptions == 17 + 2 + 1
    assert stats.replica
    again = await calls.delivery().GetStats(pb.GetStatsRequest(), timeout=SECONDS)
    assert again.replica == stats.replica


@pytest.mark.parametrize("token", [PERSON, ORDERS, OPERATOR])
async def test_nobody_but_query_service_and_edge_may_see_stats(calls: Listening, token: str) -> None:
    call = calls.delivery(token).GetStats(pb.GetStatsRequest(), timeout=SECONDS)

    assert await call.code() is Code.PERMISSION_DENIED
