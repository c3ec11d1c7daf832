"""Connections to Postgres as the log needs them: how they are opened, kept and cut off.

What does not belong here: what is said on them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import psycopg
import structlog
from psycopg.rows import TupleRow

from harkara_event_service.adapters import sqlstates, wire_arrays
from harkara_event_service.domain.batches import WRITERS
from harkara_event_service.ports import LogUnavailableError
from harkara_schema import connections
from harkara_schema.connections import cut

_log = structlog.get_logger()

Connection = psycopg.AsyncConnection[TupleRow]

_T = TypeVar("_T")

CONNECT_SECONDS = 3
BACKOFF_SECONDS = (0.05, 1.0)
"""The first pause before connecting again, and the longest; full jitter."""

_WRITER_SLOT_LOCKS = int.from_bytes(b"hark")
# A function's rows are tried one after another, and LIMIT ends that: no lock is taken but the one told.
_LEASE_SLOT = "SELECT slot FROM generate_series(0, %s) AS slot WHERE pg_try_advisory_lock(%s, slot) LIMIT 1"
# A statement of its own, after the lease: who had the slot before has ended, and what they committed shows.
_LAST_BATCH = "SELECT coalesce(max(batch_no), 0) FROM commit_batch WHERE writer = %s"

_SETTINGS: Mapping[str, str] = {
    "timezone": "UTC",
    "client_encoding": "UTF8",
    "lock_timeout": "500ms",
    "statement_timeout": "2s",
    "idle_in_transaction_session_timeout": "2s",
    # So that the server lets go of what a vanished machine held.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
WRITER_SETTINGS: Mapping[str, str] = {**_SETTINGS, "synchronous_commit": "on"}
READER_SETTINGS: Mapping[str, str] = {
    **_SETTINGS,
    "default_transaction_read_only": "on",
    # The statements are index walks; compiling them costs more than running them.
    "jit": "off",
}
_CUT_SECONDS = 5.0
"""How long one piece of work on a connection may take: past it the server itself is stuck or gone."""

_CUT_IS_SEEN_SECONDS = 0.05
"""After this a wait on a connection that was cut has failed. One that is cancelled before asks the server to
cancel, and waits for its answer."""

_CLOSE_SECONDS = 0.5
"""How long reads under way may take when all is closed."""


async def connect(dsn: str, name: str, settings: Mapping[str, str]) -> Connection:
    """Open a connection in autocommit.

    Args:
        dsn: a libpq URL.
        name: what the server's views show it as.
        settings: of the session.

    Raises:
        psycopg.Error: it cannot be had.
    """
    connection = await connections.connect(
        dsn,
        autocommit=True,
        application_name=name,
        connect_timeout=CONNECT_SECONDS,
        keepalives=1,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=5000,
    )
    try:
        wire_arrays.register(connection)
        # A SET for each, in one message; through libpq's `options` a pooler may refuse them.
        sets = "".join([f"SET {key} = '{value}';" for key, value in settings.items()])
        await limited(connection, connection.execute(sets))
    except BaseException:
        await connection.close()
        raise
    return connection


async def limited(connection: Connection, work: Awaitable[_T]) -> _T:
    """Await `work` on `connection`, which is cut when that takes too long."""
    return await connections.limited(connection, work, _CUT_SECONDS)


class WriterConnection:
    """One lane's connection, opened again for ever, with the writer slot that it leases.

    Args:
        dsn: a libpq URL.
        name: what logs and the server's views call it.
        changed: is told of a connection that came (1) or went (-1).
        keeps_batches: whether commits are numbered.

    Attributes:
        slot: the writer that this is.
        batch_no: the number of the slot's last commit; None where they are not numbered. Whoever commits
            raises it.
    """

    def __init__(
        self, dsn: str, name: str, changed: Callable[[int], None], *, keeps_batches: bool = False
    ) -> None:
        self._dsn = dsn
        self._name = name
        self._changed = changed
        self._keeps_batches = keeps_batches
        self._connection: Connection | None = None
        self._is_closing = False
        self.slot = 0
        self.batch_no: int | None = None

    @property
    def is_up(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._connection is not None

    async def acquire(self) -> Connection:
        """The connection; waits until there is one, and after `close_soon` for ever."""
        pause, longest = BACKOFF_SECONDS
        told = False
        while True:
            if self._is_closing:
                # Nothing that is cancelled here has to be waited for; a connect has.
                await asyncio.Event().wait()
            if self._connection is not None:
                if not self._connection.closed:
                    return self._connection
                await self.drop()
            try:
                self._connection = await self._open()
            except psycopg.Error as error:
                if not told:
                    _log.warning("log_writer_cannot_connect", writer=self._name, error=sqlstates.told(error))
                    told = True
                await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret.
                pause = min(2 * pause, longest)
            else:
                _log.info("log_writer_connected", writer=self._name, slot=self.slot)
                self._changed(1)

    async def _open(self) -> Connection:
        connection = await connect(self._dsn, self._name, WRITER_SETTINGS)
        try:
            self.slot, self.batch_no = await limited(connection, self._lease(connection))
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _lease(self, connection: Connection) -> tuple[int, int | None]:
        """A slot of this connection's own, and the number of the last commit made in it."""
        cursor = await connection.execute(_LEASE_SLOT, (WRITERS - 1, _WRITER_SLOT_LOCKS))
        row = await cursor.fetchone()
        if row is None:
            message = f"all {WRITERS} writer slots are taken"
            raise psycopg.OperationalError(message)
        slot = int(row[0])
        return slot, await self._last_batch(connection, slot) if self._keeps_batches else None

    @staticmethod
    async def _last_batch(connection: Connection, slot: int) -> int:
        cursor = await connection.execute(_LAST_BATCH, (slot,))
        row = await cursor.fetchone()
        return 0 if row is None else int(row[0])

    async def drop(self) -> None:
        """Let go of the connection; the next `acquire` opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._changed(-1)
            await connection.close()

    async def check(self) -> None:
        """Ask the server for a sign of life, so that a dead connection is found before an event needs it."""
        connection = await self.acquire()
        try:
            await limited(connection, connection.execute("SELECT"))
        except psycopg.Error as error:
            _log.warning("log_writer_lost", writer=self._name, error=sqlstates.told(error))
            await self.drop()

    async def close_soon(self) -> None:
        """End the connection under whoever waits on it, and open none any more. `drop` lets go of it."""
        self._is_closing = True
        if self._connection is not None:
            cut(self._connection)
            await asyncio.sleep(_CUT_IS_SEEN_SECONDS)


class ReadConnections:
    """Connections that many share: opened as they are needed, kept, and never more than `size`.

    Not psycopg's pool: after an outage that one connects again only after pauses that have doubled to
    minutes. Here whoever reads tries, and learns at once.

    Args:
        dsn: a libpq URL.
        size: how many at most.
        name: what the server's views call them.
        settings: of their sessions.
    """

    def __init__(
        self,
        dsn: str,
        size: int,
        *,
        name: str = "harkara-log-reader",
        settings: Mapping[str, str] = READER_SETTINGS,
    ) -> None:
        self._dsn = dsn
        self._name = name
        self._settings = settings
        self._room = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._is_closed = False
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        """Do `work` on a connection; it may be done twice, where the first one turned out to be dead.

        Cancelled: the work is finished and its result thrown away.

        Raises:
            LogUnavailableError: it could not be done.
        """
        if self._is_closed:
            raise LogUnavailableError("the log is closed")
        task = asyncio.get_running_loop().create_task(self._run(work))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Seen, if nobody waits for it any more.

    async def _run(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        async with self._room:
            while True:
                was_idle = bool(self._idle)
                try:
                    connection = (
                        self._idle.pop() if was_idle else await connect(self._dsn, self._name, self._settings)
                    )
                except psycopg.Error as error:
                    raise LogUnavailableError(sqlstates.told(error)) from error
                self._busy.add(connection)
                try:
                    result = await limited(connection, work(connection))
                except psycopg.Error as error:
                    await connection.close()
                    # One that lay idle may have died there, and then the others have too: try them all.
                    if was_idle and sqlstates.judge(error) is sqlstates.Verdict.LOST:
                        continue
                    raise LogUnavailableError(sqlstates.told(error)) from error
                except BaseException:
                    await connection.close()
                    raise
                finally:
                    self._busy.discard(connection)
                self._idle.append(connection)
                return result

    async def close(self) -> None:
        """Wait a little for what is under way, cut off what is not done by then, and close all."""
        self._is_closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        for connection in self._busy:
            cut(connection)
        await asyncio.sleep(_CUT_IS_SEEN_SECONDS if self._busy else 0)
        if self._tasks:
            # Those that wait for their turn, or to be let in by a server that does not answer.
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        while self._idle:
            await self._idle.pop().close()
