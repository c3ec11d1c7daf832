"""Several logs on one Postgres: one stream for each user all the same."""

from __future__ import annotations

import asyncio
import random

import psycopg
import pytest

from harkara_event_service.adapters.connections import WRITER_SETTINGS, connect
from harkara_event_service.adapters.log_statements import lock_users
from harkara_event_service.adapters.postgres_log import PostgresLogSettings
from harkara_event_service.ports import Stored
from tests.support.events import make_event, make_events, told
from tests.support.logs import RecordedLog, append, open_log, seqs
from tests.support.postgres import Database
from tests.support.waiting import wait_until_async

USERS = [f"user_{number}" for number in range(20)]


@pytest.mark.parametrize("lanes", [1, 2])
async def test_200_emitters_over_two_logs_give_every_user_1_to_n(database: Database, lanes: int) -> None:
    settings = PostgresLogSettings(lanes=lanes)
    dsn = database.dsn_for("harkara_event_service")
    async with open_log(dsn, settings=settings) as one, open_log(dsn, settings=settings) as other:
        outcomes = await asyncio.gather(*(emit((one, other)[emitter % 2], emitter) for emitter in range(200)))

        stored = [outcome for each in outcomes for outcome in each]
        assert all(isinstance(outcome, Stored) and not outcome.duplicate for outcome in stored)
        pages = await one.read(dict.fromkeys(USERS, 0), 1000)
        assert sum(len(page) for page in pages.values()) == len(stored)
        for user_id, page in pages.items():
            assert [numbered.seq for numbered in page] == list(range(1, len(page) + 1)), user_id
        for log in (one, other):
            for user_id in USERS:
                announced = [each.seq for each in log.announced if each.event.user_id == user_id]
                assert announced == sorted(announced)
        assert sorted(told(one.announced) + told(other.announced)) == sorted(
            [pair for page in pages.values() for pair in told(page)]
        )
        assert counted_events(database) == len(stored)


async def emit(log: RecordedLog, seed: int) -> list[object]:
    chance = random.Random(seed)  # noqa: S311 - to choose users by.
    outcomes: list[object] = []
    for _ in range(3):
        # In whatever order the emitter has them: it is the log that sorts its locks.
        users = chance.sample(USERS, chance.randint(1, 6))
        outcomes += await append(log, *(make_event(user_id) for user_id in users))
    return outcomes


def counted_events(database: Database) -> int:
    with psycopg.connect(database.dsn) as connection:
        row = connection.execute("SELECT sum(events)::bigint FROM event_count").fetchone()
    return int(row[0]) if row else 0


async def test_the_same_events_through_two_logs_at_once_are_stored_once(database: Database) -> None:
    dsn = database.dsn_for("harkara_event_service")
    async with open_log(dsn) as one, open_log(dsn) as other:
        for _ in range(10):
            events = [make_event(user_id) for user_id in USERS for _ in range(2)]
            backwards = list(reversed(events))
            first, second = await asyncio.gather(append(one, *events), append(other, *backwards))
            assert seqs(first) == list(reversed(seqs(second)))

        heads = await one.heads(USERS)
        assert {head.last_seq for head in heads.by_user.values()} == {20}
        assert counted_events(database) == 10 * 40


async def test_every_writer_counts_in_a_slot_of_its_own(database: Database) -> None:
    dsn = database.dsn_for("harkara_event_service")
    async with open_log(dsn) as one, open_log(dsn) as other:
        await append(one, *make_events(2))
        await append(other, *make_events(3))

    with psycopg.connect(database.dsn) as connection:
        rows = connection.execute("SELECT writer, events FROM event_count ORDER BY writer").fetchall()
    assert rows == [(0, 2), (1, 3)]


async def test_the_slot_of_a_writer_that_ended_is_used_again(database: Database) -> None:
    for _ in range(3):
        async with open_log(database.dsn_for("harkara_event_service")) as log:
            await append(log, make_event())

    with psycopg.connect(database.dsn) as connection:
        assert connection.execute("SELECT writer, events FROM event_count").fetchall() == [(0, 3)]


async def test_a_user_locked_by_another_writer_delays_a_batch_and_no_more(database: Database) -> None:
    """Longer than lock_timeout: the batch is tried again until the lock is free."""
    async with open_log(database.dsn_for("harkara_event_service")) as log:
        await append(log, make_event())
        with psycopg.connect(database.dsn) as blocker:
            blocker.execute("SELECT FROM user_stream WHERE user_id = 'user_1' FOR UPDATE")
            task = asyncio.create_task(append(log, make_event(), make_event("user_2")))
            await wait_until_async(lambda: log.counted("trouble_total", verdict="again") > 0)
            assert not task.done()
        assert seqs(await task) == [2, 1]


async def test_a_writer_that_freezes_inside_a_transaction_holds_its_users_until_its_timeout(
    database: Database,
) -> None:
    """Only the rare, careful transaction has an inside: the usual one is a single statement."""
    dsn = database.dsn_for("harkara_event_service")
    frozen = await connect(dsn, "frozen", {**WRITER_SETTINGS, "idle_in_transaction_session_timeout": "100ms"})
    async with open_log(dsn) as log:
        await append(log, make_event())
        await frozen.execute("BEGIN")
        await lock_users(frozen, ["user_1"])

        assert seqs(await append(log, make_event())) == [2]
    await frozen.close()
    assert WRITER_SETTINGS["idle_in_transaction_session_timeout"] == "2s"
