"""A connect that nobody waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from harkara_auth_service.adapters import change_listener
from harkara_auth_service.adapters import postgres_session as auth_session
from harkara_event_service.adapters.connections import WriterConnection
from harkara_query_service.adapters import postgres_history
from harkara_schema import version
from harkara_schema.connections import connect
from harkara_schema.version import require_current_async
from tests.support.cutting_proxy import Fault, cutting_proxy
from tests.support.postgres import Database
from tests.support.waiting import wait_until_async

BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'unwanted'"
AT_THE_DOOR = "SELECT pid FROM pg_locks WHERE relation = 'pg_authid'::regclass AND NOT granted"


class Silent:
    """A server that takes connections and says nothing until it is told to hang up."""

    def __init__(self) -> None:
        self.dsn = ""
        self.came = asyncio.Event()
        self.hangs_up = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        self.came.set()
        await self.hangs_up.wait()
        writer.transport.abort()


@asynccontextmanager
async def silent_server() -> AsyncIterator[Silent]:
    silent = Silent()
    async with await asyncio.start_server(silent.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        silent.dsn = f"postgresql://u:p@127.0.0.1:{port}/x"
        try:
            yield silent
        finally:
            silent.hangs_up.set()


async def turns() -> None:
    """Let whatever is ready happen."""
    for _ in range(10):
        await asyncio.sleep(0)


async def through(engine: AsyncEngine) -> None:
    async with engine.connect():
        pass


CONNECTS: dict[str, Callable[[str], Awaitable[object]]] = {
    "the check of the tables": require_current_async,
    "auth-service's pool": lambda dsn: through(auth_session.open_engine(dsn)),
    "auth-service's listener": lambda dsn: change_listener.listen(dsn, lambda: None),
    "event-service's writers": lambda dsn: WriterConnection(dsn, "writer", lambda _: None).acquire(),
    "query-service's pool": lambda dsn: through(
        postgres_history.open_engine(dsn, pool_size=1, pool_wait_seconds=1, statement_seconds=1)
    ),
}


@pytest.mark.parametrize("opens", CONNECTS.values(), ids=CONNECTS.keys())
async def test_a_cancelled_connect_ends_when_its_socket_has(
    opens: Callable[[str], Awaitable[object]],
) -> None:
    async with silent_server() as silent:
        task = asyncio.ensure_future(opens(silent.dsn))
        await silent.came.wait()
        task.cancel()
        await turns()
        assert not task.done()
        silent.hangs_up.set()
        await asyncio.wait({task}, timeout=10)
        assert task.cancelled()


async def test_a_connection_that_comes_when_nobody_wants_it_any_more_is_closed(database: Database) -> None:
    with psycopg.connect(database.dsn) as guard:
        # Whoever logs in reads it.
        guard.execute("LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE")
        task = asyncio.create_task(connect(database.dsn, application_name="unwanted", connect_timeout=10))
        await wait_until_async(lambda: bool(guard.execute(AT_THE_DOOR).fetchall()))
        task.cancel()
        await turns()
        assert not task.done()
        guard.rollback()
        await asyncio.wait({task}, timeout=10)
        assert task.cancelled()
    with psycopg.connect(database.dsn, autocommit=True) as watching:
        await wait_until_async(lambda: not watching.execute(BACKENDS).fetchall())


@pytest.mark.parametrize("message", [b"to_regclass", b"SELECT version_num"])
async def test_the_check_of_the_tables_leaves_a_server_that_lets_it_in_and_says_no_more(
    database: Database, monkeypatch: pytest.MonkeyPatch, message: bytes
) -> None:
    monkeypatch.setattr(version, "_ANSWER_SECONDS", 0.2)
    async with cutting_proxy(database.dsn) as (proxy, dsn):
        proxy.plan(message, Fault.SILENT)

        with pytest.raises(psycopg.OperationalError):
            await require_current_async(dsn)


async def test_auth_services_listener_leaves_a_server_that_lets_it_in_and_says_no_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_listener, "READ_SECONDS", 0.2)
    monkeypatch.setattr(change_listener, "RECONNECT_SECONDS", 0.0)
    listens = asyncio.Event()
    async with cutting_proxy(database.dsn_for("harkara_auth_service")) as (proxy, dsn):
        proxy.plan(b"LISTEN", Fault.SILENT)
        listening = asyncio.create_task(change_listener.listen(dsn, listens.set))

        await listens.wait()

        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_auth_services_listener_connects_again_after_a_random_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All replicas came back in step, each second, to a Postgres that was just about to be there."""
    drawn = asyncio.Queue[tuple[float, float]]()

    def at_once(least: float, most: float) -> float:
        drawn.put_nowait((least, most))
        return 0.0

    monkeypatch.setattr("harkara_auth_service.adapters.change_listener.random.uniform", at_once)
    dsn = "postgresql://nobody:x@127.0.0.1:1/nothing"
    listening = asyncio.create_task(change_listener.listen(dsn, lambda: None))

    assert [await drawn.get() for _ in range(2)] == [(0, 1.0)] * 2

    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


POOLS: dict[str, Callable[[str], AsyncEngine]] = {
    "auth-service's pool": auth_session.open_engine,
    "query-service's pool": lambda dsn: postgres_history.open_engine(
        dsn, pool_size=1, pool_wait_seconds=1, statement_seconds=1
    ),
}


@pytest.mark.parametrize("open_engine", POOLS.values(), ids=POOLS.keys())
async def test_either_end_notices_that_the_other_has_vanished(
    database: Database, open_engine: Callable[[str], AsyncEngine]
) -> None:
    engine = open_engine(database.dsn)
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT setting FROM pg_settings WHERE name ~ '^tcp_keepalives_' ORDER BY name")
        )
        assert rows.scalars().all() == ["3", "5", "2"]
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)
        assert {"keepalives_idle", "tcp_user_timeout"} <= driver.info.get_parameters().keys()
    await engine.dispose()


async def test_a_connect_that_is_cancelled_twice_is_waited_for_no_longer() -> None:
    async with silent_server() as silent:
        task = asyncio.create_task(connect(silent.dsn, connect_timeout=10))
        await silent.came.wait()
        for _ in range(2):
            task.cancel()
            await turns()
        assert task.cancelled()
