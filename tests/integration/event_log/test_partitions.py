"""The log's weeks: there before they are needed, gone past retention, and no reader led astray."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from harkara_event_service.adapters import connections, partition_keeper
from harkara_event_service.adapters.log_metrics import LogMetrics
from harkara_event_service.adapters.partition_keeper import PartitionKeeper
from harkara_event_service.adapters.postgres_log import PostgresLogSettings
from harkara_event_service.ports import Head, Refusal
from harkara_schema.partitions import Week, week_of, weeks_needed
from tests.support.cutting_proxy import Fault, cutting_proxy
from tests.support.events import MovableClock, fresh_event_id, make_event, make_events
from tests.support.logs import append, open_log, seqs
from tests.support.postgres import Database

RETENTION = timedelta(days=30)


def keeper_of(database: Database, clock: MovableClock, retention: timedelta = RETENTION) -> PartitionKeeper:
    return PartitionKeeper(
        database.dsn_for("harkara_event_service"), clock, retention, LogMetrics(CollectorRegistry())
    )


def query(database: Database, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        return connection.execute(statement).fetchall()


def run(database: Database, *statements: str) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def partitions(database: Database) -> list[str]:
    rows = query(
        database,
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event_log'::regclass ORDER BY 1",
    )
    return [str(name) for (name,) in rows]


def partition_names(weeks: list[Week]) -> list[str]:
    return [week.partition for week in weeks]


async def test_tending_makes_the_weeks_that_will_be_needed(database: Database) -> None:
    clock = MovableClock()
    clock.ahead = timedelta(days=21)

    await keeper_of(database, clock).tend()

    assert set(partitions(database)) >= set(partition_names(weeks_needed(clock())))


async def test_a_made_partition_has_the_logs_indexes_and_owner(database: Database) -> None:
    clock = MovableClock()
    clock.ahead = timedelta(days=21)
    await keeper_of(database, clock).tend()
    made = weeks_needed(clock())[-1].partition

    owners = query(database, "SELECT tablename, tableowner FROM pg_tables")
    indexed = [name for (name,) in query(database, "SELECT tablename FROM pg_indexes")]
    assert (made, "harkara_event_service") in owners
    assert indexed.count(made) == indexed.count("event_log") == 3


async def test_tending_twice_changes_nothing(database: Database) -> None:
    keeper = keeper_of(database, MovableClock())
    await keeper.tend()
    before = partitions(database)

    await keeper.tend()

    assert partitions(database) == before


async def test_two_keepers_at_once_do_not_get_in_each_others_way(database: Database) -> None:
    clock = MovableClock()
    clock.ahead = timedelta(days=100)

    await asyncio.gather(*(keeper_of(database, clock).tend() for _ in range(3)))

    assert partitions(database) == partition_names(weeks_needed(clock()))


async def test_a_partition_is_made_while_a_long_query_reads_the_log(database: Database) -> None:
    """`CREATE … PARTITION OF` would wait for it, and every Emit behind that."""
    clock = MovableClock()
    clock.ahead = timedelta(days=8)
    with psycopg.connect(database.dsn) as reader:
        reader.execute("SELECT count(*) FROM event_log")

        await keeper_of(database, clock).tend()

    assert set(partitions(database)) >= set(partition_names(weeks_needed(clock())))


@pytest.mark.parametrize("count", [1, 5])
async def test_an_event_whose_week_has_no_partition_gets_one(database: Database, count: int) -> None:
    async with open_log(database.dsn_for("harkara_event_service")) as log:
        this_week = week_of(datetime.now(UTC)).partition
        run(database, f"DROP TABLE {this_week}")

        assert seqs(await append(log, *make_events(count))) == list(range(1, count + 1))
        assert this_week in partitions(database)
        assert log.counted("trouble_total", verdict="no_partition") == 1


# The year 2090, and the last that a ULID can name.
@pytest.mark.parametrize("far_id", ["evt_03E6TRPT00" + "0" * 16, "evt_7" + "Z" * 25])
async def test_an_id_of_a_year_that_gets_no_partition_fails_alone(database: Database, far_id: str) -> None:
    async with open_log(database.dsn_for("harkara_event_service")) as log:
        far = make_event(event_id=far_id)

        assert seqs(await append(log, make_event(), far, make_event())) == [1, Refusal.UNSTORABLE, 2]


async def test_events_of_a_new_week_go_on_where_the_old_one_ended(database: Database) -> None:
    clock = MovableClock()
    async with open_log(database.dsn_for("harkara_event_service"), clock=clock) as log:
        await append(log, *make_events(3))
        clock.ahead = timedelta(days=7, minutes=-1)
        later = [make_event(event_id=fresh_event_id(clock())) for _ in range(3)]

        assert seqs(await append(log, *later)) == [4, 5, 6]
        # Ids need not rise with numbers: one of last week may come after these.
        assert seqs(await append(log, make_event())) == [7]
        pages = await log.read({"user_1": 1}, 5)
        assert [numbered.seq for numbered in pages["user_1"]] == [2, 3, 4, 5, 6]


async def test_retention_raises_the_floors_and_drops_the_week(database: Database) -> None:
    clock = MovableClock()
    dsn = database.dsn_for("harkara_event_service")
    async with open_log(dsn, clock=clock, settings=PostgresLogSettings(retention=RETENTION)) as log:
        await append(log, *make_events(3, "ada"), *make_events(1, "bob"))
        dropped = week_of(datetime.now(UTC))
        clock.ahead = timedelta(days=28)
        await keeper_of(database, clock).tend()
        await append(log, make_event("ada", event_id=fresh_event_id(clock())))

        clock.ahead = dropped.end - datetime.now(UTC) + RETENTION + timedelta(days=7, minutes=1)
        await keeper_of(database, clock).tend()

        assert dropped.partition not in partitions(database)
        assert query(database, f"SELECT to_regclass('{dropped.partition}')") == [(None,)]
        heads = await log.heads(["ada", "bob"])
        assert heads.by_user == {"ada": Head(4, 3), "bob": Head(1, 1)}
        pages = await log.read({"ada": 3, "bob": 1}, 10)
        assert [numbered.seq for numbered in pages["ada"]] == [4]
        assert pages["bob"] == []
        assert seqs(await append(log, make_event("bob", event_id=fresh_event_id(clock())))) == [2]


async def test_a_week_is_kept_for_retention_and_7_days(database: Database) -> None:
    clock = MovableClock()
    week = week_of(datetime.now(UTC))
    clock.ahead = week.end - datetime.now(UTC) + RETENTION + timedelta(days=7, minutes=-1)

    await keeper_of(database, clock).tend()

    assert week.partition in partitions(database)


async def test_however_short_retention_is_no_week_goes_that_events_may_still_enter(
    database: Database,
) -> None:
    clock = MovableClock()
    keeper = keeper_of(database, clock, timedelta(0))

    for days in range(30):
        clock.ahead = timedelta(days=days)
        await keeper.tend()
        assert set(partitions(database)) >= set(partition_names(weeks_needed(clock())))


async def test_floors_are_raised_for_more_users_than_fit_into_one_go(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harkara_event_service.adapters.partition_keeper._FLOORS_AT_ONCE", 7)
    clock = MovableClock()
    users = [f"user_{number}" for number in range(40)]
    async with open_log(database.dsn_for("harkara_event_service"), clock=clock) as log:
        await append(log, *(make_event(user_id) for user_id in users for _ in range(2)))
        clock.ahead = timedelta(days=60)

        await keeper_of(database, clock).tend()

        heads = await log.heads(users)
        assert set(heads.by_user.values()) == {Head(2, 2)}


async def test_a_floor_is_never_lowered(database: Database) -> None:
    """Weeks go oldest first, but an id of an older week may have the higher number."""
    clock = MovableClock()
    async with open_log(database.dsn_for("harkara_event_service"), clock=clock) as log:
        of_next_week = make_event(event_id=fresh_event_id(clock() + timedelta(days=7)))
        await append(log, of_next_week, make_event())
        clock.ahead = timedelta(days=60)

        await keeper_of(database, clock).tend()

        assert (await log.heads(["user_1"])).by_user["user_1"] == Head(2, 2)


async def test_a_keeper_that_freezes_while_it_raises_floors_keeps_nobody_waiting(database: Database) -> None:
    """It locked its users in a transaction of several messages, and a freeze between two held them."""
    clock = MovableClock()
    async with open_log(database.dsn_for("harkara_event_service"), clock=clock) as log:
        await append(log, *make_events(2))
    clock.ahead = timedelta(days=60)
    async with cutting_proxy(database.dsn_for("harkara_event_service")) as (proxy, dsn):
        proxy.plan(b"SET floor_seq", Fault.SILENT)
        keeper = PartitionKeeper(dsn, clock, RETENTION, LogMetrics(CollectorRegistry()))
        frozen = asyncio.create_task(keeper.tend_or_wait())
        await proxy.happened()

        run(database, "SET lock_timeout = '100ms'", "SELECT FROM user_stream FOR UPDATE")

        assert query(database, "SELECT last_seq, floor_seq FROM user_stream") == [(2, 2)]
        proxy.cut_all()
        await frozen


def leave_pending(database: Database, detach: str) -> None:
    """A transaction that read the partition makes the detach wait, until it gives up."""
    with psycopg.connect(database.dsn) as reader:
        reader.execute("SELECT FROM event_log")
        with pytest.raises(psycopg.errors.QueryCanceled):
            run(database, "SET statement_timeout = 100", detach)
    assert query(database, "SELECT count(*) FROM pg_inherits WHERE inhdetachpending") == [(1,)]


@pytest.mark.parametrize("broken_off", ["after the detach", "during the detach"])
async def test_a_round_that_was_broken_off_is_ended_by_the_next(database: Database, broken_off: str) -> None:
    clock = MovableClock()
    async with open_log(database.dsn_for("harkara_event_service"), clock=clock) as log:
        await append(log, *make_events(2))
    week = week_of(datetime.now(UTC)).partition
    detach = f"ALTER TABLE event_log DETACH PARTITION {week} CONCURRENTLY"
    if broken_off == "after the detach":
        run(database, detach)
    else:
        leave_pending(database, detach)
    clock.ahead = timedelta(days=60)

    await keeper_of(database, clock).tend()

    assert query(database, f"SELECT to_regclass('{week}')") == [(None,)]
    assert query(database, "SELECT last_seq, floor_seq FROM user_stream") == [(2, 2)]


async def test_a_week_detached_by_a_clock_that_ran_ahead_comes_back_with_its_events(
    database: Database,
) -> None:
    async with open_log(database.dsn_for("harkara_event_service")) as log:
        event = make_event()
        await append(log, event)
        week = week_of(datetime.now(UTC)).partition
        run(database, f"ALTER TABLE event_log DETACH PARTITION {week} CONCURRENTLY")

        assert seqs(await append(log, make_event(), event)) == [2, 1]
        assert week in partitions(database)


@pytest.mark.parametrize("message", [b"pg_advisory_lock", b"pg_inherits", b"COMMIT"])
async def test_a_round_ends_though_its_server_says_no_more(
    database: Database, monkeypatch: pytest.MonkeyPatch, message: bytes
) -> None:
    monkeypatch.setattr(connections, "_CUT_SECONDS", 0.2)
    monkeypatch.setattr(partition_keeper, "_STATEMENT_SECONDS", 0.2)
    clock = MovableClock()
    clock.ahead = timedelta(days=21)
    async with cutting_proxy(database.dsn_for("harkara_event_service")) as (proxy, dsn):
        proxy.plan(message, Fault.SILENT)
        keeper = PartitionKeeper(dsn, clock, RETENTION, LogMetrics(CollectorRegistry()))

        assert await keeper.tend_or_wait() == partition_keeper.RETRY_SECONDS
        assert await keeper.tend_or_wait() == partition_keeper.ROUND_SECONDS


@pytest.mark.parametrize("message", [b"pg_inherits", b"COMMIT"])
async def test_a_lane_that_needs_a_partition_leaves_a_server_that_says_no_more(
    database: Database, monkeypatch: pytest.MonkeyPatch, message: bytes
) -> None:
    async with (
        cutting_proxy(database.dsn_for("harkara_event_service")) as (proxy, dsn),
        open_log(dsn) as log,
    ):
        run(database, f"DROP TABLE {week_of(datetime.now(UTC)).partition}")
        monkeypatch.setattr(connections, "_CUT_SECONDS", 0.2)
        proxy.plan(message, Fault.SILENT)

        assert seqs(await append(log, make_event())) == [1]


async def test_a_round_that_fails_by_a_fault_of_ours_is_counted_and_tried_again_sooner(
    database: Database,
) -> None:
    """Only errors of Postgres were caught: anything else ended retention, and nothing said so."""

    def no_clock() -> datetime:
        raise RuntimeError("a fault of ours")

    registry = CollectorRegistry()
    keeper = PartitionKeeper(
        database.dsn_for("harkara_event_service"), no_clock, RETENTION, LogMetrics(registry)
    )

    assert await keeper.tend_or_wait() == partition_keeper.RETRY_SECONDS
    assert registry.get_sample_value("harkara_event_service_log_upkeep_failures_total") == 1


async def test_a_round_that_cannot_have_its_lock_is_counted_and_tried_again_sooner(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(partition_keeper._SETTINGS, "lock_timeout", "100ms")
    registry = CollectorRegistry()
    clock = MovableClock()
    clock.ahead = timedelta(days=30)
    keeper = PartitionKeeper(
        database.dsn_for("harkara_event_service"), clock, RETENTION, LogMetrics(registry)
    )
    with psycopg.connect(database.dsn) as blocker:
        blocker.execute("LOCK TABLE event_log IN SHARE UPDATE EXCLUSIVE MODE")
        blocked = await keeper.tend_or_wait()

    assert registry.get_sample_value("harkara_event_service_log_upkeep_failures_total") == 1
    assert blocked < await keeper.tend_or_wait()
