"""What the query-service counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The query-service's metrics.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "harkara_query_service_requests_total",
            "Requests answered, by path as routed (none: no such path) and HTTP status (0: cut off).",
            ["route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "harkara_query_service_request_seconds",
            "Time from a request's head to its answer's end, by path as routed.",
            ["route"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=registry,
        )
        self.in_flight = Gauge(
            "harkara_query_service_requests_in_flight",
            "Requests being answered.",
            registry=registry,
        )
        self.refused = Counter(
            "harkara_query_service_requests_refused_total",
            "Requests answered 503 because too many were in flight.",
            registry=registry,
        )
        self.connections_refused = Counter(
            "harkara_query_service_connections_refused_total",
            "Connections closed with 503 because too many were open.",
            registry=registry,
        )
        self.unavailable = Counter(
            "harkara_query_service_unavailable_total",
            "Questions not answered because of a dependency, by which, and why: away or overloaded.",
            ["dependency", "reason"],
            registry=registry,
        )
