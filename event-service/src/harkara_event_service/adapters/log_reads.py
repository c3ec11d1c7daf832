"""Reading the log: heads of many users in one statement, and pages of their streams.

What does not belong here: who reads what when (`domain/registry`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from time import perf_counter

from psycopg import AsyncRawCursor

from harkara_event_service.adapters import log_statements, wire_arrays
from harkara_event_service.adapters.connections import Connection, ReadConnections
from harkara_event_service.adapters.log_metrics import LogMetrics
from harkara_event_service.domain.batches import BatchId, CommitBatch
from harkara_event_service.domain.event import NumberedEvent
from harkara_event_service.ports import BatchPage, Head, Heads, LogUnavailableError

HEADS_AT_ONCE = 5_000
"""The most users whose heads one statement reads."""

HEAD_READS_AT_ONCE = 2
BATCHES_OF_A_WRITER = 100
"""The most commits of one writer that one statement reads."""

_ROWS_IN_ONE_GO = 100
_NO_EVENTS = Head(0, 0)


class _Round:
    """Callers that arrived together and are answered by one statement."""

    def __init__(self, answer: asyncio.Future[Heads]) -> None:
        self.user_ids: set[str] = set()
        self.answer = answer


class LogReads:
    """Reads on the read connections.

    Args:
        connections: these.
        metrics: where it counts.
    """

    def __init__(self, connections: ReadConnections, metrics: LogMetrics) -> None:
        self._connections = connections
        self._seconds_of_heads = metrics.read_seconds.labels("heads")
        self._seconds_of_batches = metrics.read_seconds.labels("batches")
        self._seconds_of_pages = metrics.read_seconds.labels("pages")
        self._open_round: _Round | None = None
        self._room = asyncio.Semaphore(HEAD_READS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def heads(self, user_ids: Sequence[str]) -> Heads:
        """See `EventLog.heads`. Calls that come before a statement is sent share it."""
        while True:
            parts = [
                await asyncio.shield(self._join(user_ids[start : start + HEADS_AT_ONCE]).answer)
                for start in range(0, max(1, len(user_ids)), HEADS_AT_ONCE)
            ]
            # A new epoch between two parts: heads of two lives of the log must not be mixed.
            if len({part.epoch for part in parts}) == 1:
                break
        by_user = (
            parts[0].by_user if len(parts) == 1 else {k: v for part in parts for k, v in part.by_user.items()}
        )
        return Heads(parts[0].epoch, {user_id: by_user.get(user_id, _NO_EVENTS) for user_id in user_ids})

    def _join(self, user_ids: Sequence[str]) -> _Round:
        current = self._open_round
        if current is None or len(current.user_ids) + len(user_ids) > HEADS_AT_ONCE:
            loop = asyncio.get_running_loop()
            current = self._open_round = _Round(loop.create_future())
            task = loop.create_task(self._run(current))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        current.user_ids.update(user_ids)
        return current

    async def _run(self, current: _Round) -> None:
        started = perf_counter()
        async with self._room:
            try:
                heads = await self._connections.run(lambda connection: self._read_heads(connection, current))
            except LogUnavailableError as error:
                current.answer.set_exception(error)
                # Seen, if everybody who waited was cancelled.
                current.answer.exception()
            else:
                current.answer.set_result(heads)
                self._seconds_of_heads.observe(perf_counter() - started)
            finally:
                self._close(current)
                current.answer.cancel()

    def _close(self, current: _Round) -> None:
        if self._open_round is current:
            self._open_round = None

    async def _read_heads(self, connection: Connection, current: _Round) -> Heads:
        # From here on the statement is on its way: who comes now must not get an answer from before.
        self._close(current)
        cursor = AsyncRawCursor(connection)
        users = wire_arrays.text_array(list(current.user_ids))
        await cursor.execute(log_statements.HEADS, (users,), prepare=True)
        row = await cursor.fetchone()
        if row is None:
            raise RuntimeError("a statement that answers one row answered none")
        epoch, user_ids, last_seqs, floor_seqs = row
        return Heads(
            epoch,
            {
                user_id: Head(last_seq, floor_seq)
                for user_id, last_seq, floor_seq in zip(
                    user_ids or (), last_seqs or (), floor_seqs or (), strict=True
                )
            },
        )

    async def highest_batches(self) -> tuple[str, Sequence[int]]:
        """See `BatchLog.highest_batches`."""
        return await self._connections.run(self._read_highest_batches)

    @staticmethod
    async def _read_highest_batches(connection: Connection) -> tuple[str, Sequence[int]]:
        cursor = AsyncRawCursor(connection)
        await cursor.execute(log_statements.HIGHEST_BATCHES, prepare=True)
        row = await cursor.fetchone()
        if row is None:
            raise RuntimeError("a statement that answers one row answered none")
        epoch, numbers = row
        return epoch, numbers

    async def batches(self, after: Sequence[int], *, settled_seconds: float) -> BatchPage:
        """See `BatchLog.batches`."""
        started = perf_counter()
        page = await self._connections.run(
            lambda connection: self._read_batches(connection, after, settled_seconds)
        )
        self._seconds_of_batches.observe(perf_counter() - started)
        return page

    @staticmethod
    async def _read_batches(
        connection: Connection, after: Sequence[int], settled_seconds: float
    ) -> BatchPage:
        cursor = AsyncRawCursor(connection)
        await cursor.execute(
            log_statements.BATCHES,
            (wire_arrays.int8_array(after), settled_seconds, BATCHES_OF_A_WRITER),
            prepare=True,
            binary=True,
        )
        rows = await cursor.fetchall()
        batches = [
            CommitBatch(BatchId(writer, number), users, last_seqs)
            for _, writer, number, users, last_seqs in rows
            if writer is not None
        ]
        most = max(Counter([batch.id.writer for batch in batches]).values(), default=0)
        # log_epoch has one row, so there is at least one.
        return BatchPage(rows[0][0], batches, is_all=most < BATCHES_OF_A_WRITER)

    async def read(
        self, positions: Mapping[str, int], limit: int, max_bytes: int
    ) -> Mapping[str, Sequence[NumberedEvent]]:
        """See `EventLog.read`."""
        started = perf_counter()
        pages: dict[str, list[NumberedEvent]] = {user_id: [] for user_id in positions}
        rows = await self._connections.run(
            lambda connection: self._read_pages(connection, positions, limit, max_bytes)
        )
        for numbered in rows:
            pages[numbered.event.user_id].append(numbered)
        self._seconds_of_pages.observe(perf_counter() - started)
        return pages

    @staticmethod
    async def _read_pages(
        connection: Connection, positions: Mapping[str, int], limit: int, max_bytes: int
    ) -> list[NumberedEvent]:
        cursor = AsyncRawCursor(connection)
        await cursor.execute(
            log_statements.READ,
            (
                wire_arrays.text_array(list(positions)),
                wire_arrays.int8_array(list(positions.values())),
                limit,
                max_bytes,
            ),
            prepare=True,
            binary=True,
        )
        events: list[NumberedEvent] = []
        while rows := await cursor.fetchmany(_ROWS_IN_ONE_GO):
            events += [log_statements.numbered(row) for row in rows]
            # Thousands of rows hold the loop for long: let others in between.
            await asyncio.sleep(0)
        return events
