"""Several replicas of what is behind the event-service's gRPC, on one Postgres and one backplane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from harkara_event_service.adapters.credentials import utc_now
from harkara_event_service.adapters.local_backplane import LocalBackplane, LocalHub
from harkara_event_service.adapters.memory_devices import MemoryDevices
from harkara_event_service.adapters.postgres_log import PostgresLog, PostgresLogSettings
from harkara_event_service.domain.batches import BatchId
from harkara_event_service.domain.event import NumberedEvent, announced
from harkara_event_service.domain.registry import Registry
from harkara_event_service.metrics import BackplaneMetrics
from harkara_event_service.ports import Backplane, Topic
from harkara_event_service.service import Delivering, Devices, Hearing, OpenRequest
from tests.support.delivery import Opened, RecordedOutbox
from tests.support.events import MovableClock, make_event
from tests.support.logs import append, seqs
from tests.support.waiting import wait_until_async


class LossyHub(LocalHub):
    """Joins the backplanes of one process, and loses what it is told to lose.

    Attributes:
        loses: While True it seems to work, and nothing comes through.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loses = False

    def carry(self, sender: LocalBackplane, topic: Topic, message: bytes) -> None:
        """See `LocalHub`."""
        if not self.loses:
            super().carry(sender, topic, message)


class Replica:
    """A log, `Delivering` and `Hearing`, with one edge attached.

    Args:
        dsn: The database.
        metrics_registry: Where it counts.
        metrics: What it counts of the backplane.
        backplane: What joins it to the others.

    Attributes:
        outbox: What the edge is sent.
    """

    def __init__(
        self, dsn: str, metrics_registry: CollectorRegistry, metrics: BackplaneMetrics, backplane: Backplane
    ) -> None:
        self._metrics_registry = metrics_registry
        self.backplane = backplane
        self.log = PostgresLog(
            dsn,
            self._committed,
            clock=MovableClock(),
            registry=metrics_registry,
            settings=PostgresLogSettings(),
            batched=self._batched,
        )
        registry = Registry(max_sessions_per_user=20, size_of_catalogue=17)
        self.delivering = Delivering(self.log, registry, utc_now, Devices(MemoryDevices(), utc_now))
        self.hearing = Hearing(self.log, backplane, self.delivering, metrics)
        self.outbox = RecordedOutbox()
        self._edge = self.delivering.attach("edge-1", self.outbox)

    def _committed(self, events: Sequence[NumberedEvent]) -> None:
        self.delivering.announce(map(announced, events))

    def _batched(self, batch: BatchId, events: Sequence[NumberedEvent]) -> None:
        self.hearing.committed(batch, events)

    def counted(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self._metrics_registry.get_sample_value(f"harkara_event_service_{name}", labels) or 0.0

    @property
    def pages_read(self) -> float:
        """How many times pages of users' streams were read from the log."""
        return self.counted("log_read_seconds_count", kind="pages")

    async def emit(self, *user_ids: str, data: str = "{}") -> list[object]:
        """Store an event for each; their numbers."""
        return list(seqs(await append(self.log, *(make_event(user_id, data) for user_id in user_ids))))

    def ask_open(self, session: int, user_id: str) -> None:
        """Send an Open."""
        self.delivering.open(
            self._edge, [OpenRequest(session, 1, user_id, ("*",), None, must_continue=False, stopped=False)]
        )

    async def open(self, session: int, user_id: str) -> int:
        """Open a session at the end of the user's stream; where that is."""
        self.ask_open(session, user_id)

        def answers() -> list[Opened]:
            return [
                item for item in self.outbox.items if isinstance(item, Opened) and item.session == session
            ]

        await wait_until_async(lambda: bool(answers()))
        return answers()[0].seq

    async def got(self, session: int, seqs_wanted: Sequence[int]) -> None:
        """Wait until a session got exactly these."""
        await wait_until_async(lambda: len(self.outbox.seqs_of(session)) >= len(seqs_wanted))
        assert self.outbox.seqs_of(session) == list(seqs_wanted)


@asynccontextmanager
async def running_replica(dsn: str, hub: LocalHub) -> AsyncIterator[Replica]:
    """A replica that serves cursors; the test says when it looks for what it did not hear of."""
    registry = CollectorRegistry()
    metrics = BackplaneMetrics(registry)
    replica = Replica(dsn, registry, metrics, hub.backplane(metrics))
    await replica.log.open()
    running = asyncio.create_task(replica.delivering.run())
    try:
        yield replica
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await replica.delivering.close_all()
        await replica.log.close()
