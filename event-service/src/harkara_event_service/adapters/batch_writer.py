"""Writes one batch after another to Postgres, whatever happens on the way.

A batch is one part to begin with. A part is stored in one statement; where that fails, the error
says what to do with the part (`sqlstates`), and this goes on until every event has its outcome:

    TAKEN         the part becomes *careful*: lock its users, look up its ids, store the rest
    GUILTY        halve it, until the guilty event stands alone and is refused
    NO_PARTITION  make the partition, the same again
    AGAIN         the same again, after a pause
    OVERLOADED    fail it and what follows
    LOST          connect again; if a commit was sent, its outcome is *unknown*: careful from now on
    UNEXPECTED    connect again, the same again, after a pause

Why careful settles an unknown outcome: the lost transaction holds the users' locks until it has
ended. Either we wait for it and then see what it did; or its message had not been read yet, and when
it is, its ids are taken and it stores nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import psycopg
import structlog
from psycopg.pq import TransactionStatus

from harkara_event_service.adapters import log_statements
from harkara_event_service.adapters.batch import Batch
from harkara_event_service.adapters.connections import Connection, WriterConnection, limited
from harkara_event_service.adapters.log_metrics import LogMetrics
from harkara_event_service.adapters.sqlstates import Verdict, judge, told
from harkara_event_service.domain.batches import BatchId
from harkara_event_service.domain.event import NumberedEvent
from harkara_event_service.ports import Batched, Committed, Failure, Refusal
from harkara_servicekit import failpoints

_log = structlog.get_logger()

PAUSE_SECONDS = (0.01, 0.5)
"""The first pause before the same is tried again, and the longest; full jitter."""

MakePartitions = Callable[[Sequence[str]], Awaitable[bool]]
"""Makes the partitions that these event ids lack; whether it made any. Raises psycopg.Error."""


@dataclass(slots=True)
class _Part:
    """Events of a batch that are to be stored together.

    Args:
        indexes: which, in order.
        is_careful: whether some may be in the log already.
        is_unknown: whether an attempt ended without an answer.
    """

    indexes: list[int]
    is_careful: bool = False
    is_unknown: bool = False


class BatchWriter:
    """One lane's writer.

    Args:
        connection: its own.
        committed: is told of every commit.
        make_partitions: see `MakePartitions`.
        metrics: where it counts.
        batched: is told of commits instead, where the connection numbers them; duplicates are told to
            `committed` all the same.
    """

    def __init__(
        self,
        connection: WriterConnection,
        committed: Committed,
        make_partitions: MakePartitions,
        metrics: LogMetrics,
        batched: Batched | None = None,
    ) -> None:
        self._connection = connection
        self._committed = committed
        self._batched = batched
        self._make_partitions = make_partitions
        self._metrics = metrics
        self._parts: list[_Part] = []
        self._pause = PAUSE_SECONDS[0]
        self._commit_was_sent = False

    @property
    def is_up(self) -> bool:
        """Whether it has a connection, as far as is known."""
        return self._connection.is_up

    async def ready(self) -> None:
        """Wait until there is a connection."""
        await self._connection.acquire()

    async def check(self) -> None:
        """Look whether the connection is alive."""
        await self._connection.check()

    async def write(self, batch: Batch) -> None:
        """Return when every event of `batch` has its outcome and what was committed is announced.

        Cancelled: some events may have no outcome.
        """
        try:
            await self._write(batch)
        except BaseException:
            # In the middle of who knows what: its server must not take it for the next batch's.
            await self._connection.drop()
            raise

    async def _write(self, batch: Batch) -> None:
        loop = asyncio.get_running_loop()
        self._parts = [_Part(batch.firsts(), is_careful=bool(batch.lookups))]
        self._pause = PAUSE_SECONDS[0]
        while self._parts:
            connection = await self._connection.acquire()
            part = self._parts.pop()
            part.indexes = batch.expire(part.indexes, loop.time(), may_be_stored=part.is_unknown)
            if not part.indexes:
                continue
            if part.is_unknown or (batch.lookups and not batch.lookups.isdisjoint(part.indexes)):
                part.is_careful = True
            self._commit_was_sent = False
            attempt = self._store_carefully if part.is_careful else self._store
            try:
                await limited(connection, attempt(connection, batch, part))
            except psycopg.Error as error:
                await self._clean(connection)
                await self._handle(error, batch, part)
            except UnicodeEncodeError:
                # A lone surrogate: Postgres would refuse it, could it be sent.
                await self._clean(connection)
                self._find_guilty(batch, part)
            else:
                self._pause = PAUSE_SECONDS[0]

    async def _store(self, connection: Connection, batch: Batch, part: _Part) -> None:
        started = perf_counter()
        self._commit_was_sent = True
        number = self._next_number()
        seqs = await log_statements.store(
            connection, [batch.events[index] for index in part.indexes], self._connection.slot, number
        )
        self._connection.batch_no = number
        self._announce(batch.stored(part.indexes, seqs), number)
        self._metrics.stored(len(part.indexes), perf_counter() - started)

    async def _store_carefully(self, connection: Connection, batch: Batch, part: _Part) -> None:
        """Find what is in the log already, under the locks of those who could be adding to it."""
        started = perf_counter()
        events = batch.events
        await connection.execute("BEGIN")
        await log_statements.lock_users(connection, sorted({events[index].user_id for index in part.indexes}))
        found = {
            there.event.event_id: there
            for there in await log_statements.find(
                connection, [events[index].event_id for index in part.indexes]
            )
        }
        fresh = [
            index
            for index in part.indexes
            if events[index].event_id not in found and index not in batch.lookups
        ]
        seqs: dict[str, int] = {}
        number = None
        if fresh:
            number = self._next_number()
            seqs = await log_statements.store(
                connection, [events[index] for index in fresh], self._connection.slot, number
            )
            failpoints.hit("event-service.in-transaction")
            self._commit_was_sent = True
            await connection.execute("COMMIT")
            self._connection.batch_no = number
        else:
            await connection.execute("ROLLBACK")
        self._settle(batch, part, found, seqs, number)
        if fresh:
            self._metrics.stored(len(fresh), perf_counter() - started)

    def _next_number(self) -> int | None:
        last = self._connection.batch_no
        return None if last is None else last + 1

    def _settle(
        self,
        batch: Batch,
        part: _Part,
        found: dict[str, NumberedEvent],
        seqs: dict[str, int],
        number: int | None,
    ) -> None:
        now = asyncio.get_running_loop().time()
        heirs: list[int] = []
        duplicates: list[NumberedEvent] = []
        for index in part.indexes:
            event_id = batch.events[index].event_id
            there = found.get(event_id)
            heir = None
            if there is not None:
                heir = batch.found(index, there)
                duplicates.append(there)
            elif event_id not in seqs:
                heir = batch.not_found(index, now)
            if heir is not None:
                heirs.append(heir)
        self._metrics.duplicates.inc(len(duplicates))
        if duplicates:
            # Of another commit, which may have been this writer's under another lease: no part of this one.
            self._announce(duplicates, None)
        if seqs:
            stored = batch.stored(
                [index for index in part.indexes if batch.events[index].event_id in seqs], seqs
            )
            self._announce(stored, number)
        if heirs:
            self._parts.append(_Part(heirs, is_careful=True))

    def _announce(self, events: Sequence[NumberedEvent], number: int | None) -> None:
        failpoints.hit("event-service.after-commit")
        try:
            if number is None or self._batched is None:
                self._committed(events)
            else:
                self._batched(BatchId(self._connection.slot, number), events)
        except Exception:  # noqa: BLE001 - whatever it is.
            # It must not; but what is committed stays so, and the next batch must be written.
            _log.exception("log_listener_failed", events=len(events))

    async def _handle(self, error: psycopg.Error, batch: Batch, part: _Part) -> None:
        verdict = judge(error)
        self._metrics.trouble(verdict)
        if verdict is Verdict.TAKEN:
            self._parts.append(part)
            if part.is_careful:
                # Somebody stored one of the ids for another user, whose stream we had not locked.
                await self._rest()
            part.is_careful = True
        elif verdict is Verdict.GUILTY:
            self._find_guilty(batch, part)
        elif verdict is Verdict.NO_PARTITION:
            await self._handle_no_partition(batch, part)
        elif verdict is Verdict.OVERLOADED and not part.is_unknown:
            self._parts.append(part)
            self._turn_away(batch)
        elif verdict is Verdict.LOST:
            _log.warning("log_writer_lost", error=told(error), unknown=self._commit_was_sent)
            await self._connection.drop()
            part.is_unknown = part.is_unknown or self._commit_was_sent
            self._parts.append(part)
            await self._rest()
        else:
            self._parts.append(part)
            if verdict is Verdict.UNEXPECTED:
                _log.error("log_write_failed", sqlstate=error.sqlstate, error=told(error))
                await self._connection.drop()
            await self._rest()

    async def _handle_no_partition(self, batch: Batch, part: _Part) -> None:
        try:
            made = await self._make_partitions([batch.events[index].event_id for index in part.indexes])
        except psycopg.Error as error:
            _log.warning("log_partition_not_made", error=told(error))
            self._parts.append(part)
            await self._rest()
            return
        if made:
            self._parts.append(part)
        else:
            self._find_guilty(batch, part)

    def _find_guilty(self, batch: Batch, part: _Part) -> None:
        """Halve it; the first half is tried first, so that users keep their order."""
        indexes = part.indexes
        if len(indexes) == 1:
            event = batch.events[indexes[0]]
            _log.warning("event_refused_by_database", event_id=event.event_id, source=event.source)
            heir = batch.refuse(indexes[0], Refusal.UNSTORABLE)
            if heir is not None:
                self._parts.append(_Part([heir]))
            return
        middle = len(indexes) // 2
        for half in (indexes[middle:], indexes[:middle]):
            self._parts.append(_Part(half, is_careful=part.is_careful, is_unknown=part.is_unknown))

    def _turn_away(self, batch: Batch) -> None:
        """Fail all that is left, but for what may be stored: that one must know."""
        left, self._parts = self._parts, []
        for part in left:
            if part.is_unknown:
                self._parts.append(part)
                continue
            for first in part.indexes:
                index: int | None = first
                while index is not None:
                    index = batch.refuse(index, Failure.OVERLOADED)

    async def _rest(self) -> None:
        await asyncio.sleep(random.uniform(0, self._pause))  # noqa: S311 - jitter, not a secret.
        self._pause = min(2 * self._pause, PAUSE_SECONDS[1])

    async def _clean(self, connection: Connection) -> None:
        """End a transaction that failed; a connection on which that fails too is dropped."""
        if connection.closed:
            return
        if connection.info.transaction_status == TransactionStatus.IDLE:
            return
        try:
            await limited(connection, connection.execute("ROLLBACK"))
        except psycopg.Error:
            await self._connection.drop()
