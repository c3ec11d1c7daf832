"""What the event-service counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """The event-service's metrics.

    Args:
        registry: where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.emitted = Counter(
            "harkara_event_service_events",
            "Events that were answered, by outcome: stored, duplicate, or the error's code.",
            ["outcome"],
            registry=registry,
        )
        self.deliveries = Counter(
            "harkara_event_service_deliveries",
            "Items written to the edges' streams; an event for many sessions of one edge is one.",
            registry=registry,
        )
        self.deliveries_refused = Counter(
            "harkara_event_service_deliveries_refused",
            "Live events left to the log because an edge's queue was full.",
            registry=registry,
        )
        self.sessions = Gauge(
            "harkara_event_service_sessions", "Open sessions over all attached edges.", registry=registry
        )
