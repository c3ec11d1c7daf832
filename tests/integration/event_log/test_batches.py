"""What is kept of each commit for replicas that did not hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from harkara_event_service.adapters import batch_keeper
from harkara_event_service.adapters.batch_keeper import BatchKeeper
from harkara_event_service.adapters.log_metrics import LogMetrics
from harkara_event_service.adapters.log_reads import BATCHES_OF_A_WRITER
from harkara_event_service.adapters.postgres_log import PostgresLogSettings
from harkara_event_service.domain.batches import WRITERS, BatchId, CommitBatch
from harkara_event_service.domain.event import NumberedEvent
from harkara_event_service.ports import Refusal
from tests.support.cutting_proxy import Fault, cutting_proxy
from tests.support.events import make_event, make_events
from tests.support.logs import RecordedLog, append, open_log, seqs
from tests.support.postgres import Database

USERS = [f"user_{number}" for number in range(10)]
FROM_THE_START = [0] * WRITERS


def rows(database: Database) -> dict[BatchId, dict[str, int]]:
    """What is kept, as the table has it."""
    with psycopg.connect(database.dsn) as connection:
        found = connection.execute(
            "SELECT writer, batch_no, users, last_seqs FROM commit_batch ORDER BY writer, batch_no"
        ).fetchall()
    return {BatchId(row[0], row[1]): dict(zip(row[2], row[3], strict=True)) for row in found}


def last_seqs(events: Sequence[NumberedEvent]) -> dict[str, int]:
    """What should be kept of a commit."""
    return {numbered.event.user_id: numbered.seq for numbered in events}


def told(log: RecordedLog) -> dict[BatchId, dict[str, int]]:
    """What should be kept of a log's commits."""
    return {batch: last_seqs(events) for batch, events in log.batched.items()}


async def test_every_commit_is_kept_with_its_users_and_their_last_seqs(database: Database) -> None:
    async with open_log(database.dsn_for("harkara_event_service"), keeps_batches=True) as log:
        await append(log, make_event("ada"))
        await append(log, make_event("bob"), *make_events(3, "ada"), make_event("Zoe"))

    expected = {BatchId(0, 1): {"ada": 1}, BatchId(0, 2): {"ada": 4, "bob": 1, "Zoe": 1}}
    assert rows(database) == told(log) == expected


async def test_a_replica_that_is_alone_keeps_nothing(database: Database) -> None:
    async with open_log(database.dsn_for("harkara_event_service")) as log:
        await append(log, make_event())
        await append(log, *make_events(3))

    assert len(log.announced) == 4
    assert rows(database) == {}


async def test_numbers_have_no_gap_whatever_batches_meet(database: Database) -> None:
    """A duplicate makes a batch careful, what cannot be stored makes it be halved; neither takes a number."""
    async with open_log(database.dsn_for("harkara_event_service"), keeps_batches=True) as log:
        there = make_event("ada")
        await append(log, there)
        await append(log, there)
        assert seqs(await append(log, make_event("bob"), there, make_event("ada"))) == [1, 1, 2]
        outcomes = await append(log, make_event("bob"), make_event("bob", "\ud800"), make_event("ada"))
        assert seqs(outcomes) == [2, Refusal.UNSTORABLE, 3]
        await append(log, there, make_event("bob"))

    numbers = [batch.number for batch in log.batched]
    assert numbers == list(range(1, len(numbers) + 1))
    assert rows(database) == told(log)
    # A duplicate is announced, and is of no later commit than its own.
    announced = [numbered.event.event_id for numbered in log.announced]
    assert announced.count(there.event_id) == 4
    batched = [numbered.event.event_id for events in log.batched.values() for numbered in events]
    assert batched.count(there.event_id) == 1


@pytest.mark.parametrize("lanes", [1, 2])
async def test_many_writers_at_once_keep_every_commit(database: Database, lanes: int) -> None:
    dsn, settings = database.dsn_for("harkara_event_service"), PostgresLogSettings(lanes=lanes)
    async with (
        open_log(dsn, settings=settings, keeps_batches=True) as one,
        open_log(dsn, settings=settings, keeps_batches=True) as other,
    ):
        await asyncio.gather(
            *(
                append(
                    (one, other)[emitter % 2], *(make_event(user_id) for user_id in USERS[emitter % 5 :: 3])
                )
                for emitter in range(60)
            )
        )

    kept = rows(database)
    assert kept == told(one) | told(other)
    for writer in {batch.writer for batch in kept}:
        numbers = [batch.number for batch in kept if batch.writer == writer]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_whoever_leases_a_slot_next_goes_on_from_its_last_number(database: Database) -> None:
    dsn = database.dsn_for("harkara_event_service")
    for number in (1, 2, 3):
        async with open_log(dsn, keeps_batches=True) as log:
            await append(log, make_event())
            assert list(log.batched) == [BatchId(0, number)]


@pytest.mark.parametrize("count", [1, 3])
async def test_a_commit_whose_answer_was_lost_is_kept_and_the_numbers_go_on(
    database: Database, count: int
) -> None:
    """Its events are found and announced, as no part of any later commit; its own row tells the others."""
    async with (
        cutting_proxy(database.dsn_for("harkara_event_service")) as (proxy, dsn),
        open_log(dsn, keeps_batches=True) as log,
    ):
        await append(log, make_event("ada"))
        events = make_events(count, "bob")
        proxy.plan(events[-1].event_id.encode(), Fault.UNANSWERED)
        assert seqs(await append(log, *events)) == list(range(1, count + 1))
        await append(log, make_event("cleo"))

    kept = rows(database)
    unheard = {batch: users for batch, users in kept.items() if batch not in log.batched}
    assert list(unheard.values()) == [{"bob": count}]
    assert {batch: users for batch, users in kept.items() if batch in log.batched} == told(log)
    assert [numbered.seq for numbered in log.announced if numbered.event.user_id == "bob"] == list(
        range(1, count + 1)
    )
    for writer in {batch.writer for batch in kept}:
        numbers = [batch.number for batch in kept if batch.writer == writer]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_a_number_that_is_taken_is_read_anew(database: Database) -> None:
    """It never is, unless somebody meddles with the table; then Emit must go on all the same."""
    async with open_log(database.dsn_for("harkara_event_service"), keeps_batches=True) as log:
        await append(log, make_event())
        with psycopg.connect(database.dsn) as connection:
            connection.execute(
                "INSERT INTO commit_batch (writer, batch_no, users, last_seqs) VALUES (0, 2, '{}', '{}')"
            )

        assert seqs(await append(log, make_event())) == [2]

    assert list(log.batched)[-1].number in {1, 3}


async def test_what_was_not_heard_is_read_by_its_number(database: Database) -> None:
    async with open_log(database.dsn_for("harkara_event_service"), keeps_batches=True) as log:
        epoch, highest = await log.highest_batches()
        assert list(highest) == FROM_THE_START
        for _ in range(3):
            await append(log, make_event("ada"))

        page = await log.batches([1, *FROM_THE_START[1:]], settled_seconds=0)
        heads = await log.heads(["ada"])
        assert page.epoch == epoch == heads.epoch
        assert [tuple(batch) for batch in page.batches] == [
            (BatchId(0, 2), ["ada"], [2]),
            (BatchId(0, 3), ["ada"], [3]),
        ]
        assert page.is_all
        assert (await log.highest_batches())[1][0] == 3
        assert await log.batches([3, *FROM_THE_START[1:]], settled_seconds=0) == (
            type(page)(epoch, [], is_all=True)
        )


async def test_a_commit_of_this_moment_is_left_to_its_hint(database: Database) -> None:
    async with open_log(database.dsn_for("harkara_event_service"), keeps_batches=True) as log:
        await append(log, make_event())

        assert (await log.batches(FROM_THE_START, settled_seconds=60)).batches == []


async def test_much_is_read_in_parts(database: Database) -> None:
    async with open_log(database.dsn_for("harkara_event_service"), keeps_batches=True) as log:
        with psycopg.connect(database.dsn) as connection:
            connection.execute(
                """INSERT INTO commit_batch (writer, batch_no, users, last_seqs)
                   SELECT writer, number, '{ada}', ARRAY[number] FROM generate_series(0, 1) AS writer,
                          generate_series(1, %s * (writer + 1)) AS number""",
                [BATCHES_OF_A_WRITER],
            )
        first = await log.batches(FROM_THE_START, settled_seconds=0)
        assert not first.is_all
        after = [
            max(each.id.number for each in first.batches if each.id.writer == writer) for writer in (0, 1)
        ]
        assert after == [BATCHES_OF_A_WRITER] * 2

        rest: list[CommitBatch] = list(
            (await log.batches([*after, *FROM_THE_START[2:]], settled_seconds=0)).batches
        )
        assert [batch.id for batch in rest] == [
            BatchId(1, number) for number in range(BATCHES_OF_A_WRITER + 1, 2 * BATCHES_OF_A_WRITER + 1)
        ]


async def test_old_batches_go_but_never_a_writers_last(database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(
            """INSERT INTO commit_batch (writer, batch_no, users, last_seqs, committed_at)
               SELECT writer, number, '{ada}', ARRAY[number],
                      now() - make_interval(mins => CASE WHEN writer = 1 AND number > 7 THEN 9 ELSE 11 END)
               FROM generate_series(0, 1) AS writer, generate_series(1, 12) AS number"""
        )

    await BatchKeeper(database.dsn_for("harkara_event_service"), LogMetrics(CollectorRegistry())).drop()

    # Writer 0 is gone for long: nobody but another's keeper drops what it left.
    assert list(rows(database)) == [BatchId(0, 12), *(BatchId(1, number) for number in range(8, 13))]


async def test_dropping_goes_on_after_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_keeper, "ROUND_SECONDS", 0.0)
    registry = CollectorRegistry()
    keeper = BatchKeeper("postgresql://nobody:x@127.0.0.1:1/nothing", LogMetrics(registry))
    again = asyncio.Event()

    async def drop() -> None:
        if registry.get_sample_value("harkara_event_service_log_upkeep_failures_total") == 1:
            again.set()
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(keeper, "drop", drop)
    running = asyncio.create_task(keeper.run())

    await again.wait()

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_dropping_waits_for_nobody_who_drops(database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(
            """INSERT INTO commit_batch (writer, batch_no, users, last_seqs, committed_at)
               SELECT 0, number, '{}', '{}', now() - interval '1 hour' FROM generate_series(1, 3) AS number"""
        )
    with psycopg.connect(database.dsn) as other:
        other.execute("SELECT FROM commit_batch WHERE batch_no = 1 FOR UPDATE")

        await BatchKeeper(database.dsn_for("harkara_event_service"), LogMetrics(CollectorRegistry())).drop()

        assert list(rows(database)) == [BatchId(0, 1), BatchId(0, 3)]
