"""What the query-service needs from outside, and what each guarantees.

All of them raise `UnavailableError` (or `OverloadedError`) rather than wait without end, and may be
cancelled at any time: they only read.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

from harkara_query_service.domain.access import Reader
from harkara_query_service.domain.counts import DayCount, LiveStats
from harkara_query_service.domain.delivery import Delivery
from harkara_query_service.domain.events import StoredEvent
from harkara_query_service.domain.paging import HistoryPage
from harkara_query_service.domain.windows import CriticalWindow


class EventHistory(Protocol):
    """The stored events. Each call sees one consistent snapshot of all that was committed before it."""

    async def find(self, event_id: str, owner: str | None) -> StoredEvent | None:
        """The event of that id.

        Args:
            event_id: Of the right form.
            owner: Only if it is this user's; None for anybody's.
        """
        ...

    async def delivery(self, event_id: str, owner: str | None) -> Delivery | None:
        """What is kept of that event's delivery; the arguments are those of `find`."""
        ...

    async def page(self, user_id: str, page: HistoryPage) -> Sequence[StoredEvent]:
        """A page of the user's events by falling `seq`; empty for a user without any."""
        ...

    async def critical(self, window: CriticalWindow) -> tuple[int, Sequence[StoredEvent]]:
        """The critical events accepted since `window.since`.

        Returns:
            How many there are in all, and the newest of them, at most `window.limit`, by falling
            `created_at` and, of one moment, by falling `seq`.
        """
        ...

    async def day_counts(self, day: date) -> Sequence[DayCount]:
        """What that UTC day brought, each kind once, in no order."""
        ...


class StatsSource(Protocol):
    """What the event-service's replicas hold now."""

    async def read(self) -> LiveStats:
        """Exact sums over all replicas, at most a second old.

        Raises:
            UnavailableError: one of the replicas did not answer.
        """
        ...


class TokenVerifier(Protocol):
    """Says whom a token speaks for."""

    async def verify(self, token: str) -> Reader:
        """The reader; the answer is at most 5 seconds old, and never older than the token's end.

        Raises:
            UnauthenticatedError: the token is not good, in whatever way.
            ForbiddenError: it is, but its user is unknown, disabled or removed.
            UnavailableError: nobody can tell now.
        """
        ...


class AuditLog(Protocol):
    """Where reads of another's events are kept."""

    def read_of_another(self, reader: Reader, owner: str, path: str, when: datetime) -> None:
        """Keep who read whose events, by which path, when; nothing of what was in them."""
        ...
