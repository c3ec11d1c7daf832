"""What auth-service counts. The registry is the caller's; importing this registers nothing."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PREFIX = "harkara_auth_service_"


class Metrics:
    """The service's metrics.

    Args:
        registry: where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.authentications = Counter(
            _PREFIX + "authentications_total",
            "Tokens judged, by outcome: ok, unavailable, or the fault of the token or its user.",
            ["outcome"],
            registry=registry,
        )
        self.authentication_seconds = Histogram(
            _PREFIX + "authentication_seconds",
            "How long judging a token took, its user's look-up included.",
            buckets=(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3),
            registry=registry,
        )
        self.signatures = Counter(
            _PREFIX + "signature_checks_total",
            "Signatures checked; a token seen seconds ago needs none.",
            registry=registry,
        )
        self.lookup_statements = Counter(
            _PREFIX + "user_lookup_statements_total",
            "Statements that looked users up for Authenticate.",
            registry=registry,
        )
        self.lookup_users = Counter(
            _PREFIX + "user_lookup_users_total",
            "Users that these statements asked for; divided by the statements, how many went together.",
            registry=registry,
        )
        self.lookup_cache_hits = Counter(
            _PREFIX + "user_lookup_cache_hits_total",
            "User look-ups answered from memory.",
            registry=registry,
        )
        self.directory_failures = Counter(
            _PREFIX + "directory_failures_total",
            "Reads and changes of users that Postgres did not answer, or not in time.",
            registry=registry,
        )
        self.user_changes = Counter(
            _PREFIX + "user_changes_total",
            "Changes of users read from the history, by reason.",
            ["reason"],
            registry=registry,
        )
        self.change_version = Gauge(
            _PREFIX + "user_change_version",
            "Version of the last change of users that this process read.",
            registry=registry,
        )
        self.watchers = Gauge(
            _PREFIX + "revocation_watchers",
            "Open WatchRevocations streams.",
            registry=registry,
        )
        self.revoked_names = Gauge(
            _PREFIX + "revoked_credentials",
            "Names of services and internal parts whose credentials are revoked.",
            registry=registry,
        )
        self.keys = Gauge(
            _PREFIX + "keys",
            "Keys that verify tokens, by where they come from.",
            ["source"],
            registry=registry,
        )
        self.key_set_reads = Counter(
            _PREFIX + "key_set_reads_total",
            "Attempts to read a key set, by where it comes from and how that ended.",
            ["source", "outcome"],
            registry=registry,
        )
