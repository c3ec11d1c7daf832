"""Two replicas on one Postgres: what one commits the other hears, or finds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest

from harkara_event_service.domain import hints
from harkara_event_service.domain.batches import BatchId
from harkara_event_service.domain.event import Announced
from harkara_event_service.ports import BatchPage, DisconnectReason, Heads, LogUnavailableError, Topic
from harkara_event_service.service import hearing as hearing_module
from tests.support.cutting_proxy import Fault, cutting_proxy
from tests.support.delivery import Disconnected
from tests.support.events import make_event
from tests.support.logs import append, seqs
from tests.support.postgres import Database
from tests.support.replicas import LossyHub, Replica, running_replica
from tests.support.waiting import wait_until_async

USER = "user_1"


@pytest.fixture(autouse=True)
def commits_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test itself says when to look, and then all hints have come that will."""
    monkeypatch.setattr(hearing_module, "SETTLED_SECONDS", 0.0)


@pytest.fixture
def hub() -> LossyHub:
    return LossyHub()


@pytest.fixture
async def replicas(database: Database, hub: LossyHub) -> AsyncIterator[tuple[Replica, Replica]]:
    dsn = database.dsn_for("harkara_event_service")
    async with running_replica(dsn, hub) as one, running_replica(dsn, hub) as other:
        for replica in (one, other):
            await replica.hearing.look()
        yield one, other


async def test_an_event_committed_at_one_replica_reaches_an_edge_of_the_other_without_a_read(
    replicas: tuple[Replica, Replica],
) -> None:
    one, other = replicas
    await other.open(1, USER)

    for _ in range(5):
        await one.emit(USER, "somebody", USER)

    await other.got(1, range(1, 11))
    await other.hearing.look()
    assert other.pages_read == 0
    assert other.counted("hints_heard_total") == 5
    assert other.counted("batches_read_total") == other.counted("hint_gaps_total") == 0


async def test_both_edges_are_sent_the_same_bytes(replicas: tuple[Replica, Replica]) -> None:
    one, other = replicas
    await one.open(1, USER)
    await other.open(1, USER)

    await one.emit(USER, data='{"a":"\\u00e9\\n"}')

    await one.got(1, [1])
    await other.got(1, [1])
    assert one.outbox.items[-1] == other.outbox.items[-1]


async def test_a_lost_hint_costs_one_read_for_its_user_and_no_event(
    replicas: tuple[Replica, Replica], hub: LossyHub
) -> None:
    one, other = replicas
    await other.open(1, USER)
    await one.emit(USER)
    hub.loses = True
    await one.emit(USER)
    hub.loses = False
    await one.emit(USER)

    await other.got(1, [1, 2, 3])
    assert other.pages_read == 1
    assert other.counted("hint_gaps_total") == 1


async def test_a_lost_last_hint_is_found_by_looking(replicas: tuple[Replica, Replica], hub: LossyHub) -> None:
    one, other = replicas
    await other.open(1, USER)
    await one.emit(USER)
    hub.loses = True
    await one.emit(USER, "somebody")
    await other.got(1, [1])

    await other.hearing.look()

    await other.got(1, [1, 2])
    assert other.counted("batches_read_total") == 1
    await other.hearing.look()
    assert other.counted("batches_read_total") == 1


async def test_without_a_backplane_looking_finds_everything(
    replicas: tuple[Replica, Replica], hub: LossyHub
) -> None:
    one, other = replicas
    await other.open(1, USER)
    hub.is_up = False

    for _ in range(250):
        await one.emit(USER)
    await other.hearing.look()

    await other.got(1, range(1, 251))
    assert one.counted("hints_dropped_total") == 250
    hub.is_up = True
    await one.emit(USER)
    await other.got(1, range(1, 252))


async def test_of_a_batch_too_large_for_a_hint_the_events_are_read(
    replicas: tuple[Replica, Replica],
) -> None:
    one, other = replicas
    await other.open(1, USER)

    await one.emit(*[USER] * 9, data='{"x":"' + "x" * 30_000 + '"}')

    await other.got(1, range(1, 10))
    assert other.pages_read > 0
    assert other.counted("batches_read_total") == 0


async def test_ones_own_commits_are_not_read_again(replicas: tuple[Replica, Replica], hub: LossyHub) -> None:
    one, _ = replicas
    await one.open(1, USER)
    hub.is_up = False
    for _ in range(3):
        await one.emit(USER)

    await one.hearing.look()

    await one.got(1, [1, 2, 3])
    assert one.counted("batches_read_total") == one.pages_read == 0


async def test_a_commit_whose_answer_was_lost_is_found_by_the_others(
    database: Database, hub: LossyHub
) -> None:
    """Its writer finds its events again, under another lease; nobody sends a hint of it."""
    dsn = database.dsn_for("harkara_event_service")
    async with (
        cutting_proxy(dsn) as (proxy, dsn_of_one),
        running_replica(dsn_of_one, hub) as one,
        running_replica(dsn, hub) as other,
    ):
        for replica in (one, other):
            await replica.hearing.look()
            await replica.open(1, USER)
        event = make_event(USER)
        proxy.plan(event.event_id.encode(), Fault.UNANSWERED)

        assert seqs(await append(one.log, event)) == [1]

        await one.got(1, [1])
        assert other.outbox.seqs_of(1) == []
        for replica in (one, other):
            await replica.hearing.look()
            assert replica.counted("batches_read_total") == 1
        await other.got(1, [1])
        await one.got(1, [1])


async def test_a_replica_that_slept_until_the_rows_had_gone_compares_heads(
    replicas: tuple[Replica, Replica],
    hub: LossyHub,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hearing_module, "USERS_AT_ONCE", 2)
    one, other = replicas
    for session in range(5):
        await other.open(session, f"user_{session}")
    hub.loses = True
    await one.emit("user_0", "user_3")
    await one.emit("user_4")
    with psycopg.connect(database.dsn) as connection:
        connection.execute("DELETE FROM commit_batch WHERE batch_no = 1")

    await other.hearing.look()

    for session in (0, 3, 4):
        await other.got(session, [1])
    assert other.counted("heads_compared_total") == 5
    await other.hearing.look()
    assert other.counted("heads_compared_total") == 5


async def test_a_session_that_is_opened_before_anything_was_looked_at_misses_nothing(
    database: Database, hub: LossyHub
) -> None:
    dsn = database.dsn_for("harkara_event_service")
    async with running_replica(dsn, hub) as one, running_replica(dsn, hub) as other:
        await other.open(1, USER)
        await one.emit(USER)

        await other.hearing.look()

        await other.got(1, [1])


async def test_a_look_that_fails_is_made_up_for(
    replicas: tuple[Replica, Replica], hub: LossyHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = replicas
    await other.open(1, USER)
    hub.loses = True
    failures = 3

    async def fail_first(after: Sequence[int], *, settled_seconds: float) -> BatchPage:
        nonlocal failures
        if failures:
            failures -= 1
            raise LogUnavailableError("away") if failures else RuntimeError("a bug")
        return await batches(after, settled_seconds=settled_seconds)

    batches = other.log.batches
    monkeypatch.setattr(other.log, "batches", fail_first)
    await one.emit(USER)
    running = asyncio.create_task(other.hearing.run())

    await other.got(1, [1])
    assert other.counted("batch_read_failures_total") == 3
    running.cancel()


async def test_comparing_that_fails_is_made_up_for(
    replicas: tuple[Replica, Replica],
    hub: LossyHub,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = replicas
    await other.open(1, USER)
    hub.loses = True
    await one.emit(USER)
    await one.emit("somebody")
    with psycopg.connect(database.dsn) as connection:
        connection.execute("DELETE FROM commit_batch WHERE batch_no = 1")

    with monkeypatch.context() as patched:

        async def fail(user_ids: object) -> object:
            raise LogUnavailableError(str(user_ids))

        patched.setattr(other.log, "heads", fail)
        with pytest.raises(LogUnavailableError):
            await other.hearing.look()
    await other.hearing.look()

    await other.got(1, [1])


async def test_hints_of_another_log_are_not_heard(
    replicas: tuple[Replica, Replica], database: Database
) -> None:
    one, other = replicas
    await other.open(1, USER)
    with psycopg.connect(database.dsn) as connection:
        connection.execute("UPDATE log_epoch SET epoch = 'new life'")
    # It notices first, and the other one speaks of the former life still.
    await one.hearing.look()

    await one.emit(USER)

    assert other.counted("hints_heard_total") == 0


async def test_a_new_life_of_the_log_is_joined_and_its_numbers_counted_anew(
    replicas: tuple[Replica, Replica], hub: LossyHub, database: Database
) -> None:
    """As after a restore: commits are numbered from where the copy stood."""
    one, other = replicas
    for _ in range(3):
        await one.emit("somebody")
    with psycopg.connect(database.dsn) as connection:
        connection.execute("UPDATE log_epoch SET epoch = 'new life'; DELETE FROM commit_batch")
    async with running_replica(database.dsn_for("harkara_event_service"), hub) as third:
        for replica in (third, one, other):
            await replica.hearing.look()
        await other.open(1, USER)
        await third.emit(USER)
        await other.got(1, [1])

        hub.loses = True
        await third.emit(USER)
        await other.hearing.look()
        await other.got(1, [1, 2])


async def test_whoever_stands_in_a_former_life_of_the_log_is_ended_and_gets_nothing_of_the_new_one(
    replicas: tuple[Replica, Replica], database: Database
) -> None:
    one, other = replicas
    await other.open(1, USER)
    await one.emit(USER)
    await other.got(1, [1])
    with psycopg.connect(database.dsn) as connection:
        connection.execute("UPDATE log_epoch SET epoch = 'new life'")
    await one.hearing.look()
    await one.emit(USER)

    await other.hearing.look()

    assert other.outbox.items[-1] == Disconnected(1, 1, DisconnectReason.RESUME_LOST)
    assert other.outbox.seqs_of(1) == [1]


async def test_a_former_life_is_ended_before_heads_of_the_new_one_are_compared_whatever_fails(
    replicas: tuple[Replica, Replica], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = replicas
    await other.open(1, USER)
    with psycopg.connect(database.dsn) as connection:
        connection.execute("UPDATE log_epoch SET epoch = 'new life'")
    await one.hearing.look()
    await one.emit(USER)
    is_first = True

    async def fail_first(user_ids: Sequence[str]) -> Heads:
        nonlocal is_first
        if is_first:
            is_first = False
            raise LogUnavailableError("away")
        return await heads(user_ids)

    heads = other.log.heads
    monkeypatch.setattr(other.log, "heads", fail_first)
    running = asyncio.create_task(other.hearing.run())

    ended = Disconnected(1, 1, DisconnectReason.RESUME_LOST)
    await wait_until_async(lambda: ended in other.outbox.items or bool(other.outbox.seqs_of(1)))
    running.cancel()
    assert other.outbox.items[-1] == ended
    assert other.outbox.seqs_of(1) == []


async def test_garbage_on_the_backplane_is_counted_and_does_no_harm(
    replicas: tuple[Replica, Replica],
) -> None:
    one, other = replicas
    await other.open(1, USER)

    for topic in Topic:
        one.backplane.send(topic, b"\xc1 no hint")
    await one.emit(USER)

    await other.got(1, [1])
    assert other.counted("hints_undecodable_total") == 2


async def test_an_ephemeral_event_reaches_the_live_sessions_of_both_and_moves_no_position(
    replicas: tuple[Replica, Replica], hub: LossyHub
) -> None:
    for replica in replicas:
        await replica.open(1, USER)
    one, other = replicas
    passing = Announced(USER, 0, "location_updated", made=b'{"passing":1}')

    one.hearing.hand_on([passing])
    await one.emit(USER)
    for replica in replicas:
        await replica.got(1, [0, 1])

    # What is lost of them is lost.
    hub.is_up = False
    one.hearing.hand_on([passing])
    await one.emit(USER)
    await other.hearing.look()
    await one.got(1, [0, 1, 0, 2])
    await other.got(1, [0, 1, 2])


async def test_a_hint_that_comes_twice_or_late_is_no_second_delivery(
    replicas: tuple[Replica, Replica],
) -> None:
    one, other = replicas
    await other.open(1, USER)
    await one.emit(USER)
    await one.emit(USER)
    await other.got(1, [1, 2])

    again = Announced(USER, 1, "order_created", made=b"{}")
    one.backplane.send(Topic.BATCHES, hints.encode(BatchId(0, 1), [again]))
    await one.emit(USER)

    await other.got(1, [1, 2, 3])


async def test_whatever_is_lost_both_edges_see_every_event_once_and_in_order(
    replicas: tuple[Replica, Replica], hub: LossyHub
) -> None:
    chance = random.Random(7)  # noqa: S311 - to choose by.
    users = [f"user_{number}" for number in range(8)]
    for replica in replicas:
        for session, user_id in enumerate(users):
            await replica.open(session, user_id)
    runs = [asyncio.create_task(replica.hearing.run()) for replica in replicas]

    async def emit(replica: Replica) -> None:
        for _ in range(60):
            hub.loses = chance.random() < 0.3
            hub.is_up = chance.random() < 0.9
            await replica.emit(*chance.sample(users, chance.randint(1, 5)))

    await asyncio.gather(*(emit(replica) for replica in replicas for _ in range(2)))
    # Whatever was lost last, too.
    hub.loses = True
    heads = await replicas[0].log.heads(users)
    for replica in replicas:
        for session, user_id in enumerate(users):
            await replica.got(session, range(1, heads.by_user[user_id].last_seq + 1))
    for run in runs:
        run.cancel()
    await wait_until_async(lambda: all(run.done() for run in runs))
