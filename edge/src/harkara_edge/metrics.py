"""What an edge worker counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """All of them.

    Args:
        registry: Where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.connections = Gauge(
            "harkara_edge_connections", "Open sockets, those in the handshake included.", registry=registry
        )
        self.sessions = Gauge(
            "harkara_edge_sessions", "Connections whose user is verified.", registry=registry
        )
        self.refused = Counter(
            "harkara_edge_handshakes_refused_total",
            "Handshakes refused, by HTTP status.",
            ["status"],
            registry=registry,
        )
        self.closes = Counter(
            "harkara_edge_closes_total",
            "Connections ended, by the close code sent; client: the client closed; lost: no close came.",
            ["code"],
            registry=registry,
        )
        self.messages = Counter(
            "harkara_edge_messages_total", "Messages received from clients.", registry=registry
        )
        self.deliveries = Counter(
            "harkara_edge_deliveries_total", "Events written to sockets.", registry=registry
        )
        self.drops = Counter(
            "harkara_edge_drops_total",
            "Deliveries dropped because their session was closed, paused or starting anew; its cursor "
            "reads them again.",
            registry=registry,
        )
        self.pauses = Counter(
            "harkara_edge_pauses_total", "Times a slow reader's cursor was stopped.", registry=registry
        )
        self.unsent = Gauge(
            "harkara_edge_unsent_bytes", "Bytes written that the system has not taken.", registry=registry
        )
        self.attached = Gauge(
            "harkara_edge_attached", "1 while there is an Attach stream.", registry=registry
        )
        self.attaches = Counter("harkara_edge_attaches_total", "Attach streams opened.", registry=registry)
        self.watching = Gauge(
            "harkara_edge_watching", "1 while revocations are being watched.", registry=registry
        )
        self.verifications = Counter(
            "harkara_edge_verifications_total",
            "Tokens asked about, by answer: ok, unauthenticated, forbidden, try_again_later.",
            ["answer"],
            registry=registry,
        )
        self.verifications_waiting = Gauge(
            "harkara_edge_verifications_waiting", "Tokens that wait to be asked about.", registry=registry
        )
        self.verifications_turned_away = Counter(
            "harkara_edge_verifications_turned_away_total",
            "Tokens not asked about because too many waited, or too many bytes of them.",
            registry=registry,
        )
