"""How the log opens and closes, what its connections are set to, and a server that restarts."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from harkara_event_service.adapters import partition_keeper, postgres_log
from harkara_event_service.adapters.postgres_log import PostgresLogSettings
from harkara_event_service.ports import Failure, LogUnavailableError, Stored
from harkara_schema.errors import SchemaVersionError
from harkara_schema.version import require_current_async
from tests.support.cutting_proxy import Fault, cutting_proxy
from tests.support.events import make_event, make_events, told
from tests.support.logs import append, open_log, seqs
from tests.support.postgres import Database, running_postgres
from tests.support.waiting import wait_until_async


async def test_a_database_without_tables_is_refused_at_the_start(empty_database: Database) -> None:
    with pytest.raises(SchemaVersionError):
        async with open_log(empty_database.dsn):
            pass


async def test_a_log_whose_server_is_not_there_opens_and_is_not_healthy() -> None:
    async with open_log("postgresql://nobody:x@127.0.0.1:1/nothing") as log:
        assert not log.healthy
        assert await append(log, make_event(), seconds=0.05) == [Failure.UNAVAILABLE]
        with pytest.raises(LogUnavailableError):
            await log.heads(["user_1"])


async def test_a_log_that_cannot_begin_by_a_fault_of_ours_goes_on_trying(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [psycopg.OperationalError("away at the start"), RuntimeError("a fault of ours")]

    async def check(dsn: str) -> None:
        if faults:
            raise faults.pop(0)
        await require_current_async(dsn)

    monkeypatch.setattr(postgres_log, "require_current_async", check)
    async with open_log(database.dsn_for("harkara_event_service")) as log:
        assert seqs(await append(log, make_event())) == [1]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("synchronous_commit", "on"),
        ("lock_timeout", "500ms"),
        ("statement_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "2s"),
        ("tcp_keepalives_idle", "5"),
        ("TimeZone", "UTC"),
    ],
)
async def test_writers_are_set_for_durability_and_short_waits(
    database: Database, setting: str, value: str
) -> None:
    # Whatever the database's own defaults are.
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = off")
        connection.execute(f"ALTER DATABASE {database.name} SET timezone = 'Asia/Kolkata'")
        connection.execute(
            """CREATE TABLE seen AS SELECT name, ''::text AS value FROM pg_settings LIMIT 0;
               GRANT INSERT ON seen TO harkara_event_service;
               CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN
                   INSERT INTO seen SELECT name, current_setting(name) FROM pg_settings;
                   RETURN NULL;
               END $$;
               CREATE TRIGGER look AFTER INSERT ON event_log FOR EACH STATEMENT EXECUTE FUNCTION look()"""
        )
    async with open_log(database.dsn_for("harkara_event_service")) as log:
        await append(log, make_event())

    with psycopg.connect(database.dsn) as connection:
        assert connection.execute("SELECT value FROM seen WHERE name = %s", [setting]).fetchone() == (value,)


async def test_a_quarter_past_midnight_in_another_zone_counts_for_the_utc_day(database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database.name} SET timezone = 'Asia/Kolkata'")
    events = [*make_events(2), make_event(level="critical"), make_event(source="shop_service")]
    async with open_log(database.dsn_for("harkara_event_service")) as log:
        await append(log, *events)
        await append(log, make_event())

    with psycopg.connect(database.dsn) as connection:
        rows = connection.execute(
            """SELECT day, event_type, source, event_level, events FROM event_count
               ORDER BY events, source, event_level"""
        ).fetchall()
    day = events[0].accept_time.date()
    assert rows == [
        (day, "order_created", "orders_service", "critical", 1),
        (day, "order_created", "shop_service", "high", 1),
        (day, "order_created", "orders_service", "high", 3),
    ]


async def test_closing_writes_what_was_accepted(database: Database) -> None:
    async with open_log(database.dsn_for("harkara_event_service")) as log:
        tasks = [asyncio.create_task(append(log, *make_events(100))) for _ in range(10)]
        await asyncio.sleep(0)

    assert [len(seqs(await task)) for task in tasks] == [100] * 10
    assert {type(seq) for task in tasks for seq in seqs(task.result())} == {int}
    assert len(log.announced) == 1000


async def test_after_closing_appends_are_turned_away(database: Database) -> None:
    async with open_log(database.dsn_for("harkara_event_service")) as log:
        pass

    assert await append(log, make_event()) == [Failure.UNAVAILABLE]
    assert not log.healthy


async def test_closing_ends_in_time_though_a_batch_is_stuck(database: Database) -> None:
    async with open_log(
        database.dsn_for("harkara_event_service"), settings=PostgresLogSettings(drain_seconds=0.1)
    ) as log:
        await append(log, make_event())
        blocker = psycopg.connect(database.dsn)
        blocker.execute("SELECT FROM user_stream FOR UPDATE")
        stuck = asyncio.create_task(append(log, make_event()))
        waiting = asyncio.create_task(append(log, make_event()))
        await asyncio.sleep(0)
    blocker.close()

    assert await stuck == await waiting == [Failure.UNAVAILABLE]


async def test_a_keeper_whose_server_says_no_more_does_not_hold_up_the_close(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was waited for first, and meanwhile new events were still taken."""
    monkeypatch.setattr(partition_keeper, "ROUND_SECONDS", 0.0)
    async with (
        cutting_proxy(database.dsn_for("harkara_event_service")) as (proxy, dsn),
        open_log(dsn) as log,
    ):
        proxy.plan(b"pg_inherits", Fault.SILENT)
        await proxy.happened()
        closing = asyncio.create_task(log.close())
        await wait_until_async(lambda: not log.healthy)

        assert await append(log, make_event()) == [Failure.UNAVAILABLE]
        assert not closing.done()
        proxy.cut_all()
        await closing


async def test_a_server_that_restarts_loses_nothing_and_doubles_nothing() -> None:
    with running_postgres() as server:
        database = server.create_migrated_database()
        async with open_log(database.dsn_for("harkara_event_service")) as log:
            await append(log, *make_events(3))
            stopped = asyncio.Event()

            async def emit() -> list[int]:
                numbers: list[int] = []
                while not stopped.is_set():
                    for outcome in await append(log, *make_events(3)):
                        assert isinstance(outcome, Stored)
                        numbers.append(outcome.seq)
                return numbers

            emitters = [asyncio.create_task(emit()) for _ in range(3)]
            await wait_until_async(lambda: len(log.announced) > 50)
            await asyncio.to_thread(server.embedded.stop)
            await wait_until_async(lambda: not log.healthy)
            server.embedded.start()
            await wait_until_async(lambda: log.healthy)
            before = len(log.announced)
            await wait_until_async(lambda: len(log.announced) > before + 20)
            stopped.set()
            numbers = [seq for task in emitters for seq in await task]

            assert sorted(numbers) == list(range(4, len(numbers) + 4))
            page = (await log.read({"user_1": 0}, 100_000))["user_1"]
            assert [numbered.seq for numbered in page] == list(range(1, len(numbers) + 4))
            assert set(told(log.announced)) == set(told(page))
