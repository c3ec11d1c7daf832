"""`collapse_key`, `ttl` and `storage = EPHEMERAL`, from Emit to the edge, on Postgres."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from harkara.event.v1 import emit_service_pb2, event_pb2
from tests.support.attached_edge import AttachedEdge, attached_edge
from tests.support.event_service import ORDERS, Listening, Running, running_event_service
from tests.support.events import fresh_event_id
from tests.support.postgres import Database

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 20
LOW = event_pb2.EVENT_LEVEL_LOW
EPHEMERAL = event_pb2.STORAGE_EPHEMERAL


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """An event-service with an interval that a test can see the end of, and cannot miss."""
    folder: Path = tmp_path_factory.mktemp("event-service")
    dsn = module_database.dsn_for("harkara_event_service")
    async with running_event_service(dsn, folder, collapse_ms=300) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def edge(calls: Listening) -> AsyncIterator[AttachedEdge]:
    """An attached edge worker."""
    async with attached_edge(calls) as edge:
        yield edge


def draft(user: str, **fields: Any) -> event_pb2.EventDraft:
    given: dict[str, Any] = {"event_type": "order_created", "data": "{}", "user_id": user}
    return event_pb2.EventDraft(**(given | fields))


def low(user: str, key: str = "courier-7", **fields: Any) -> event_pb2.EventDraft:
    return draft(user, event_level=LOW, collapse_key=key, **fields)


async def emit(calls: Listening, *events: event_pb2.EventDraft) -> Sequence[emit_service_pb2.EmitResult]:
    request = emit_service_pb2.EmitBatchRequest(events=events)
    answer = await calls.emit().EmitBatch(request, timeout=SECONDS)
    assert not any(result.HasField("error") for result in answer.results)
    results: Sequence[emit_service_pb2.EmitResult] = answer.results
    return results


async def resume(edge: AttachedEdge, session: int, user: str, seq: int) -> None:
    """Open a session that goes on after `seq`."""
    await edge.open(session, f"{user}", types=[], generation=1)
    epoch = (await edge.opened(session)).epoch
    await edge.open(session, user, 2, after=seq, epoch=epoch)
    await edge.opened(session, 2)


async def test_a_session_gets_the_first_of_a_key_and_then_the_newest(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await edge.open(1, user)
    await edge.opened(1)

    await emit(calls, *[low(user)] * 5, low(user, "courier-8"))

    await edge.got(1, [1, 5, 6])


async def test_what_is_held_comes_before_what_follows(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await edge.open(1, user)
    await edge.opened(1)

    await emit(calls, *[low(user)] * 3, draft(user), *[low(user)] * 2, draft(user))

    await edge.got(1, [1, 3, 4, 6, 7])


async def test_what_is_held_comes_by_itself(calls: Listening, edge: AttachedEdge, user: str) -> None:
    await edge.open(1, user)
    await edge.opened(1)

    await emit(calls, *[low(user)] * 3)
    await edge.got(1, [1, 3])
    await emit(calls, *[low(user)] * 3)
    await edge.got(1, [1, 3, 6])


async def test_what_was_superseded_is_in_the_log_all_the_same(
    calls: Listening, module_database: Database, user: str
) -> None:
    await emit(calls, *[low(user)] * 3)

    with psycopg.connect(module_database.dsn) as connection:
        rows = connection.execute("SELECT seq FROM event_log WHERE user_id = %s ORDER BY seq", (user,))
        assert [seq for (seq,) in rows] == [1, 2, 3]


async def test_a_catch_up_brings_only_the_newest_of_a_key(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await emit(calls, *[low(user), low(user, "courier-8")] * 3, draft(user), low(user))

    await resume(edge, 1, user, 0)

    await edge.got(1, [6, 7, 8])


async def test_another_stream_gets_what_was_held_on_the_last_one(calls: Listening, user: str) -> None:
    async with attached_edge(calls) as first:
        await first.open(1, user)
        await first.opened(1)
        await emit(calls, *[low(user)] * 3)
        await first.got(1, [1])

    async with attached_edge(calls) as second:
        await resume(second, 1, user, 1)
        await second.got(1, [3])


# Expiry.


async def test_an_event_past_its_ttl_is_skipped_and_stays_in_the_log(
    calls: Listening, edge: AttachedEdge, module_database: Database, user: str
) -> None:
    await emit(calls, draft(user, ttl=Duration(nanos=1)), draft(user, ttl=Duration(seconds=60)), draft(user))

    await resume(edge, 1, user, 0)

    await edge.got(1, [2, 3])
    with psycopg.connect(module_database.dsn) as connection:
        row = connection.execute(
            "SELECT count(*), count(expires_at), min(expires_at - created_at) FROM event_log "
            "WHERE user_id = %s",
            (user,),
        ).fetchone()
    assert row is not None
    assert row[:2] == (3, 2)
    assert row[2].microseconds == 1


async def test_a_live_event_comes_while_its_ttl_lasts(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await edge.open(1, user)
    await edge.opened(1)

    await emit(calls, draft(user, ttl=Duration(nanos=1)), draft(user, ttl=Duration(seconds=60)))

    await edge.got(1, [2])


async def test_a_retry_of_an_event_with_a_ttl_keeps_the_first_ones_end(
    calls: Listening, module_database: Database, user: str
) -> None:
    event_id = fresh_event_id()
    await emit(calls, draft(user, ttl=Duration(seconds=60), event_id=event_id))

    (again,) = await emit(calls, draft(user, ttl=Duration(seconds=600), event_id=event_id))

    assert again.duplicate
    with psycopg.connect(module_database.dsn) as connection:
        row = connection.execute(
            "SELECT expires_at - created_at FROM event_log WHERE event_id = %s", (event_id,)
        ).fetchone()
    assert row is not None
    assert row[0].total_seconds() == 60


# Events that are kept nowhere.


async def test_an_ephemeral_event_reaches_who_is_there_without_a_number(
    calls: Listening, edge: AttachedEdge, module_database: Database, user: str
) -> None:
    await edge.open(1, user)
    await edge.open(2, user, types=["order_ready"])
    await edge.opened(2)

    answer = await calls.emit().Emit(
        emit_service_pb2.EmitRequest(event=draft(user, storage=EPHEMERAL, data='{"order_id":"o1"}')),
        timeout=SECONDS,
    )

    assert (answer.seq, answer.duplicate) == (0, False)
    assert answer.event_id
    assert answer.HasField("accept_time")
    await edge.got(1, [0])
    event = json.loads(edge.texts_of(1)[0])
    assert "seq" not in event
    assert (event["event_id"], event["data"]) == (answer.event_id, {"order_id": "o1"})
    with psycopg.connect(module_database.dsn) as connection:
        for table in ("event_log", "user_stream"):
            row = connection.execute(f"SELECT count(*) FROM {table} WHERE user_id = %s", (user,)).fetchone()  # noqa: S608 - our own text.
            assert row == (0,)
    assert edge.seqs_of(2) == []


async def test_ephemeral_and_stored_events_mix_in_a_batch(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await edge.open(1, user)
    await edge.opened(1)
    passing = draft(user, storage=EPHEMERAL)

    results = await emit(calls, draft(user), passing, draft(user), passing)

    assert [result.seq for result in results] == [1, 0, 2, 0]
    assert all(result.event_id for result in results)
    await edge.until(lambda: len(edge.seqs_of(1)) == 4)
    assert sorted(edge.seqs_of(1)) == [0, 0, 1, 2]


async def test_ephemeral_and_stored_events_mix_on_a_stream(calls: Listening, user: str) -> None:
    stream = calls.emit(None).EmitStream(metadata=(("authorization", f"Bearer {ORDERS}"),), timeout=SECONDS)
    passing = draft(user, storage=EPHEMERAL)
    for events in ([passing], [draft(user), passing, draft(user)], [passing], [draft(user)]):
        await stream.write(emit_service_pb2.EmitStreamRequest(events=events))
    await stream.done_writing()

    seqs = [result.seq async for response in stream for result in response.results]

    assert seqs == [0, 1, 0, 2, 0, 3]


async def test_ephemeral_events_of_a_key_are_collapsed(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await edge.open(1, user)
    await edge.opened(1)

    for number in range(5):
        await emit(calls, low(user, storage=EPHEMERAL, data=json.dumps({"number": number})))
    await edge.got(1, [0, 0])

    assert [json.loads(text)["data"]["number"] for text in edge.texts_of(1)] == [0, 4]


async def test_a_session_that_was_away_gets_no_ephemeral_event(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await emit(calls, draft(user, storage=EPHEMERAL), draft(user))

    await resume(edge, 1, user, 0)

    await edge.got(1, [1])
