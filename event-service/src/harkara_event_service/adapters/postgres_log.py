"""The event log in Postgres: what `ports.EventLog` promises, put together from its parts.

append   group_commit → batch_writer → log_statements, one connection for each lane
heads, read   log_reads, on connections of their own, so that no flood of reads delays a write
batches  log_reads likewise; batch_keeper drops them
partitions   partition_keeper
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg
import structlog
from prometheus_client import CollectorRegistry

from harkara_event_service.adapters import sqlstates
from harkara_event_service.adapters.batch_keeper import BatchKeeper
from harkara_event_service.adapters.batch_writer import BatchWriter
from harkara_event_service.adapters.connections import (
    BACKOFF_SECONDS,
    CONNECT_SECONDS,
    ReadConnections,
    WriterConnection,
)
from harkara_event_service.adapters.group_commit import GroupCommit, QueueLimits
from harkara_event_service.adapters.log_metrics import LogMetrics
from harkara_event_service.adapters.log_reads import LogReads
from harkara_event_service.adapters.partition_keeper import LATE_IDS, PartitionKeeper
from harkara_event_service.domain.event import Event, NumberedEvent
from harkara_event_service.ports import PAGE_BYTES, Batched, BatchPage, Chain, Committed, Heads, Outcome
from harkara_schema.errors import SchemaVersionError
from harkara_schema.partitions import event_id_floor, to_ms
from harkara_schema.version import require_current_async

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PostgresLogSettings:
    """How the log is run.

    Args:
        retention: how long events are kept at least.
        lanes: how many transactions are written side by side, each on a connection of its own.
        read_connections: how many reads run side by side.
        drain_seconds: how long `close` goes on writing what was accepted.
        queue: how much may be under way.
    """

    retention: timedelta = timedelta(days=30)
    lanes: int = 1
    read_connections: int = 4
    drain_seconds: float = 3.0
    queue: QueueLimits = field(default_factory=QueueLimits)


class PostgresLog:
    """An `EventLog` in Postgres: `open` it, use it, `close` it.

    Args:
        dsn: a libpq URL of a login that is a member of `harkara_event_service`.
        committed: see `EventLog.append`.
        clock: the time now, UTC; old ids and partitions go by it.
        registry: where its metrics are registered.
        settings: see there.
        batched: see `Batched`; None where there are no other replicas, and no batches are kept.
    """

    def __init__(  # noqa: PLR0913 - it puts the log together, and all of it is required.
        self,
        dsn: str,
        committed: Committed,
        *,
        clock: Callable[[], datetime],
        registry: CollectorRegistry,
        settings: PostgresLogSettings,
        batched: Batched | None = None,
    ) -> None:
        metrics = LogMetrics(registry)
        self._dsn = dsn
        self._clock = clock
        self._settings = settings
        self._keeper = PartitionKeeper(dsn, clock, settings.retention, metrics)
        self._connections = [
            WriterConnection(
                dsn,
                f"harkara-log-writer-{lane}",
                metrics.writers_up.inc,
                keeps_batches=batched is not None,
            )
            for lane in range(settings.lanes)
        ]
        self._commit = GroupCommit(
            [
                BatchWriter(connection, committed, self._keeper.make_for, metrics, batched)
                for connection in self._connections
            ],
            settings.queue,
            metrics,
        )
        self._read_connections = ReadConnections(dsn, settings.read_connections)
        self._reads = LogReads(self._read_connections, metrics)
        self._batch_keeper = None if batched is None else BatchKeeper(dsn, metrics)
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Check the tables, see to the partitions, connect, and begin to write.

        Where Postgres is away, all that is done once it is there; `healthy` says when.

        Raises:
            harkara_schema.errors.SchemaVersionError: the database needs a migration first.
        """
        try:
            await require_current_async(self._dsn)
        except psycopg.Error as error:
            _log.warning("log_away", error=sqlstates.told(error))
            work = self._begin_later()
        else:
            work = self._keeper.run(await self._begin())
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(work)]
        if self._batch_keeper is not None:
            self._tasks.append(loop.create_task(self._batch_keeper.run()))

    async def _begin(self) -> float:
        """Begin to write; returns in how many seconds the partitions are to be tended next."""
        next_round = await self._keeper.tend_or_wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * CONNECT_SECONDS):
                for connection in self._connections:
                    await connection.acquire()
        # A lane that has no connection yet goes on trying.
        self._commit.start()
        return next_round

    async def _begin_later(self) -> None:
        """Wait for Postgres, begin, and keep the partitions; until cancelled."""
        pause, longest = BACKOFF_SECONDS
        is_old = False
        while True:
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret.
            pause = min(2 * pause, longest)
            try:
                await require_current_async(self._dsn)
                next_round = await self._begin()
            except psycopg.Error:
                continue
            except SchemaVersionError as error:
                # Too late to refuse the start; the migration may be under way.
                if not is_old:
                    _log.error("log_not_migrated", reason=str(error))
                is_old = True
            except Exception:  # noqa: BLE001 - whatever it is, the next try may succeed.
                _log.exception("log_not_begun")
            else:
                break
        await self._keeper.run(next_round)

    async def close(self) -> None:
        """Take no more appends, write what was accepted while there is time, and let go of everything."""
        for task in self._tasks:
            task.cancel()
        await self._commit.drain(self._settings.drain_seconds)
        for connection in self._connections:
            await connection.close_soon()
        await self._commit.stop()
        for connection in self._connections:
            await connection.drop()
        await self._read_connections.close()
        # Last: one whose server has frozen ends when its statement is cut.
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def healthy(self) -> bool:
        """Whether every lane can write now, as far as is known; an idle one asks each second."""
        return all(connection.is_up for connection in self._connections)

    async def append(
        self, events: Sequence[Event], *, deadline: float, chain: Chain | None = None
    ) -> Sequence[Outcome]:
        """See `EventLog.append`."""
        oldest = event_id_floor(to_ms(self._clock() - LATE_IDS))
        lookups = {index for index, event in enumerate(events) if event.event_id < oldest}
        return await self._commit.append(events, lookups, deadline=deadline, chain=chain)

    async def heads(self, user_ids: Sequence[str]) -> Heads:
        """See `EventLog.heads`."""
        return await self._reads.heads(user_ids)

    async def read(
        self, positions: Mapping[str, int], limit: int, max_bytes: int = PAGE_BYTES
    ) -> Mapping[str, Sequence[NumberedEvent]]:
        """See `EventLog.read`."""
        return await self._reads.read(positions, limit, max_bytes)

    async def highest_batches(self) -> tuple[str, Sequence[int]]:
        """See `BatchLog.highest_batches`."""
        return await self._reads.highest_batches()

    async def batches(self, after: Sequence[int], *, settled_seconds: float) -> BatchPage:
        """See `BatchLog.batches`."""
        return await self._reads.batches(after, settled_seconds=settled_seconds)
