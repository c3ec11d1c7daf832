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
            "Events that were answered, by outcome: stored, duplicate, ephemeral, or the error's code.",
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
        self.acknowledgements = Gauge(
            "harkara_event_service_acknowledgements_waiting",
            "Devices whose acknowledgement is not written yet; they are written every 5 seconds.",
            registry=registry,
        )
        self.sessions = Gauge(
            "harkara_event_service_sessions", "Open sessions over all attached edges.", registry=registry
        )


class BackplaneMetrics:
    """What is counted where there are other replicas.

    Args:
        registry: where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.up = Gauge(
            "harkara_event_service_backplane_up",
            "1 while this replica is connected to the backplane.",
            registry=registry,
        )
        self.hints_sent = Counter(
            "harkara_event_service_hints_sent",
            "Hints handed to the backplane; one tells the other replicas of one commit.",
            registry=registry,
        )
        self.hints_dropped = Counter(
            "harkara_event_service_hints_dropped",
            "Hints not sent: the backplane was away, or too many waited.",
            registry=registry,
        )
        self.hints_heard = Counter(
            "harkara_event_service_hints_heard", "Hints of other replicas.", registry=registry
        )
        self.hints_not_taken = Counter(
            "harkara_event_service_hints_not_taken",
            "Hints of other replicas dropped because too many waited here.",
            registry=registry,
        )
        self.hints_undecodable = Counter(
            "harkara_event_service_hints_undecodable",
            "Messages on the backplane that were no hint this release understands.",
            registry=registry,
        )
        self.hint_gaps = Counter(
            "harkara_event_service_hint_gaps",
            "Commits of other replicas of which a later one was heard first.",
            registry=registry,
        )
        self.batches_read = Counter(
            "harkara_event_service_batches_read",
            "Commits that no hint told of, found by reading the log.",
            registry=registry,
        )
        self.batch_read_failures = Counter(
            "harkara_event_service_batch_read_failures",
            "Readings of the commits not heard of that failed; the next follows soon.",
            registry=registry,
        )
        self.heads_compared = Counter(
            "harkara_event_service_heads_compared",
            "Users whose head was compared with the log, because commits were missed for minutes.",
            registry=registry,
        )
