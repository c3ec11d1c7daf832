"""The outbox on a real Postgres and a real event-service: an order and its event together, whatever dies."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harkara_client import Backoff, Emitter
from harkara_client.outbox import Relay, install, schema_sql
from harkara_client.outbox import relay as relay_module
from harkara_schema.partitions import ALPHABET
from tests.support.event_service import ORDERS, Running, assembled_event_service
from tests.support.held_log import HeldLog
from tests.support.postgres import Database
from tests.support.tcp_proxy import TcpProxy
from tests.support.tls_end import tls_end_before
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")
EMIT = "SELECT harkara_emit(%s, 'order_created', %s)"


@pytest.fixture
def orders(empty_database: Database) -> Database:
    """The database of a service, with an outbox and a table of its own."""
    with psycopg.connect(empty_database.dsn) as connection:
        install(connection)
        connection.execute("CREATE TABLE orders (id text PRIMARY KEY)")
    return empty_database


def put(database: Database, user_id: str, *numbers: int) -> None:
    """Put events into the outbox, in one transaction."""
    with psycopg.connect(database.dsn) as connection:
        for number in numbers:
            connection.execute(EMIT, (user_id, json.dumps({"n": number})))


def waiting_in(database: Database) -> int:
    with psycopg.connect(database.dsn) as connection:
        row = connection.execute("SELECT count(*) FROM harkara_outbox WHERE refused_at IS NULL").fetchone()
    assert row is not None
    return int(row[0])


def stored(log: Database, user_id: str) -> list[int]:
    """The numbers in a user's events in the log, in the order of the log."""
    with psycopg.connect(log.dsn) as connection:
        rows = connection.execute(
            "SELECT data FROM event_log WHERE user_id = %s ORDER BY seq", (user_id,)
        ).fetchall()
    return [json.loads(data)["n"] for (data,) in rows]


@asynccontextmanager
async def relaying(
    dsn: str, target: str, *, token: str = ORDERS, poll_seconds: float = 0.05, batch: int = 500
) -> AsyncIterator[Relay]:
    """A relay at work; it is stopped as a kill stops it: wherever it stands."""
    async with Emitter(target, token=token, timeout=None) as emitter:
        relay = Relay(dsn, emitter, poll_seconds=poll_seconds, batch=batch, backoff=Backoff(0.05, 0.05))
        running = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await emitter.close(timeout=0)


# What the SQL does.


async def test_the_event_commits_and_rolls_back_with_the_row_it_tells_of(orders: Database) -> None:
    with psycopg.connect(orders.dsn) as connection:
        connection.execute("INSERT INTO orders VALUES ('o1')")
        connection.execute(EMIT, ("u", "{}"))
        connection.rollback()
        assert waiting_in(orders) == 0
        connection.execute("INSERT INTO orders VALUES ('o1')")
        connection.execute(EMIT, ("u", "{}"))
        assert waiting_in(orders) == 0
    assert waiting_in(orders) == 1


async def test_ids_are_ulids_of_now_that_are_given_once(orders: Database) -> None:
    with psycopg.connect(orders.dsn) as connection:
        rows = connection.execute(
            "SELECT harkara_event_id(), extract(epoch FROM clock_timestamp())::float8"
            " FROM generate_series(1, 2000)"
        ).fetchall()
    assert len({event_id for event_id, _ in rows}) == len(rows)
    chance = {place: {event_id[place] for event_id, _ in rows} for place in range(14, 30)}
    assert all(letters == set(ALPHABET) for letters in chance.values())
    for event_id, now in rows:
        assert len(event_id) == 30
        made = 0
        for letter in event_id[4:14]:
            made = made * 32 + ALPHABET.index(letter)
        assert abs(made / 1000 - now) < 1


async def test_installing_again_or_from_the_text_changes_nothing(orders: Database) -> None:
    put(orders, "u", 1)
    with psycopg.connect(orders.dsn) as connection:
        install(connection)
        connection.execute(schema_sql().encode())
    assert waiting_in(orders) == 1


async def test_it_goes_into_a_schema_of_any_name(orders: Database) -> None:
    with psycopg.connect(orders.dsn) as connection:
        connection.execute('CREATE SCHEMA "odd ""one"')
        install(connection, 'odd "one', notify=False)
        connection.execute("""SELECT "odd ""one".harkara_emit('u', 'order_created', '{}')""")
        row = connection.execute('SELECT count(*) FROM "odd ""one".harkara_outbox').fetchone()
    assert row == (1,)
    assert waiting_in(orders) == 0


async def test_a_service_needs_insert_and_a_relay_no_more_than_it_does(
    running: Running, orders: Database, module_database: Database, user: str
) -> None:
    with psycopg.connect(orders.dsn) as connection:
        name = connection.info.dbname
        connection.execute(f"CREATE ROLE {name}_shop")
        connection.execute(f"CREATE ROLE {name}_relay LOGIN PASSWORD 'only-for-tests'")
        connection.execute(f"GRANT INSERT ON harkara_outbox TO {name}_shop")
        connection.execute(f"GRANT SELECT, UPDATE, DELETE ON harkara_outbox TO {name}_relay")
        connection.execute(f"SET LOCAL ROLE {name}_shop")
        connection.execute(EMIT, (user, '{"n": 1}'))
        connection.execute(EMIT, (user, '{"n": "no", "total_amount": ""}'))
    dsn = psycopg.conninfo.make_conninfo(orders.dsn, user=f"{name}_relay", password="only-for-tests")
    async with relaying(dsn, running.calls.target):
        await wait_until_async(lambda: waiting_in(orders) == 0)
    assert stored(module_database, user) == [1]


# What the relay does.


async def test_what_was_committed_is_emitted_and_leaves_the_outbox(
    running: Running, orders: Database, module_database: Database, user: str
) -> None:
    with psycopg.connect(orders.dsn) as connection:
        made = connection.execute(
            "SELECT harkara_emit(%s, 'order_created', %s, event_level => 'critical',"
            " event_time => '2026-01-27T10:30:00.123456Z', ttl => '1 hour')",
            (user, '{"n":  1}'),
        ).fetchone()
    async with relaying(orders.dsn, running.calls.target) as relay:
        await wait_until_async(lambda: relay.counts.emitted == 1)
    assert waiting_in(orders) == 0
    with psycopg.connect(module_database.dsn) as connection:
        row = connection.execute(
            "SELECT event_id, seq, data, event_level, timestamp AT TIME ZONE 'UTC', source FROM event_log"
            " WHERE user_id = %s",
            (user,),
        ).fetchone()
    assert row is not None
    assert made is not None
    assert (*row[:4], row[5]) == (made[0], 1, '{"n":  1}', "critical", "orders")
    assert row[4].isoformat() == "2026-01-27T10:30:00.123456"


async def test_a_commit_wakes_the_relay(
    running: Running, orders: Database, module_database: Database, user: str
) -> None:
    async with relaying(orders.dsn, running.calls.target, poll_seconds=600) as relay:
        await asyncio.wait_for(relay.is_working.wait(), 20)
        for number in range(3):
            put(orders, user, number)
            await wait_until_async(lambda number=number: relay.counts.emitted == number + 1)  # type: ignore[misc]
    assert stored(module_database, user) == [0, 1, 2]


async def test_only_a_relay_with_nothing_to_do_listens(
    log: HeldLog, orders: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[psycopg.AsyncConnection[Any]] = []
    connect = psycopg.AsyncConnection.connect

    async def noted(*arguments: Any, **options: Any) -> psycopg.AsyncConnection[Any]:
        connections.append(await connect(*arguments, **options))
        return connections[-1]

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", noted)
    async with (
        assembled_event_service(lambda _: log, tmp_path) as held,
        relaying(orders.dsn, held.calls.target, poll_seconds=600) as relay,
    ):
        await asyncio.wait_for(relay.is_working.wait(), 20)
        log.gate.clear()
        put(orders, "u", 0)
        await log.has_got(1)
        for number in range(1, 4):
            put(orders, "u", number)
        # It waits for Emit: its connection is free, and this is what its session listens to.
        cursor = await connections[-1].execute("SELECT pg_listening_channels()")
        assert await cursor.fetchall() == []
        # Nothing that came meanwhile is kept.
        assert [notify async for notify in connections[-1].notifies(timeout=0)] == []
        log.gate.set()
        await wait_until_async(lambda: relay.counts.emitted == 4)
        put(orders, "u", 4)
        await wait_until_async(lambda: relay.counts.emitted == 5)


async def test_a_row_that_commits_late_with_a_small_number_is_not_passed_over_and_stops_nobody(
    running: Running, orders: Database, module_database: Database, user: str
) -> None:
    late = f"{user}_late"
    async with relaying(orders.dsn, running.calls.target):
        with psycopg.connect(orders.dsn) as slow:
            slow.execute(EMIT, (late, '{"n": 1}'))
            put(orders, user, 2)
            await wait_until_async(lambda: stored(module_database, user) == [2])
            assert stored(module_database, late) == []
        await wait_until_async(lambda: waiting_in(orders) == 0)
    assert stored(module_database, late) == [1]


async def test_what_one_saw_of_the_other_goes_after_it(
    running: Running, orders: Database, module_database: Database, user: str
) -> None:
    with psycopg.connect(orders.dsn) as early, psycopg.connect(orders.dsn) as other:
        early.execute("INSERT INTO orders VALUES ('early')")  # Its transaction has the smaller number.
        other.execute(EMIT, (user, '{"n": 1}'))
        other.commit()
        early.execute(EMIT, (user, '{"n": 2}'))
    async with relaying(orders.dsn, running.calls.target):
        await wait_until_async(lambda: waiting_in(orders) == 0)
    assert stored(module_database, user) == [1, 2]


async def test_what_is_refused_is_parked_with_its_reason_and_stops_nobody(
    running: Running, orders: Database, module_database: Database, user: str
) -> None:
    poisoned = [
        ("order_created", '{"n": "", "total_amount": "much"}', {}),
        ("wallet_updated", '{"n": 0}', {}),
        ("order_created", '{"n": 0}', {"event_level": "urgent"}),
        ("order_created", '{"n": 0}', {"event_time": "infinity"}),
        ("order_created", json.dumps({"n": "x" * 70_000}), {}),
    ]
    with psycopg.connect(orders.dsn) as connection:
        for number, (kind, data, more) in enumerate(poisoned):
            connection.execute(
                "SELECT harkara_emit(%s, %s, %s, event_level => %s, event_time => %s)",
                (user, kind, data, more.get("event_level"), more.get("event_time", "2026-01-01Z")),
            )
            connection.execute(EMIT, (user, json.dumps({"n": number})))
    async with relaying(orders.dsn, running.calls.target) as relay:
        await wait_until_async(lambda: (relay.counts.emitted, relay.counts.parked) == (5, 5))
        with psycopg.connect(orders.dsn) as connection:
            parked = connection.execute(
                "SELECT refused_code, refused_field FROM harkara_outbox ORDER BY id"
            ).fetchall()
            assert parked[0] == ("INVALID_ARGUMENT", "data.total_amount")
            assert parked[1][0] == "PERMISSION_DENIED"
            # What was mended goes on.
            connection.execute(
                "UPDATE harkara_outbox SET refused_at = NULL, event_type = 'order_created'"
                " WHERE event_type = 'wallet_updated'"
            )
        await wait_until_async(lambda: relay.counts.emitted == 6)
    assert stored(module_database, user) == [0, 1, 2, 3, 4, 0]


async def test_a_relay_whose_token_is_refused_parks_nothing_and_goes_on_with_a_good_one(
    running: Running, orders: Database, module_database: Database, user: str
) -> None:
    put(orders, user, *range(3))
    tokens = chain(["nobody"] * 4, repeat(ORDERS))
    async with Emitter(running.calls.target, token=lambda: next(tokens)) as emitter:
        relay = Relay(orders.dsn, emitter, backoff=Backoff(0.01, 0.05))
        running_relay = asyncio.create_task(relay.run())
        await wait_until_async(lambda: waiting_in(orders) == 0)
        running_relay.cancel()
        await asyncio.gather(running_relay, return_exceptions=True)
    assert relay.counts.parked == 0
    assert stored(module_database, user) == [0, 1, 2]


@pytest.mark.parametrize("seed", range(2))
async def test_killed_relays_and_lost_connections_lose_and_double_nothing(
    running: Running, orders: Database, module_database: Database, user: str, seed: int
) -> None:
    put(orders, user, *range(300))
    emit_at, database_at = running.calls.target.rpartition(":"), psycopg.conninfo.conninfo_to_dict(orders.dsn)
    async with (
        TcpProxy.running(emit_at[0], int(emit_at[2])) as (emits, emit_port),
        TcpProxy.running(str(database_at["host"]), int(str(database_at["port"]))) as (rows, row_port),
    ):
        dsn = psycopg.conninfo.make_conninfo(orders.dsn, host="127.0.0.1", port=row_port)
        kills = 0
        while waiting_in(orders):
            async with relaying(dsn, f"127.0.0.1:{emit_port}", batch=20) as relay:
                before = waiting_in(orders)
                await wait_until_async(lambda before=before: waiting_in(orders) < max(1, before - 30))  # type: ignore[misc]
                (emits if (kills + seed) % 2 else rows).cut_all(reset=True)
                kills += 1
                await wait_until_async(lambda: relay.counts.emitted > 40 or waiting_in(orders) == 0)
    assert kills > 2
    assert stored(module_database, user) == list(range(300))


async def test_one_relay_works_and_another_takes_over(
    running: Running, orders: Database, module_database: Database, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "STANDBY_SECONDS", 0.02)
    async with relaying(orders.dsn, running.calls.target) as waiting:
        async with asyncio.timeout(20):
            await waiting.is_working.wait()
        async with relaying(orders.dsn, running.calls.target) as second:
            put(orders, user, 1)
            await wait_until_async(lambda: waiting.counts.emitted == 1)
            assert not second.is_working.is_set()
            with psycopg.connect(orders.dsn, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            put(orders, user, 2)
            await wait_until_async(lambda: waiting.counts.emitted + second.counts.emitted == 2)
    assert stored(module_database, user) == [1, 2]


# The command line.


async def test_the_command_line_relays_until_it_is_told_to_stop_and_survives_being_killed(
    running: Running, orders: Database, module_database: Database, user: str, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(ORDERS)
    token.chmod(0o600)
    command = [sys.executable, "-m", "harkara_client.outbox", "relay", "--dsn", orders.dsn]
    command += ["--targets", running.calls.target, "--token-file", str(token), "--poll-seconds", "0.05"]
    with (tmp_path / "log").open("wb") as log:
        for first, signal_number in ((0, signal.SIGKILL), (50, signal.SIGTERM)):
            process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220, S603 - our own command.
            try:
                put(orders, user, *range(first, first + 50))
                await wait_until_async(lambda: waiting_in(orders) == 0)
                process.send_signal(signal_number)
                status = await asyncio.to_thread(process.wait, 20)
            finally:
                process.kill()
                process.wait()
            assert status == (0 if signal_number == signal.SIGTERM else -signal_number)
    assert stored(module_database, user) == list(range(100))


async def test_the_command_line_relays_to_an_end_behind_tls(
    running: Running, orders: Database, module_database: Database, user: str, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(ORDERS)
    token.chmod(0o600)
    async with tls_end_before(running.calls.target, tmp_path) as end:
        trusted = tmp_path / "ca.pem"
        trusted.write_bytes(end.certificate)
        command = [sys.executable, "-m", "harkara_client.outbox", "relay", "--dsn", orders.dsn]
        command += ["--targets", f"localhost:{end.port}", "--token-file", str(token)]
        command += ["--tls", "--ca-file", str(trusted)]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220, S603 - our own command.
        try:
            put(orders, user, 1)
            await wait_until_async(lambda: waiting_in(orders) == 0)
        finally:
            process.kill()
            process.wait()
    assert stored(module_database, user) == [1]
