"""Emits what is in the outbox, in order, for as long as it runs.

How that keeps its promises is told in the package's docstring.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import class_row

from harkara_client.backoff import Backoff
from harkara_client.emitter import Emitter
from harkara_client.errors import CredentialRefusedError, EmitError, NotAnsweredError, RefusedError
from harkara_client.event_draft import Draft, Emitted, message_of
from harkara_client.outbox.schema import CHANNEL

STANDBY_SECONDS: Final = 1.0
"""How often a relay that waits to take over asks whether it may."""

_FOR_EVER: Final = 10 * 365 * 86_400.0
_LOCK: Final = 0x4841524B  # "HARK": the class of our advisory locks; the table is the other half.
_ALIVE: Final[dict[str, Any]] = {
    # A server that vanished is noticed in seconds: a relay elsewhere may be at work by then.
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "harkara-outbox-relay",
}
_log = logging.getLogger("harkara_client")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the outbox, as text and numbers: a time that Python does not have must not stop the others."""

    id: int
    event_id: str
    user_id: str
    event_type: str
    data: str
    event_level: Any
    event_time: str | None
    collapse_key: str | None
    ttl_seconds: float | None


@dataclass(slots=True)
class Counts:
    """What a relay has done so far.

    Attributes:
        emitted: How many events were answered OK.
        parked: How many were refused.
    """

    emitted: int = 0
    parked: int = 0


class Relay:
    """See the module. One works at a time; any number may wait to take over.

    Args:
        dsn: The database with the outbox, of a login that may read, update and delete there. Not through a
            pooler that shares connections between transactions.
        emitter: An open one, with a token that may emit the types. Its own `timeout` does not count here:
            an event is tried until it is answered.
        schema: Where the outbox is.
        batch: How many events go together at most.
        poll_seconds: How often it looks where nobody says that there is something.
        backoff: How long it waits when Postgres is away, or its token is refused.

    Attributes:
        counts: What it has done.
        is_working: Set while it is the one that works.
    """

    def __init__(
        self,
        dsn: str,
        emitter: Emitter,
        *,
        schema: str = "public",
        batch: int = 500,
        poll_seconds: float = 1.0,
        backoff: Backoff | None = None,
    ) -> None:
        self._dsn = dsn
        self._emitter = emitter
        self._table = sql.Identifier(schema, "harkara_outbox")
        self._batch = batch
        self._poll_seconds = poll_seconds
        self._backoff = backoff or Backoff(0.1, 10.0)
        self.counts = Counts()
        self.is_working = asyncio.Event()

    async def run(self) -> None:
        """Relay until cancelled, at whatever point: what was not marked as answered is emitted again.

        Raises:
            psycopg.Error: There is no outbox, or it may not be used.
        """
        while True:
            try:
                async with await AsyncConnection.connect(self._dsn, autocommit=True, **_ALIVE) as connection:
                    await self._work(connection)
            except psycopg.OperationalError as error:
                _log.warning("the outbox is away: %s", error)
            except CredentialRefusedError as error:
                _log.error("the relay's token is refused: %s", error)
            finally:
                self.is_working.clear()
            await asyncio.sleep(self._backoff.next_wait())

    async def _work(self, connection: AsyncConnection[Any]) -> None:
        # Only a wait that ends lets Postgres clean up behind it: so not the lock that blocks.
        while not await self._try_lock(connection):  # noqa: ASYNC110 - Postgres is asked.
            await asyncio.sleep(STANDBY_SECONDS)
        self.is_working.set()
        while True:
            rows = await self._next_rows(connection) or await self._wait_for_rows(connection)
            await self._relay(connection, rows)
            self._backoff.reset()

    async def _try_lock(self, connection: AsyncConnection[Any]) -> bool:
        cursor = await connection.execute(
            "SELECT pg_try_advisory_lock(%s, %s::regclass::oid::int)",
            (_LOCK, self._table.as_string(connection)),
        )
        row = await cursor.fetchone()
        return bool(row and row[0])

    async def _next_rows(self, connection: AsyncConnection[Any]) -> Sequence[Row]:
        query = sql.SQL(
            "SELECT id, event_id, user_id, event_type, data, event_level, collapse_key,"
            """ to_char(event_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS event_time,"""
            " extract(epoch FROM ttl)::float8 AS ttl_seconds"
            " FROM {} WHERE refused_at IS NULL ORDER BY id LIMIT %s"
        ).format(self._table)
        async with connection.cursor(row_factory=class_row(Row)) as cursor:
            await cursor.execute(query, (self._batch,))
            return await cursor.fetchall()

    async def _wait_for_rows(self, connection: AsyncConnection[Any]) -> Sequence[Row]:
        """The next rows, once there are some.

        It listens only meanwhile: what a session that listens does not read fills the queue of the whole
        server, and every commit that notifies fails then.
        """
        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
        # What committed before the LISTEN was not notified: so look before waiting.
        while not (rows := await self._next_rows(connection)):
            self._backoff.reset()
            async for _ in connection.notifies(timeout=self._poll_seconds, stop_after=1):
                pass
        await connection.execute("UNLISTEN *")
        async for _ in connection.notifies(timeout=0):
            pass  # The connection keeps what came during a query.
        return rows

    async def _relay(self, connection: AsyncConnection[Any], rows: Sequence[Row]) -> None:
        """Emit these, and note what became of them.

        Raises:
            CredentialRefusedError: Nothing more can be emitted with this token.
        """
        outcomes = await self._emit(rows)
        stored = [row.id for row, outcome in outcomes if isinstance(outcome, Emitted)]
        if stored:
            delete = sql.SQL("DELETE FROM {} WHERE id = ANY(%s)").format(self._table)
            await connection.execute(delete, (stored,))
            self.counts.emitted += len(stored)
        refused: CredentialRefusedError | None = None
        for row, outcome in outcomes:
            if isinstance(outcome, CredentialRefusedError):
                refused = outcome
            elif isinstance(outcome, RefusedError):
                await self._park(connection, row, outcome)
            elif isinstance(outcome, NotAnsweredError):
                raise outcome  # The emitter was closed.
        if refused is not None:
            raise refused

    async def _emit(self, rows: Sequence[Row]) -> list[tuple[Row, Emitted | EmitError]]:
        """Emit these together; one that cannot even be sent is refused like any other."""
        outcomes: dict[int, Emitted | EmitError] = {}
        drafts: dict[int, Draft] = {}
        for row in rows:
            try:
                drafts[row.id] = _sound_draft(row)
            except RefusedError as error:
                outcomes[row.id] = error
        answers = await self._emitter.emit_many(drafts.values(), timeout=_FOR_EVER)
        outcomes |= zip(drafts, answers, strict=True)
        return [(row, outcomes[row.id]) for row in rows]

    async def _park(self, connection: AsyncConnection[Any], row: Row, refused: RefusedError) -> None:
        _log.error("event %s is parked: %s", row.event_id, refused)
        park = sql.SQL(
            "UPDATE {} SET refused_at = clock_timestamp(), refused_code = %s, refused_field = %s,"
            " refused_message = %s WHERE id = %s"
        ).format(self._table)
        await connection.execute(park, (refused.code, refused.field, refused.message, row.id))
        self.counts.parked += 1


def _sound_draft(row: Row) -> Draft:
    """The event of a row.

    Raises:
        RefusedError: It cannot be sent.
    """
    try:
        draft = Draft(
            user_id=row.user_id,
            event_type=row.event_type,
            data=row.data,
            level=row.event_level,
            event_id=row.event_id,
            timestamp=datetime.fromisoformat(row.event_time or ""),
            collapse_key=row.collapse_key,
            ttl=None if row.ttl_seconds is None else timedelta(seconds=row.ttl_seconds),
        )
        message_of(draft)
    except (ValueError, OverflowError) as error:
        raise RefusedError("INVALID_ARGUMENT", str(error), event_id=row.event_id) from error
    return draft
