"""Transactions on Postgres that end within a bound, whatever becomes of the server.

A server that is frozen (SIGSTOP, a dead disk) keeps its connections open and answers nothing, not even a
cancel; its own statement_timeout does not fire either. So after the bound the socket is shut under the
driver, which then fails as for any lost connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar, cast

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from harkara_auth_service.domain.errors import DirectoryUnavailableError
from harkara_auth_service.metrics import Metrics
from harkara_schema import connections

POOL_SIZE: Final = 4
"""One look-up, one reader of changes, and changes of users, which wait for each other anyway."""

CONNECT_SECONDS: Final = 2
READ_SECONDS: Final = 2.0
CHANGE_SECONDS: Final = 8.0

APPLICATION_NAME: Final = "harkara-auth-service"
KEEPALIVES: Final = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
"""So that the server lets go of what a vanished machine held."""

_SERVER_SETTINGS: Final = (
    f"-c statement_timeout=5000 -c idle_in_transaction_session_timeout=5000 -c timezone=UTC {KEEPALIVES}"
)
TCP_SETTINGS: Final[Mapping[str, Any]] = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": APPLICATION_NAME,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}

_log = structlog.get_logger()
T = TypeVar("T")


def open_engine(dsn: str) -> AsyncEngine:
    """An engine with a bounded pool; it connects when first used.

    Args:
        dsn: a libpq URL.
    """

    async def connect() -> psycopg.AsyncConnection:
        # By libpq itself, not taken apart by SQLAlchemy: whatever libpq takes for a URL is one.
        return await connections.connect(
            dsn, options=_SERVER_SETTINGS, client_encoding="UTF8", **TCP_SETTINGS
        )

    return create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=READ_SECONDS,
        # A connection through a balancer must not be held for ever.
        pool_recycle=1_800,
    )


class PostgresSession:
    """Runs transactions.

    Args:
        engine: whose connections; `close` ends it.
        metrics: what is counted.
    """

    def __init__(self, engine: AsyncEngine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._under_way: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Wait for what is under way, which is bounded, and close the connections."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._engine.dispose()

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]], seconds: float) -> T:
        """Do `work` in one transaction and commit it.

        A connection that turns out to be dead before the commit was sent is replaced once: the pool keeps
        connections over a restart of Postgres.

        Cancelling it ends the wait, not the work: to cancel a statement the driver asks the server, which may
        be frozen, and waits for its answer.

        Args:
            work: executes statements; it may be called twice.
            seconds: from the connection in hand to the answer.

        Raises:
            DirectoryUnavailableError: Postgres did not answer, not in time, or refused. Where that happened
                during the commit, it may have been done.
        """
        task = asyncio.create_task(self._run(work, seconds))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[T]], seconds: float) -> T:
        try:
            try:
                return await self._attempt(work, seconds)
            except _StaleConnectionError:
                return await self._attempt(work, seconds)
        except _StaleConnectionError as error:
            failure: BaseException = error.__cause__ or error
        except (DBAPIError, PoolTimeoutError, OSError) as error:
            failure = error
        self._metrics.directory_failures.inc()
        # The statement and its parameters stand in the error's text: that is why it is not logged.
        _log.warning("directory_failed", error=type(failure).__name__, sqlstate=_sqlstate_of(failure))
        raise DirectoryUnavailableError from None

    async def _attempt(self, work: Callable[[AsyncConnection], Awaitable[T]], seconds: float) -> T:
        async with self._engine.connect() as connection:
            raw = await connection.get_raw_connection()
            watchdog = _Watchdog(cast("psycopg.AsyncConnection", raw.driver_connection), seconds)
            try:
                try:
                    result = await work(connection)
                except DBAPIError as error:
                    if error.connection_invalidated and not watchdog.has_cut:
                        raise _StaleConnectionError from error
                    raise
                await connection.commit()
            finally:
                watchdog.stop()
            return result


class _StaleConnectionError(Exception):
    """The connection broke before anything can have been committed."""


class _Watchdog:
    """Shuts a connection's socket after a while, unless stopped."""

    def __init__(self, connection: psycopg.AsyncConnection, seconds: float) -> None:
        self._connection = connection
        self._timer = asyncio.get_running_loop().call_later(seconds, self._cut)
        self.has_cut = False

    def stop(self) -> None:
        self._timer.cancel()

    def _cut(self) -> None:
        self.has_cut = True
        connections.cut(self._connection)


def _sqlstate_of(error: BaseException) -> str | None:
    original = error.orig if isinstance(error, DBAPIError) else error
    return original.sqlstate if isinstance(original, psycopg.Error) else None
