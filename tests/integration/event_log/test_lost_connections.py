"""No event is lost, doubled or left unannounced, whenever the connection to Postgres breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from harkara_event_service.adapters import connections
from harkara_event_service.ports import Chain, Failure, LogUnavailableError
from tests.support.cutting_proxy import CuttingProxy, Fault, cutting_proxy
from tests.support.events import make_event, make_events, told
from tests.support.logs import RecordedLog, append, open_log, seqs
from tests.support.postgres import Database
from tests.support.waiting import wait_until, wait_until_async

WAITING_WRITERS = """
SELECT pid FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND application_name LIKE 'harkara-log-writer-%'
      AND datname = current_database()
"""


@pytest.fixture
async def proxy(database: Database) -> AsyncIterator[tuple[CuttingProxy, str]]:
    async with cutting_proxy(database.dsn_for("harkara_event_service")) as (proxy, dsn):
        yield proxy, dsn


@pytest.fixture
def patient_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server gives up no wait for a lock, however slow this machine is."""
    patient = {**connections.WRITER_SETTINGS, "lock_timeout": "0", "statement_timeout": "0"}
    monkeypatch.setattr(connections, "WRITER_SETTINGS", patient)
    monkeypatch.setattr(connections, "_CUT_SECONDS", 60)


@pytest.fixture
async def log(proxy: tuple[CuttingProxy, str]) -> AsyncIterator[RecordedLog]:
    async with open_log(proxy[1]) as log:
        yield log


async def stream(log: RecordedLog, user_id: str = "user_1") -> list[tuple[str, int]]:
    return told((await log.read({user_id: 0}, 1000))[user_id])


@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("fault", [Fault.LOST, Fault.UNANSWERED])
async def test_a_connection_lost_around_the_commit_costs_nothing(
    proxy: tuple[CuttingProxy, str], log: RecordedLog, fault: Fault, count: int
) -> None:
    await append(log, *make_events(2))
    log.announced.clear()
    events = make_events(count)
    proxy[0].plan(events[-1].event_id.encode(), fault)

    outcomes = await append(log, *events)

    assert seqs(outcomes) == list(range(3, count + 3))
    assert told(log.announced) == [(event.event_id, seq) for seq, event in enumerate(events, 3)]
    assert (await stream(log))[2:] == told(log.announced)


async def test_the_commit_of_a_careful_transaction_may_be_lost_too(
    proxy: tuple[CuttingProxy, str], log: RecordedLog
) -> None:
    """A duplicate in the batch makes it careful: BEGIN, lock, look up, store, COMMIT."""
    there = make_event()
    await append(log, there)
    log.announced.clear()
    events = make_events(3)
    proxy[0].plan(b"COMMIT", Fault.UNANSWERED)

    outcomes = await append(log, events[0], there, *events[1:])

    assert seqs(outcomes) == [2, 1, 3, 4]
    assert await stream(log) == [
        (there.event_id, 1),
        *((each.event_id, seq) for seq, each in enumerate(events, 2)),
    ]
    assert set(told(log.announced)) == set(await stream(log))


@pytest.mark.parametrize("message", [b"BEGIN", b"COMMIT"])
async def test_a_careful_transaction_that_was_cut_off_stores_once(
    proxy: tuple[CuttingProxy, str], log: RecordedLog, message: bytes
) -> None:
    there = make_event()
    await append(log, there)
    proxy[0].plan(message, Fault.LOST)

    assert seqs(await append(log, there, make_event())) == [1, 2]
    assert len(await stream(log)) == 2


async def test_a_backend_terminated_while_it_waits_for_a_lock_has_stored_nothing(
    database: Database, log: RecordedLog
) -> None:
    await append(log, make_event())
    events = make_events(3)
    with psycopg.connect(database.dsn) as blocker:
        blocker.execute("SELECT FROM user_stream FOR UPDATE")
        task = asyncio.create_task(append(log, *events))
        await asyncio.to_thread(terminate_the_waiting_writer, database)

    assert seqs(await task) == [2, 3, 4]
    assert told(log.announced)[1:] == [(event.event_id, seq) for seq, event in enumerate(events, 2)]


def terminate_the_waiting_writer(database: Database) -> None:
    wait_for_waiting_writers(database, 1)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for (pid,) in connection.execute(WAITING_WRITERS).fetchall():
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


async def test_events_that_wait_while_the_server_is_away_are_stored_when_it_is_back(
    proxy: tuple[CuttingProxy, str], log: RecordedLog
) -> None:
    proxy[0].accepts = False
    proxy[0].cut_all()
    tasks = [asyncio.create_task(append(log, *make_events(2, user))) for user in ("ada", "bob", "ada")]
    await wait_until_async(lambda: not log.healthy)
    proxy[0].accepts = True

    assert [seqs(await task) for task in tasks] == [[1, 2], [1, 2], [3, 4]]
    assert log.healthy


async def test_while_the_server_is_away_an_append_ends_at_its_deadline(
    proxy: tuple[CuttingProxy, str], log: RecordedLog
) -> None:
    proxy[0].accepts = False
    proxy[0].cut_all()
    await wait_until_async(lambda: not log.healthy)
    events = make_events(2)

    assert await append(log, *events, seconds=0.05) == [Failure.UNAVAILABLE] * 2
    proxy[0].accepts = True

    # What was answered so is not stored behind the caller's back.
    assert seqs(await append(log, make_event())) == [1]
    assert log.counted("queued_events") == 0


async def test_a_dead_connection_is_noticed_and_replaced_while_there_is_nothing_to_write(
    proxy: tuple[CuttingProxy, str], log: RecordedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harkara_event_service.adapters.group_commit.CHECK_SECONDS", 0.02)
    await append(log, make_event())
    proxy[0].accepts = False
    proxy[0].cut_all()

    await wait_until_async(lambda: not log.healthy)
    assert log.counted("writers_up") == 0
    proxy[0].accepts = True
    await wait_until_async(lambda: log.healthy)
    assert log.counted("writers_up") == 1


async def test_an_unknown_outcome_past_its_deadline_is_announced_once_it_is_known(
    proxy: tuple[CuttingProxy, str], log: RecordedLog
) -> None:
    """Nobody may wait for the user's next event to learn of one that was stored."""
    await append(log, make_event())
    event = make_event()
    proxy[0].plan(event.event_id.encode(), Fault.UNANSWERED)
    task = asyncio.create_task(append(log, event, seconds=0.3))
    await proxy[0].happened()
    proxy[0].accepts = False

    assert await task == [Failure.DEADLINE]
    assert len(log.announced) == 1
    proxy[0].accepts = True

    await wait_until_async(lambda: len(log.announced) == 2)
    assert told(log.announced)[1:] == [(event.event_id, 2)]


@pytest.mark.usefixtures("patient_writers")
async def test_an_unknown_outcome_is_waited_for_while_its_transaction_still_runs(
    database: Database, proxy: tuple[CuttingProxy, str], log: RecordedLog
) -> None:
    """The server does not notice a cut connection while it waits for a lock, and commits afterwards."""
    await append(log, make_event())
    event = make_event()
    with psycopg.connect(database.dsn) as blocker:
        blocker.execute("SELECT FROM user_stream FOR UPDATE")
        task = asyncio.create_task(append(log, event, seconds=0.05))
        await asyncio.to_thread(wait_for_waiting_writers, database, 1)
        proxy[0].accepts = False
        proxy[0].cut_all()
        assert await task == [Failure.DEADLINE]
        proxy[0].accepts = True
        # The one that was cut off, and the one that looks what became of it.
        await asyncio.to_thread(wait_for_waiting_writers, database, 2)

    await wait_until_async(lambda: len(log.announced) == 2)
    assert told(log.announced)[1:] == [(event.event_id, 2)]


def wait_for_waiting_writers(database: Database, count: int) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:

        def are_waiting() -> bool:
            return len(connection.execute(WAITING_WRITERS).fetchall()) == count

        wait_until(are_waiting)


async def test_an_unknown_outcome_past_its_deadline_is_not_stored_anew(
    proxy: tuple[CuttingProxy, str], log: RecordedLog
) -> None:
    await append(log, make_event())
    event = make_event()
    proxy[0].plan(event.event_id.encode(), Fault.LOST)
    chain = Chain()
    task = asyncio.create_task(append(log, event, chain=chain, seconds=0.3))
    await proxy[0].happened()
    proxy[0].accepts = False
    late = asyncio.create_task(append(log, make_event(), chain=chain))

    assert await task == [Failure.DEADLINE]
    proxy[0].accepts = True

    assert await late == [Failure.BROKEN_CHAIN]
    assert seqs(await append(log, make_event())) == [2]
    assert len(await stream(log)) == 2


async def test_a_server_that_never_answers_is_left(
    proxy: tuple[CuttingProxy, str], log: RecordedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CUT_SECONDS", 0.2)
    await append(log, make_event())
    event = make_event()
    proxy[0].plan(event.event_id.encode(), Fault.SILENT)

    assert seqs(await append(log, event)) == [2]
    assert told(log.announced)[-1] == (event.event_id, 2)


@pytest.mark.parametrize("message", [b"SET timezone", b"pg_try_advisory_lock", b"max(batch_no)"])
async def test_a_writer_leaves_a_server_that_lets_it_in_and_says_no_more(
    proxy: tuple[CuttingProxy, str], monkeypatch: pytest.MonkeyPatch, message: bytes
) -> None:
    monkeypatch.setattr(connections, "_CUT_SECONDS", 0.2)
    writer = connections.WriterConnection(proxy[1], "writer", lambda _: None, keeps_batches=True)
    proxy[0].plan(message, Fault.SILENT)

    await writer.acquire()

    assert (writer.is_up, writer.batch_no) == (True, 0)
    await writer.drop()


async def test_reads_fail_while_the_server_is_away_and_work_when_it_is_back(
    proxy: tuple[CuttingProxy, str], log: RecordedLog
) -> None:
    await append(log, *make_events(2))
    await asyncio.gather(*(log.heads([f"user_{number}"]) for number in range(3)))
    proxy[0].accepts = False
    proxy[0].cut_all()

    with pytest.raises(LogUnavailableError):
        await log.heads(["user_1"])
    with pytest.raises(LogUnavailableError):
        await log.read({"user_1": 0}, 10)
    proxy[0].accepts = True

    assert (await log.heads(["user_1"])).by_user["user_1"].last_seq == 2
    assert len(await stream(log)) == 2


async def test_a_read_connection_that_died_while_idle_fails_nobody(
    proxy: tuple[CuttingProxy, str], log: RecordedLog
) -> None:
    await append(log, *make_events(2))
    await asyncio.gather(*(log.read({"user_1": 0}, 1) for _ in range(4)))
    proxy[0].cut_all()

    pages = await asyncio.gather(*(log.read({"user_1": 0}, 10) for _ in range(8)))

    assert [len(page["user_1"]) for page in pages] == [2] * 8


async def test_a_cancelled_read_harms_no_other(log: RecordedLog) -> None:
    await append(log, *make_events(2))
    tasks = [asyncio.create_task(log.heads(["user_1"])) for _ in range(6)]
    tasks += [asyncio.create_task(log.heads(["user_1"])) for _ in range(2)]
    pages = [asyncio.create_task(log.read({"user_1": 0}, 10)) for _ in range(6)]
    await asyncio.sleep(0)
    for task in (*tasks[::2], *pages[::2]):
        task.cancel()

    await asyncio.wait([*tasks, *pages])

    assert all(task.result().by_user["user_1"].last_seq == 2 for task in tasks[1::2])
    assert all(len(task.result()["user_1"]) == 2 for task in pages[1::2])
