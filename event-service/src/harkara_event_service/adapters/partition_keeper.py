"""The log's weeks: partitions made before events need them, and dropped past retention.

Retention of a week goes in steps that may be broken off at any point and begun again: the floors of
all users who have events in it are raised, so that nobody reads from below any more; it is detached;
it is dropped. What a round leaves, the next one finds.

What does not belong here: which week an id is in (`harkara_schema.partitions`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, LiteralString

import psycopg
import structlog
from psycopg import sql

from harkara_event_service.adapters import sqlstates
from harkara_event_service.adapters.connections import Connection, connect, limited
from harkara_event_service.adapters.log_metrics import LogMetrics
from harkara_schema import connections
from harkara_schema.partitions import (
    LAST_MS,
    Week,
    create_partition_sql,
    ulid_time_ms,
    week_of,
    week_of_partition,
    weeks_needed,
)

_log = structlog.get_logger()

ROUND_SECONDS = 3600.0
RETRY_SECONDS = 60.0
LATE_IDS = timedelta(days=7)
"""How old an id may be when it is stored; a week is kept that much longer than its ids' times say."""

_LOCK = int.from_bytes(b"harkpart")
_FLOORS_AT_ONCE = 500
_STATEMENT_SECONDS = 35.0
"""How long one statement may take: longer than its own timeout, which a server that froze does not keep."""

_SETTINGS = {
    "timezone": "UTC",
    "client_encoding": "UTF8",
    # Whoever waits for a table's lock makes everybody else queue up behind it: better to try again.
    "lock_timeout": "2s",
    # A detach waits for the queries that read the partition; those end by their own timeout.
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "2s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}

_ATTACHED = """
SELECT child.relname, inherited.inhdetachpending
FROM pg_inherits AS inherited JOIN pg_class AS child ON child.oid = inherited.inhrelid
WHERE inherited.inhparent = to_regclass('event_log')
"""
# Tables of a week's name that are no partition: a round ended between detach and drop.
_DETACHED = """
SELECT relname FROM pg_class
WHERE relname ~ '^event_log_[0-9]{4}w[0-9]{2}$' AND relkind = 'r' AND NOT relispartition
      AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('event_log'))
"""
_HIGHEST_SEQS = sql.SQL(
    "SELECT user_id, max(seq) FROM {} WHERE user_id > %s GROUP BY user_id ORDER BY user_id LIMIT %s"
)
# Locked in order, as every writer locks streams; in one statement, so that a process which freezes holds
# nobody's lock.
_RAISE_FLOORS = """
WITH locked AS MATERIALIZED (
    SELECT user_id FROM user_stream WHERE user_id = ANY (%(users)s) ORDER BY user_id FOR UPDATE
)
UPDATE user_stream AS stream SET floor_seq = highest.seq
FROM locked JOIN unnest(%(users)s::text[], %(seqs)s::bigint[]) AS highest (user_id, seq) USING (user_id)
WHERE stream.user_id = locked.user_id AND stream.floor_seq < highest.seq
"""


class PartitionKeeper:
    """Keeps the log's partitions.

    Args:
        dsn: a libpq URL of a login that is a member of `harkara_event_service`.
        clock: the time now, UTC.
        retention: how long events are kept at least.
        metrics: where it counts.
    """

    def __init__(
        self, dsn: str, clock: Callable[[], datetime], retention: timedelta, metrics: LogMetrics
    ) -> None:
        self._dsn = dsn
        self._clock = clock
        self._retention = retention
        self._metrics = metrics

    async def run(self, pause: float) -> None:
        """Tend in `pause` seconds and on, until cancelled."""
        while True:
            await asyncio.sleep(pause)
            pause = await self.tend_or_wait()

    async def tend_or_wait(self) -> float:
        """As `tend`, but a failure is logged: there are weeks of time.

        Returns:
            In how many seconds to tend next.
        """
        try:
            await self.tend()
        except psycopg.Error as error:
            self._metrics.upkeep_failures.inc()
            _log.warning("log_upkeep_failed", error=sqlstates.told(error))
            return RETRY_SECONDS
        except Exception:  # noqa: BLE001 - whatever it is, the next round may succeed.
            self._metrics.upkeep_failures.inc()
            _log.exception("log_upkeep_failed")
            return RETRY_SECONDS
        return ROUND_SECONDS

    async def tend(self) -> None:
        """Make what will be needed, and drop what is past retention.

        Raises:
            psycopg.Error: something was not to be had, or somebody else tends now; try again later.
        """
        async with self._locked() as connection:
            now = self._clock()
            # First: Emit may depend on it, and on nothing that follows.
            await self._make(connection, weeks_needed(now))
            await self._drop(connection, now)

    async def make_for(self, event_ids: Sequence[str]) -> bool:
        """Make the partitions that these ids lack, as far as the ids are of a time that may be stored.

        Returns:
            Whether there is one now that was not there.

        Raises:
            psycopg.Error: it was not to be had; try again later.
        """
        needed = set(weeks_needed(self._clock()))
        moments = [ulid_time_ms(event_id) for event_id in event_ids]
        # A ULID goes on past the end of the calendar.
        weeks = {week_of(ms) for ms in moments if ms <= LAST_MS} & needed
        async with self._locked() as connection:
            # Somebody's events wait.
            return await limited(connection, self._make(connection, sorted(weeks)))

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[Connection]:
        """A connection that alone may change partitions."""
        connection = await connect(self._dsn, "harkara-log-upkeep", _SETTINGS)
        async with connection:
            await limited(connection, connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,)))
            yield connection

    async def _make(self, connection: Connection, weeks: Iterable[Week]) -> bool:
        attached = await self._attached(connection)
        detached = await self._detached(connection)
        made = False
        for week in weeks:
            is_pending = attached.get(week.partition)
            if is_pending is False:
                continue
            statements = create_partition_sql(week)
            if is_pending:
                await self._detach(connection, week.partition, "FINALIZE")
            if is_pending or week.partition in detached:
                # It was dropped halfway, by a clock that went wrong: what it holds is good.
                statements = statements[-1:]
            await connections.limited(connection, _in_transaction(connection, statements), _STATEMENT_SECONDS)
            made = True
            self._metrics.partitions_made.inc()
            _log.info("log_partition_made", partition=week.partition)
        return made

    async def _drop(self, connection: Connection, now: datetime) -> None:
        needed = set(weeks_needed(now))
        attached = await self._attached(connection)
        for name, is_pending in attached.items():
            if is_pending:
                # Only one of the log's may be, so it stands in the way of every other.
                await self._detach(connection, name, "FINALIZE")
        for name in sorted({*attached, *await self._detached(connection)}):
            week = week_of_partition(name)
            if week is None or week in needed or week.end > now - self._retention - LATE_IDS:
                continue
            table = sql.Identifier(name)
            await self._raise_floors(connection, table)
            if attached.get(name) is False:
                await self._detach(connection, name, "CONCURRENTLY")
            await _execute(connection, sql.SQL("DROP TABLE {}").format(table))
            self._metrics.partitions_dropped.inc()
            _log.info("log_partition_dropped", partition=name)

    @staticmethod
    async def _detach(connection: Connection, name: str, how: LiteralString) -> None:
        """Take a partition out of the log.

        CONCURRENTLY waits for the queries that read it without standing in the way of new ones. Broken
        off there, the partition is pending: nobody sees it, and only FINALIZE ends that.
        """
        await _execute(
            connection,
            sql.SQL("ALTER TABLE event_log DETACH PARTITION {} {}").format(
                sql.Identifier(name), sql.SQL(how)
            ),
        )

    @staticmethod
    async def _raise_floors(connection: Connection, table: sql.Identifier) -> None:
        """Nobody who has events in `table` may read from below the highest of them any more."""
        after = ""
        while True:
            highest = await _execute(connection, _HIGHEST_SEQS.format(table), (after, _FLOORS_AT_ONCE))
            if not highest:
                return
            user_ids = [user_id for user_id, _ in highest]
            # Few at a time: events of these users wait meanwhile.
            seqs = [seq for _, seq in highest]
            await _execute(connection, _RAISE_FLOORS, {"users": user_ids, "seqs": seqs})
            after = user_ids[-1]

    @staticmethod
    async def _attached(connection: Connection) -> dict[str, bool]:
        """The log's partitions, and whether each is being detached."""
        return dict(await _execute(connection, _ATTACHED))

    @staticmethod
    async def _detached(connection: Connection) -> set[str]:
        return {name for (name,) in await _execute(connection, _DETACHED)}


async def _execute(
    connection: Connection,
    statement: LiteralString | sql.Composed,
    parameters: Sequence[object] | Mapping[str, object] | None = None,
) -> list[tuple[Any, ...]]:
    """Execute a statement, within a bound though the server answers nothing; its rows, if it has any."""
    work = connection.execute(statement, parameters)
    cursor = await connections.limited(connection, work, _STATEMENT_SECONDS)
    return await cursor.fetchall() if cursor.description is not None else []


async def _in_transaction(connection: Connection, statements: Sequence[str]) -> None:
    async with connection.transaction():
        for statement in statements:
            await connection.execute(sql.SQL(statement))
