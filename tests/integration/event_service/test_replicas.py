"""Whole event-services on one Postgres, joined by a real NATS, while all goes well and when one fails."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harkara.event.v1 import emit_service_pb2, event_pb2
from harkara_event_service.adapters import nats_backplane
from tests.support.attached_edge import AttachedEdge, attached_edge
from tests.support.event_service import (
    Listening,
    Running,
    credential_file,
    known_callers,
    listening_auth,
    running_event_service,
)
from tests.support.events import fresh_event_id
from tests.support.nats import NatsServer, running_nats
from tests.support.postgres import Database, PostgresServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until_async

SECONDS = 20
USER = "user_1"


@pytest.fixture
def nats() -> Iterator[NatsServer]:
    with running_nats() as server:
        yield server


@asynccontextmanager
async def replica(database: Database, folder: Path, backplane: str) -> AsyncIterator[Running]:
    """A replica that hears."""
    dsn = database.dsn_for("harkara_event_service")
    async with running_event_service(dsn, folder, backplane=backplane) as running:
        await up(running)
        yield running


async def up(running: Running, *, is_up: bool = True) -> None:
    """Wait until a replica is joined to the backplane, or is not."""
    deadline = time.monotonic() + SECONDS
    while await counted(running, "backplane_up") != is_up:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def counted(running: Running, name: str) -> float:
    """A metric's value, as the ops port shows it."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://{running.bound.ops_address}/metrics")).text
    wanted = f"harkara_event_service_{name}"
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == wanted
    )


async def emit(calls: Listening, *user_ids: str) -> list[int]:
    """Emit an event for each; their numbers."""
    return await emit_ids(calls, *((user_id, fresh_event_id()) for user_id in user_ids))


async def emit_ids(calls: Listening, *events: tuple[str, str]) -> list[int]:
    """Emit events, each of a user and with an id; their numbers."""
    drafts = [
        event_pb2.EventDraft(event_type="order_created", data="{}", user_id=user_id, event_id=event_id)
        for user_id, event_id in events
    ]
    answer = await calls.emit().EmitBatch(emit_service_pb2.EmitBatchRequest(events=drafts), timeout=SECONDS)
    assert not any(result.HasField("error") for result in answer.results)
    return [result.seq for result in answer.results]


async def live(edge: AttachedEdge, session: int, user_id: str = USER) -> None:
    """Open a session and wait until it is."""
    await edge.open(session, user_id)
    await edge.opened(session)


async def test_what_one_replica_stores_the_edges_of_both_are_sent_in_order(
    database: Database, tmp_path: Path, nats: NatsServer
) -> None:
    async with (
        replica(database, tmp_path, nats.url) as one,
        replica(database, tmp_path, nats.url) as other,
        attached_edge(one.calls) as edge_of_one,
        attached_edge(other.calls) as edge_of_other,
    ):
        for edge in (edge_of_one, edge_of_other):
            await live(edge, 1)

        for _ in range(10):
            await emit(one.calls, USER, "somebody", USER)
        await edge_of_other.got(1, range(1, 21))
        assert await counted(other, "hints_heard_total") == 10
        # Most came as hints alone; what a look found in between did no harm.
        await asyncio.gather(*(emit(calls, USER) for calls in [one.calls, other.calls] * 20))

        for edge in (edge_of_one, edge_of_other):
            await edge.got(1, range(1, 61))
        passing = event_pb2.EventDraft(
            event_type="order_created", data="{}", user_id=USER, storage=event_pb2.STORAGE_EPHEMERAL
        )
        await one.calls.emit().Emit(emit_service_pb2.EmitRequest(event=passing), timeout=SECONDS)
        for edge in (edge_of_one, edge_of_other):
            await edge.got(1, [*range(1, 61), 0])
        assert edge_of_one.texts_of(1) == edge_of_other.texts_of(1)


async def test_a_hint_that_is_lost_last_is_found_within_two_seconds(
    database: Database, tmp_path: Path, nats: NatsServer
) -> None:
    """The network swallows it, and nobody knows: the connection stands."""
    address = urlsplit(nats.url)
    async with (
        TcpProxy.running(str(address.hostname), address.port or 0) as (proxy, port),
        replica(database, tmp_path, nats.url) as one,
        replica(database, tmp_path, f"nats://127.0.0.1:{port}") as other,
        attached_edge(other.calls) as edge,
    ):
        await live(edge, 1)
        await emit(one.calls, USER)
        await edge.got(1, [1])
        proxy.stall()
        started = time.monotonic()
        await emit(one.calls, USER)

        await edge.got(1, [1, 2])

        assert time.monotonic() - started < 2
        assert await counted(other, "hints_heard_total") == 1
        proxy.flow()
        await emit(one.calls, USER)
        await edge.got(1, [1, 2, 3])


async def test_without_nats_emit_is_ok_everybody_ready_and_no_event_late(
    database: Database, tmp_path: Path, nats: NatsServer
) -> None:
    async with (
        replica(database, tmp_path, nats.url) as one,
        replica(database, tmp_path, nats.url) as other,
        attached_edge(other.calls) as edge,
    ):
        await live(edge, 1)
        nats.kill()
        for running in (one, other):
            await up(running, is_up=False)

        for number in range(1, 3):
            started = time.monotonic()
            await emit(one.calls, USER)
            await edge.got(1, range(1, number + 1))
            assert time.monotonic() - started < 2
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://{other.bound.ops_address}/readyz")
        assert answer.status_code == 200

        nats.start()
        for running in (one, other):
            await up(running)
        before = await counted(other, "hints_heard_total")
        await emit(one.calls, USER)
        await edge.got(1, range(1, 4))
        assert await counted(other, "hints_heard_total") == before + 1


async def test_a_frozen_nats_is_noticed_and_delays_no_event(
    database: Database, tmp_path: Path, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes connections and answers nothing."""
    monkeypatch.setattr(nats_backplane, "PING_SECONDS", 0.3)
    monkeypatch.setattr(nats_backplane, "CONNECT_SECONDS", 0.3)
    async with (
        replica(database, tmp_path, nats.url) as one,
        replica(database, tmp_path, nats.url) as other,
        attached_edge(other.calls) as edge,
    ):
        await live(edge, 1)
        nats.freeze()
        started = time.monotonic()
        await emit(one.calls, USER)
        await edge.got(1, [1])
        assert time.monotonic() - started < 2

        await up(other, is_up=False)

        nats.thaw()
        await up(other)
        await up(one)
        await emit(one.calls, USER)
        await edge.got(1, [1, 2])


async def test_replicas_of_another_log_on_the_same_nats_are_not_heard(
    database: Database, postgres_server: PostgresServer, tmp_path: Path, nats: NatsServer
) -> None:
    stranger_database = postgres_server.create_migrated_database()
    with psycopg.connect(stranger_database.dsn) as connection:
        # A copy of a database has the epoch of its original.
        connection.execute("UPDATE log_epoch SET epoch = 'of another'")
    async with (
        replica(database, tmp_path, nats.url) as ours,
        replica(stranger_database, tmp_path, nats.url) as strange,
        attached_edge(ours.calls) as edge,
    ):
        await live(edge, 1)

        await emit(strange.calls, USER, USER, USER)
        await emit(ours.calls, USER)

        await edge.got(1, [1])
        assert await counted(ours, "hints_heard_total") == 0
        assert await counted(ours, "batches_read_total") == 0
    postgres_server.drop_database(stranger_database)


@asynccontextmanager
async def replica_process(
    database: Database, folder: Path, backplane: str, failpoints: str
) -> AsyncIterator[tuple[int, Listening]]:
    """A replica in a process of its own, with places at which it freezes; its pid, and calls to it."""
    peer = known_callers()
    prefix = "HARKARA_EVENT_SERVICE_"
    async with listening_auth(peer) as auth_target, AsyncExitStack() as channels:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "harkara_event_service"),
            env=os.environ
            | {
                f"{prefix}LISTEN_ADDRESS": "127.0.0.1:0",
                f"{prefix}OPS_ADDRESS": "127.0.0.1:0",
                f"{prefix}AUTH_TARGET": auth_target,
                f"{prefix}CREDENTIAL_FILE": str(credential_file(folder)),
                f"{prefix}POSTGRES_DSN": database.dsn_for("harkara_event_service"),
                f"{prefix}BACKPLANE": backplane,
                "HARKARA_FAILPOINTS": failpoints,
            },
            stderr=asyncio.subprocess.PIPE,
        )
        records: dict[str, dict[str, Any]] = {}
        reading = asyncio.create_task(read_records(process, records))
        try:
            await wait_until_async(lambda: records.keys() >= {"started", "backplane_connected"})
            yield process.pid, Listening(records["started"]["listen_address"], peer, channels)
        finally:
            process.kill()
            await process.wait()
            await reading


async def read_records(process: asyncio.subprocess.Process, records: dict[str, dict[str, Any]]) -> None:
    """Note what a process logs, by the name of the event."""
    assert process.stderr is not None
    async for line in process.stderr:
        record = json.loads(line)
        records[record["event"]] = record


async def test_a_replica_that_freezes_inside_its_transaction_stops_nobody(
    database: Database, tmp_path: Path, nats: NatsServer
) -> None:
    """It holds a user's lock until its idle transaction is ended; all others go on meanwhile."""
    freezes = "event-service.in-transaction=stop"
    async with (
        replica(database, tmp_path, nats.url) as other,
        replica_process(database, tmp_path, nats.url, freezes) as (pid, frozen),
        attached_edge(other.calls) as edge,
    ):
        await live(edge, 1)
        await live(edge, 2, "user_2")
        again = (USER, fresh_event_id())
        await emit_ids(frozen, again)
        await edge.got(1, [1])
        # One that is stored already makes its batch careful, and that is a transaction of several messages.
        stuck = asyncio.create_task(emit_ids(frozen, again, (USER, fresh_event_id())))
        await wait_until_async(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)

        started = time.monotonic()
        assert await emit(other.calls, "user_2") == [1]
        await edge.got(2, [1])
        assert time.monotonic() - started < 1
        assert await emit(other.calls, USER) == [2]
        await edge.got(1, [1, 2])
        assert time.monotonic() - started < 5

        os.kill(pid, signal.SIGCONT)
        assert await stuck == [1, 3]
        await edge.got(1, [1, 2, 3])
