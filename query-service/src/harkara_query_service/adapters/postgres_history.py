"""The stored events in Postgres, read only.

Each question is one statement in a read-only transaction of its own: it sees one snapshot and holds
nothing between questions. Nobody waits without end: for a connection at most `pool_wait_seconds`, for a
statement at most `statement_seconds`, and for both together at most a second more, should Postgres be
frozen so that its own timeout does not fire. Cancelling a statement of such a server takes psycopg up to
10 s: a question whose time is up is answered at once, and its connection ends by itself.

What does not belong here: who may ask, what a page is.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import psycopg
from sqlalchemy import (
    BigInteger,
    Row,
    Select,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import col

from harkara_query_service.domain.counts import DayCount
from harkara_query_service.domain.delivery import Delivery, DeviceProgress
from harkara_query_service.domain.errors import OverloadedError, UnavailableError
from harkara_query_service.domain.events import StoredEvent
from harkara_query_service.domain.paging import HistoryPage
from harkara_query_service.domain.parameters import MAX_INTEGER
from harkara_query_service.domain.windows import CriticalWindow
from harkara_schema import connections
from harkara_schema.tables import DeviceCursor, EventCount, EventLog, LogEpoch

POSTGRES = "postgres"
"""Its name in logs and metrics."""

Question = Select[*tuple[Any, ...]]

# In the order of StoredEvent's fields.
_COLUMNS: tuple[Any, ...] = tuple(getattr(EventLog, name) for name in StoredEvent._fields)

FIND: Question = select(*_COLUMNS).where(col(EventLog.event_id) == bindparam("event_id"))
FIND_OWN: Question = FIND.where(col(EventLog.user_id) == bindparam("owner"))

_DELIVERY_COLUMNS: tuple[Any, ...] = (
    EventLog.event_id,
    EventLog.user_id,
    EventLog.seq,
    EventLog.timestamp,
    EventLog.created_at,
    EventLog.expires_at,
    EventLog.collapse_key,
    DeviceCursor.device_id,
    DeviceCursor.acked_seq,
    DeviceCursor.updated_at,
)
# One row, or one for each device that has acknowledged in this life of the log: a number of another life
# names other events.
DELIVERY: Question = (
    select(*_DELIVERY_COLUMNS)
    .select_from(EventLog)
    .outerjoin(
        DeviceCursor,
        (col(DeviceCursor.user_id) == col(EventLog.user_id))
        & (col(DeviceCursor.epoch) == select(col(LogEpoch.epoch)).scalar_subquery()),
    )
    .where(col(EventLog.event_id) == bindparam("event_id"))
    .order_by(col(DeviceCursor.device_id))
)
DELIVERY_OF_OWN: Question = DELIVERY.where(col(EventLog.user_id) == bindparam("owner"))

# A merge of the partitions' (user_id, seq) indexes: it reads the page and what is skipped, no more.
PAGE: Question = (
    select(*_COLUMNS)
    .where(col(EventLog.user_id) == bindparam("user_id"), col(EventLog.seq) < bindparam("before_seq"))
    .order_by(col(EventLog.seq).desc())
    .limit(bindparam("limit", type_=BigInteger))
    .offset(bindparam("skip", type_=BigInteger))
)
PAGE_OF_TYPE: Question = PAGE.where(col(EventLog.event_type) == bindparam("event_type"))

_IN_WINDOW = (
    # Spelt out, not bound: the index holds critical rows only, and a prepared plan, which knows no
    # values, could not use it.
    col(EventLog.event_level) == literal_column("'critical'"),
    col(EventLog.created_at) >= bindparam("since"),
)
# The count stands in each row, so that it is of the same snapshot. No rows, then: no count either, but 0.
CRITICAL: Question = (
    select(select(func.count()).select_from(EventLog).where(*_IN_WINDOW).scalar_subquery(), *_COLUMNS)
    .where(*_IN_WINDOW)
    # seq, because of one user's events of one moment the later is the newer (G4); the id makes it total.
    .order_by(col(EventLog.created_at).desc(), col(EventLog.seq).desc(), col(EventLog.event_id).desc())
    .limit(bindparam("limit", type_=BigInteger))
)

_KIND: tuple[Any, ...] = (EventCount.event_type, EventCount.source, EventCount.event_level)
DAY_COUNTS: Question = (
    select(
        *_KIND,
        # sum() of bigint is numeric.
        cast(func.sum(EventCount.events), BigInteger),
    )
    .where(col(EventCount.day) == bindparam("day"))
    .group_by(*_KIND)
)

PROBES: tuple[Question, ...] = (
    select(*_COLUMNS).limit(0),
    select(*_KIND).limit(0),
    select(col(DeviceCursor.acked_seq)).limit(0),
)
"""They find out whether Postgres answers, has the tables, and lets us read them."""


def open_engine(
    dsn: str, *, pool_size: int, pool_wait_seconds: float, statement_seconds: float
) -> AsyncEngine:
    """A pool of read-only connections; none is opened before the first question.

    Args:
        dsn: A libpq URL, `postgresql://user:password@host:port/db`.
        pool_size: How many connections at most.
        pool_wait_seconds: How long a question may wait for one.
        statement_seconds: How long a statement may take.
    """
    session = {
        "default_transaction_read_only": "on",
        "statement_timeout": str(round(statement_seconds * 1000)),
        "timezone": "UTC",
        # So that the server lets go of what a vanished machine held.
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
    }

    async def connect() -> psycopg.AsyncConnection:
        # By libpq itself, not taken apart by SQLAlchemy: whatever libpq takes for a URL is one.
        return await connections.connect(
            dsn,
            options=" ".join(f"-c {name}={value}" for name, value in session.items()),
            application_name="harkara-query-service",
            client_encoding="UTF8",
            # Whole seconds, at least 2.
            connect_timeout=2,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=5000,
        )

    return create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        # One statement is a transaction of its own: no BEGIN and COMMIT to wait for.
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_wait_seconds,
        # The connection used last first: few stay warm where few are needed.
        pool_use_lifo=True,
        # An exception's text shall not show whose events were asked for.
        hide_parameters=True,
    )


class PostgresHistory:
    """`EventHistory` on the tables of `harkara_schema`.

    Args:
        engine: From `open_engine`; closed by `close`.
        deadline_seconds: After how long a question is given up, whatever it waits for.
    """

    def __init__(self, engine: AsyncEngine, *, deadline_seconds: float) -> None:
        self._engine = engine
        self._deadline = deadline_seconds
        self._asked: set[asyncio.Task[Sequence[Row[*tuple[Any, ...]]]]] = set()

    async def find(self, event_id: str, owner: str | None) -> StoredEvent | None:
        """See `EventHistory.find`."""
        if owner is None:
            rows = await self._ask(FIND, {"event_id": event_id})
        else:
            rows = await self._ask(FIND_OWN, {"event_id": event_id, "owner": owner})
        return StoredEvent._make(rows[0]) if rows else None

    async def delivery(self, event_id: str, owner: str | None) -> Delivery | None:
        """See `EventHistory.delivery`."""
        if owner is None:
            rows = await self._ask(DELIVERY, {"event_id": event_id})
        else:
            rows = await self._ask(DELIVERY_OF_OWN, {"event_id": event_id, "owner": owner})
        if not rows:
            return None
        first = rows[0]
        return Delivery(
            event_id=first.event_id,
            user_id=first.user_id,
            seq=first.seq,
            timestamp=first.timestamp,
            created_at=first.created_at,
            expires_at=first.expires_at,
            collapse_key=first.collapse_key,
            devices=[
                DeviceProgress(row.device_id, row.acked_seq, row.updated_at)
                for row in rows
                if row.device_id is not None
            ],
        )

    async def page(self, user_id: str, page: HistoryPage) -> Sequence[StoredEvent]:
        """See `EventHistory.page`."""
        bound = {
            "user_id": user_id,
            "before_seq": MAX_INTEGER if page.before_seq is None else page.before_seq,
            "limit": page.limit,
            "skip": page.skip,
        }
        if page.event_type is None:
            rows = await self._ask(PAGE, bound)
        else:
            rows = await self._ask(PAGE_OF_TYPE, {**bound, "event_type": page.event_type})
        return [StoredEvent._make(row) for row in rows]

    async def critical(self, window: CriticalWindow) -> tuple[int, Sequence[StoredEvent]]:
        """See `EventHistory.critical`."""
        rows = await self._ask(CRITICAL, {"since": window.since, "limit": window.limit})
        if not rows:
            return 0, []
        return rows[0][0], [StoredEvent._make(row[1:]) for row in rows]

    async def day_counts(self, day: date) -> Sequence[DayCount]:
        """See `EventHistory.day_counts`."""
        return [DayCount(*row) for row in await self._ask(DAY_COUNTS, {"day": day})]

    async def probe(self) -> None:
        """Return where questions can be answered.

        Raises:
            UnavailableError: Postgres does not answer.
            DBAPIError: it does, but has not the tables, or not for us.
        """
        for probe in PROBES:
            await self._ask(probe, {})

    async def close(self) -> None:
        """Give up what is still being asked, and close the connections."""
        for task in self._asked:
            task.cancel()
        if self._asked:
            await asyncio.wait(self._asked, timeout=self._deadline)
        await self._engine.dispose()

    async def _ask(
        self, question: Question, parameters: Mapping[str, object]
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Ask, and give up at the deadline or when cancelled, without waiting for the connection's end."""
        task = asyncio.create_task(self._ask_twice(question, parameters))
        self._asked.add(task)
        task.add_done_callback(self._forget)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._deadline)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            raise UnavailableError(POSTGRES)
        return task.result()

    def _forget(self, task: asyncio.Task[Sequence[Row[*tuple[Any, ...]]]]) -> None:
        self._asked.discard(task)
        if not task.cancelled():
            task.exception()  # Nobody may be left to be told.

    async def _ask_twice(
        self, question: Question, parameters: Mapping[str, object]
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Ask; where the connection proves dead, once more.

        A restart of Postgres leaves a pool full of dead connections. The first that is noticed has the
        pool open all of them anew, and reading twice does no harm: cheaper than a ping before each question.
        """
        try:
            try:
                return await self._ask_once(question, parameters)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            return await self._ask_once(question, parameters)
        except PoolTimeoutError as error:
            raise OverloadedError(POSTGRES) from error
        except (OperationalError, InterfaceError) as error:
            # Refused, lost, starting up, out of connections, or past its statement_timeout.
            raise UnavailableError(POSTGRES) from error

    async def _ask_once(
        self, question: Question, parameters: Mapping[str, object]
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        async with self._engine.connect() as connection:
            return (await connection.execute(question, parameters)).all()
