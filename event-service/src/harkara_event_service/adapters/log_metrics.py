"""What the log tells of itself."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from harkara_event_service.adapters.sqlstates import Verdict

_PREFIX = "harkara_event_service_log"
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class LogMetrics:
    """The log's metrics.

    Args:
        registry: where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._group_events = Histogram(
            f"{_PREFIX}_group_events",
            "Events stored by one transaction.",
            buckets=_SIZES,
            registry=registry,
        )
        self._group_seconds = Histogram(
            f"{_PREFIX}_group_seconds",
            "Time from a transaction's first statement to its commit.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.duplicates = Counter(
            f"{_PREFIX}_duplicates",
            "Events found stored already when they were to be stored.",
            registry=registry,
        )
        self._trouble = Counter(
            f"{_PREFIX}_trouble",
            "Errors of Postgres while storing, by what was done about them.",
            ["verdict"],
            registry=registry,
        )
        for verdict in Verdict:
            self._trouble.labels(verdict.name.lower())
        self.queued_events = Gauge(
            f"{_PREFIX}_queued_events", "Events waiting or being written.", registry=registry
        )
        self.queued_bytes = Gauge(
            f"{_PREFIX}_queued_bytes", "Memory of the events waiting or being written.", registry=registry
        )
        self.turned_away = Counter(
            f"{_PREFIX}_turned_away", "Events turned away because the queue was full.", registry=registry
        )
        self.writers_up = Gauge(
            f"{_PREFIX}_writers_up", "Writer connections that are there now.", registry=registry
        )
        self.read_seconds = Histogram(
            f"{_PREFIX}_read_seconds",
            "Time of one read of the log, waiting for a connection included.",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.partitions_made = Counter(
            f"{_PREFIX}_partitions_made", "Week partitions made.", registry=registry
        )
        self.partitions_dropped = Counter(
            f"{_PREFIX}_partitions_dropped", "Week partitions dropped past retention.", registry=registry
        )
        self.upkeep_failures = Counter(
            f"{_PREFIX}_upkeep_failures",
            "Rounds of making and dropping partitions that failed; the next one follows soon.",
            registry=registry,
        )

    def stored(self, events: int, seconds: float) -> None:
        """One transaction committed."""
        self._group_events.observe(events)
        self._group_seconds.observe(seconds)

    def trouble(self, verdict: Verdict) -> None:
        """Postgres answered a transaction with an error."""
        self._trouble.labels(verdict.name.lower()).inc()
