"""Sums: of a day's rollup rows, and of what the event-service's replicas hold now."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

LEVELS = ("critical", "high", "medium", "low")
"""In the order in which a summary names them."""


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many events of one kind a day brought."""

    event_type: str
    source: str
    event_level: str
    events: int


@dataclass(frozen=True, slots=True)
class Summary:
    """One UTC day in numbers; each mapping in the order of its keys, levels as in `LEVELS`."""

    day: date
    total_events: int
    critical_events: int
    by_event_type: dict[str, int]
    by_source: dict[str, int]
    by_level: dict[str, int]


def summarise(day: date, counts: Iterable[DayCount]) -> Summary:
    """Sum a day's counts. All four levels are always there; a day without events is all zeros."""
    by_type: dict[str, int] = {}
    by_source: dict[str, int] = {}
    by_level = dict.fromkeys(LEVELS, 0)
    for count in counts:
        by_type[count.event_type] = by_type.get(count.event_type, 0) + count.events
        by_source[count.source] = by_source.get(count.source, 0) + count.events
        by_level[count.event_level] += count.events
    return Summary(
        day=day,
        total_events=sum(by_level.values()),
        critical_events=by_level["critical"],
        by_event_type=dict(sorted(by_type.items())),
        by_source=dict(sorted(by_source.items())),
        by_level=by_level,
    )


@dataclass(frozen=True, slots=True)
class ReplicaStats:
    """What one replica of the event-service holds.

    Attributes:
        replica: A name for the replica's life.
        connections: Open sessions.
        users: A hash of each user who has one.
        queued_events: Events between the positions of sessions that are behind and their heads.
        active_subscriptions: Subscribed types over all sessions.
    """

    replica: str
    connections: int
    users: frozenset[int]
    queued_events: int
    active_subscriptions: int


@dataclass(frozen=True, slots=True)
class LiveStats:
    """The same over all replicas, at one moment."""

    total_connections: int
    total_users: int
    queued_events: int
    active_subscriptions: int
    timestamp: datetime


def unite(replicas: Iterable[ReplicaStats], now: datetime) -> LiveStats | None:
    """Sum over all replicas; a user on two of them counts once.

    Returns:
        The sums, or None where one replica answered twice: then another one did not, and every sum
        would be wrong.
    """
    seen = list(replicas)
    if len({one.replica for one in seen}) != len(seen):
        return None
    return LiveStats(
        total_connections=sum(one.connections for one in seen),
        total_users=len(frozenset().union(*(one.users for one in seen))),
        queued_events=sum(one.queued_events for one in seen),
        active_subscriptions=sum(one.active_subscriptions for one in seen),
        timestamp=now,
    )
