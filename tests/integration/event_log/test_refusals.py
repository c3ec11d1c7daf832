"""What Postgres refuses, and what it only puts off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from harkara_event_service.adapters.postgres_log import PostgresLog, PostgresLogSettings
from harkara_event_service.domain.event import NumberedEvent
from harkara_event_service.ports import Chain, Failure, Refusal, Stored
from tests.support.events import MovableClock, make_event, make_events, told
from tests.support.logs import RecordedLog, append, open_log, seqs
from tests.support.postgres import Database
from tests.support.waiting import wait_until_async


@pytest.fixture
async def log(database: Database) -> AsyncIterator[RecordedLog]:
    async with open_log(database.dsn_for("harkara_event_service")) as log:
        yield log


def run(database: Database, statements: str) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(statements)


# Raises what a real server raises, when a row tells it to: `{"raise":"SQLSTATE"}`, the first N times.
RAISING = """
CREATE SEQUENCE times;
GRANT USAGE ON SEQUENCE times TO harkara_event_service;
CREATE FUNCTION raising() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.data LIKE '{{"raise":%' AND nextval('times') <= {times} THEN
        RAISE EXCEPTION USING ERRCODE = NEW.data::json->>'raise', MESSAGE = 'as it was told';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER raising BEFORE INSERT ON event_log FOR EACH ROW EXECUTE FUNCTION raising();
"""


def raising(sqlstate: str) -> str:
    return f'{{"raise":"{sqlstate}"}}'


@pytest.mark.parametrize("places", [[0], [6], [3, 4], [0, 1, 2, 3, 4, 5, 6]])
async def test_a_row_that_a_constraint_refuses_fails_alone(
    database: Database, log: RecordedLog, places: list[int]
) -> None:
    run(database, "ALTER TABLE event_log ADD CHECK (event_type <> 'refused')")
    events = [make_event(event_type="refused" if place in places else "order_created") for place in range(7)]

    outcomes = await append(log, *events)

    good = [event for place, event in enumerate(events) if place not in places]
    assert [place for place, outcome in enumerate(outcomes) if outcome is Refusal.UNSTORABLE] == places
    assert told(log.announced) == [(event.event_id, seq) for seq, event in enumerate(good, 1)]


async def test_another_callers_bad_event_costs_this_one_nothing(database: Database, log: RecordedLog) -> None:
    run(database, "ALTER TABLE event_log ADD CHECK (event_type <> 'refused')")

    bad, good = await asyncio.gather(
        append(log, make_event("ada"), make_event("ada", event_type="refused"), make_event("ada")),
        append(log, make_event("ada"), make_event("bob")),
    )

    assert seqs(bad) == [1, Refusal.UNSTORABLE, 2]
    assert seqs(good) == [3, 1]


async def test_a_refused_event_among_duplicates_fails_alone(database: Database, log: RecordedLog) -> None:
    run(database, "ALTER TABLE event_log ADD CHECK (event_type <> 'refused')")
    there = make_event()
    await append(log, there)

    outcomes = await append(log, make_event(), there, make_event(event_type="refused"), make_event())

    assert seqs(outcomes) == [2, 1, Refusal.UNSTORABLE, 3]


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03", "57014"])
async def test_a_transaction_that_only_collided_is_done_again(
    database: Database, log: RecordedLog, sqlstate: str
) -> None:
    run(database, RAISING.format(times=2))

    assert seqs(await append(log, make_event(), make_event(data=raising(sqlstate)))) == [1, 2]
    assert len(log.announced) == 2


@pytest.mark.parametrize("sqlstate", ["XX000", "42501", "25006", "0A000"])
async def test_an_error_that_nobody_foresaw_is_tried_again_on_another_connection(
    database: Database, log: RecordedLog, sqlstate: str
) -> None:
    run(database, RAISING.format(times=2))

    assert seqs(await append(log, make_event(data=raising(sqlstate)))) == [1]
    assert log.counted("trouble_total", verdict="unexpected") == 2


async def test_an_error_that_does_not_go_away_ends_at_the_deadline(
    database: Database, log: RecordedLog
) -> None:
    run(database, RAISING.format(times=1_000_000))

    assert await append(log, make_event(data=raising("40001")), seconds=0.1) == [Failure.DEADLINE]
    assert seqs(await append(log, make_event())) == [1]


async def test_a_server_without_room_turns_the_batch_away(database: Database, log: RecordedLog) -> None:
    run(database, RAISING.format(times=1))
    chain = Chain()

    outcomes = await append(log, make_event(), make_event(data=raising("53200")), chain=chain)

    assert outcomes == [Failure.OVERLOADED] * 2
    assert chain.broken
    assert seqs(await append(log, make_event())) == [1]


async def test_a_batch_turned_away_halfway_keeps_the_order_of_its_users(
    database: Database, log: RecordedLog
) -> None:
    """Halved for a guilty event, its first half is stored, then the server runs out of room."""
    run(database, RAISING.format(times=2))
    events = [
        make_event(),
        make_event(),
        make_event(data=raising("53100")),
        make_event(event_type="\0"),
        make_event(),
        make_event(),
    ]

    outcomes = await append(log, *events)

    stored = [seq for seq in seqs(outcomes) if isinstance(seq, int)]
    assert stored == list(range(1, len(stored) + 1))
    failed = outcomes.index(Failure.OVERLOADED)
    assert all(isinstance(seq, int) for seq in seqs(outcomes)[: min(failed, 2)])
    assert not any(isinstance(seq, int) for seq in seqs(outcomes)[failed:])


async def test_a_listener_that_raises_stops_nothing(database: Database) -> None:
    def listener(_: Sequence[NumberedEvent]) -> None:
        raise ZeroDivisionError

    log = PostgresLog(
        database.dsn_for("harkara_event_service"),
        listener,
        clock=MovableClock(),
        registry=CollectorRegistry(),
        settings=PostgresLogSettings(),
    )
    await log.open()

    assert seqs(await append(log, make_event())) == [1]
    assert seqs(await append(log, make_event())) == [2]
    await log.close()


async def test_a_full_queue_turns_appends_away_and_then_takes_them_again(
    database: Database, log: RecordedLog
) -> None:
    await append(log, make_event())
    with psycopg.connect(database.dsn) as blocker:
        blocker.execute("SELECT FROM user_stream FOR UPDATE")
        held = [asyncio.create_task(append(log, *make_events(1000))) for _ in range(20)]
        await wait_until_async(lambda: log.counted("queued_events") == 20_000)

        assert await append(log, make_event()) == [Failure.OVERLOADED]
        assert log.counted("turned_away_total") == 1

    for task in held:
        await task
    assert seqs(await append(log, make_event())) == [20_002]
    assert log.counted("queued_events") == log.counted("queued_bytes") == 0


async def test_large_events_fill_the_queue_by_their_bytes(database: Database, log: RecordedLog) -> None:
    await append(log, make_event())
    with psycopg.connect(database.dsn) as blocker:
        blocker.execute("SELECT FROM user_stream FOR UPDATE")
        large = '{"a":"' + "x" * 60_000 + '"}'
        held = [
            asyncio.create_task(append(log, *(make_event(data=large) for _ in range(100)), seconds=0.2))
            for _ in range(12)
        ]
        outcomes = [set(await task) for task in held]

    assert outcomes[:10] == [{Failure.DEADLINE}] * 10
    assert outcomes[-1] == {Failure.OVERLOADED}
    (outcome,) = await append(log, make_event())
    assert isinstance(outcome, Stored)
    assert log.counted("queued_bytes") == 0


async def test_a_call_of_4_mib_is_stored(log: RecordedLog) -> None:
    large = '{"a":"' + "\U0001f600" * 16_000 + '"}'

    outcomes = await append(log, *(make_event(data=large) for _ in range(60)))

    assert seqs(outcomes) == list(range(1, 61))
