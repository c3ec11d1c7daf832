"""The event log in Postgres: what `ports.EventLog` promises, put together from its parts.

append   group_commit → batch_writer → log_statements, one connection for each lane
heads, read   log_reads, on connections of their own, so that no flood of reads delays a write
partitions   partition_keeper
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry

from harkara_event_service.adapters.batch_writer import BatchWriter
from harkara_event_service.adapters.connections import ReadConnections, WriterConnection
from harkara_event_service.adapters.group_commit import GroupCommit, QueueLimits
from harkara_event_service.adapters.log_metrics import LogMetrics
from harkara_event_service.adapters.log_reads import LogReads
from harkara_event_service.adapters.partition_keeper import LATE_IDS, PartitionKeeper
from harkara_event_service.domain.event import Event, NumberedEvent
from harkara_event_service.ports import PAGE_BYTES, Chain, Committed, Heads, Outcome
from harkara_schema.partitions import event_id_floor, to_ms
from harkara_schema.version import require_current_async


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
    """

    def __init__(
        self,
        dsn: str,
        committed: Committed,
        *,
        clock: Callable[[], datetime],
        registry: CollectorRegistry,
        settings: PostgresLogSettings,
    ) -> None:
        metrics = LogMetrics(registry)
        self._dsn = dsn
        self._clock = clock
        self._settings = settings
        self._keeper = PartitionKeeper(dsn, clock, settings.retention, metrics)
        self._connections = [
            WriterConnection(dsn, f"harkara-log-writer-{lane}", metrics.writers_up.inc)
            for lane in range(settings.lanes)
        ]
        self._commit = GroupCommit(
            [
                BatchWriter(connection, committed, self._keeper.make_for, metrics)
                for connection in self._connections
            ],
            settings.queue,
            metrics,
        )
        self._read_connections = ReadConnections(dsn, settings.read_connections)
        self._reads = LogReads(self._read_connections, metrics)
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Check the tables, see to the partitions, connect, and begin to write.

        Raises:
            harkara_schema.errors.SchemaVersionError: the database needs a migration first.
            psycopg.Error: the database cannot be reached.
        """
        await require_current_async(self._dsn)
        next_round = await self._keeper.tend_or_wait()
        for connection in self._connections:
            await connection.acquire()
        self._commit.start()
        self._tasks = [asyncio.get_running_loop().create_task(self._keeper.run(next_round))]

    async def close(self) -> None:
        """Take no more appends, write what was accepted while there is time, and let go of everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._commit.drain(self._settings.drain_seconds)
        for connection in self._connections:
            connection.cut()
        await self._commit.stop()
        for connection in self._connections:
            await connection.drop()
        await self._read_connections.close()

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
