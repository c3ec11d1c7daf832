"""Heads of many callers in few statements, and never from before the question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from harkara_event_service.ports import Head
from tests.support.events import make_event
from tests.support.logs import RecordedLog, append, open_log
from tests.support.postgres import Database
from tests.support.waiting import wait_until

WAITING_READERS = """
SELECT pid FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND application_name = 'harkara-log-reader' AND datname = current_database()
"""


@pytest.fixture
async def log(database: Database) -> AsyncIterator[RecordedLog]:
    async with open_log(database.dsn_for("harkara_event_service")) as log:
        yield log


def statements(log: RecordedLog) -> float:
    return log.counted("read_seconds_count", kind="heads")


async def test_callers_that_arrive_together_share_a_statement(log: RecordedLog) -> None:
    await asyncio.gather(*(log.heads([f"user_{number}"]) for number in range(200)))

    assert statements(log) == 1


async def test_no_statement_reads_more_than_5000_users(log: RecordedLog) -> None:
    users = [f"user_{number}" for number in range(6000)]
    await append(log, make_event("user_5999"))

    alone, *_ = await asyncio.gather(log.heads(users), log.heads(users[:3000]), log.heads(users[3000:]))

    assert alone.by_user == {**dict.fromkeys(users, Head(0, 0)), "user_5999": Head(1, 0)}
    assert statements(log) >= 3


async def test_who_asks_while_a_statement_runs_is_answered_by_the_next(
    database: Database, log: RecordedLog
) -> None:
    await append(log, make_event("ada"), make_event("bob"))
    with psycopg.connect(database.dsn) as blocker:
        blocker.execute("LOCK TABLE user_stream IN ACCESS EXCLUSIVE MODE")
        first = asyncio.create_task(log.heads(["ada"]))
        await asyncio.to_thread(wait_for_the_reader, database)
        second = asyncio.create_task(log.heads(["bob"]))
        await asyncio.sleep(0)

    assert (await first).by_user == {"ada": Head(1, 0)}
    assert (await second).by_user == {"bob": Head(1, 0)}
    assert statements(log) == 2


def wait_for_the_reader(database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:

        def it_waits() -> bool:
            return bool(connection.execute(WAITING_READERS).fetchall())

        wait_until(it_waits)
