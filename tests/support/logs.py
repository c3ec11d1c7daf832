"""Event logs for tests: opened on a test's database, and closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from harkara_event_service.adapters.postgres_log import PostgresLog, PostgresLogSettings
from harkara_event_service.domain.batches import BatchId
from harkara_event_service.domain.event import Event, NumberedEvent
from harkara_event_service.ports import Chain, EventLog, Outcome, Stored
from tests.support.events import MovableClock

SOON = 20.0
"""Seconds after which an append that should end by itself has failed."""


async def append(
    log: EventLog, *events: Event, chain: Chain | None = None, seconds: float = SOON
) -> list[Outcome]:
    """Append with a deadline `seconds` from now."""
    deadline = asyncio.get_running_loop().time() + seconds
    return list(await log.append(events, deadline=deadline, chain=chain))


def seqs(outcomes: Sequence[Outcome]) -> list[int | Outcome]:
    """The numbers of those that are stored; the outcome where one is not."""
    return [outcome.seq if isinstance(outcome, Stored) else outcome for outcome in outcomes]


class RecordedLog(PostgresLog):
    """A Postgres log that keeps what it announced.

    Attributes:
        announced: all of it, in order.
        batched: which of it was a commit of its own, where it keeps batches.
    """

    def __init__(
        self, dsn: str, *, clock: MovableClock, settings: PostgresLogSettings, keeps_batches: bool = False
    ) -> None:
        self.announced: list[NumberedEvent] = []
        self.batched: dict[BatchId, Sequence[NumberedEvent]] = {}
        self.clock = clock
        self.registry = CollectorRegistry()
        super().__init__(
            dsn,
            self.announced.extend,
            clock=clock,
            registry=self.registry,
            settings=settings,
            batched=self._note_batch if keeps_batches else None,
        )

    def _note_batch(self, batch: BatchId, events: Sequence[NumberedEvent]) -> None:
        assert batch not in self.batched
        self.batched[batch] = events
        self.announced.extend(events)

    def counted(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.registry.get_sample_value(f"harkara_event_service_log_{name}", labels) or 0.0


@asynccontextmanager
async def open_log(
    dsn: str,
    *,
    clock: MovableClock | None = None,
    settings: PostgresLogSettings | None = None,
    keeps_batches: bool = False,
) -> AsyncIterator[RecordedLog]:
    """A log on a database, for the length of a block."""
    log = RecordedLog(
        dsn,
        clock=clock or MovableClock(),
        settings=settings or PostgresLogSettings(),
        keeps_batches=keeps_batches,
    )
    await log.open()
    try:
        yield log
    finally:
        await log.close()
