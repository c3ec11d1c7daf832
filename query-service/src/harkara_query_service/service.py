"""Answers the questions: may this reader ask, what exactly is asked, what is the answer.

In this order for each: who asks (401), may they ask such things at all (403), is it spelt right (404 for
an id that is none, 422 for a parameter), and may they see this one (403 or 404).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from harkara_query_service.domain import access
from harkara_query_service.domain.access import Reach, Reader, Verdict
from harkara_query_service.domain.counts import LiveStats, Summary, summarise
from harkara_query_service.domain.delivery import Delivery
from harkara_query_service.domain.errors import ForbiddenError, NotFoundError
from harkara_query_service.domain.events import StoredEvent, is_event_id, is_user_id
from harkara_query_service.domain.paging import HistoryPage, read_history_page
from harkara_query_service.domain.parameters import Query
from harkara_query_service.domain.windows import CriticalWindow, read_critical_window, read_day
from harkara_query_service.ports import AuditLog, EventHistory, StatsSource, TokenVerifier


@dataclass(frozen=True, slots=True)
class Permit:
    """A reader who may ask on one path.

    Attributes:
        reader: Who asks.
        path: The path as routed.
        reach: How far they see there; never `NOTHING`.
    """

    reader: Reader
    path: str
    reach: Reach


@dataclass(frozen=True, slots=True)
class History:
    """A page of a user's history, and what was asked for."""

    page: HistoryPage
    events: Sequence[StoredEvent]


@dataclass(frozen=True, slots=True)
class CriticalEvents:
    """The critical events of a window.

    Attributes:
        window: What was asked for.
        count: How many the window holds, also where `events` was cut at its limit.
        events: The newest.
    """

    window: CriticalWindow
    count: int
    events: Sequence[StoredEvent]


class QueryService:
    """Answers questions.

    Args:
        history: The stored events.
        stats: The live counts.
        verifier: Says whom a token speaks for.
        audit: Where reads of another's events are kept.
        known_types: The names of the catalogue.
        clock: Now, in UTC.
    """

    def __init__(  # noqa: PLR0913 - each dependency is a required argument.
        self,
        *,
        history: EventHistory,
        stats: StatsSource,
        verifier: TokenVerifier,
        audit: AuditLog,
        known_types: Collection[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._history = history
        self._stats = stats
        self._verifier = verifier
        self._audit = audit
        self._known_types = frozenset(known_types)
        self._clock = clock

    async def admit(self, path: str, token: str) -> Permit:
        """Let a reader ask on a path, or not.

        Args:
            path: The path as routed.
            token: What the caller brought.

        Raises:
            UnauthenticatedError: the token is not good.
            ForbiddenError: its holder reads nothing on this path.
            UnavailableError: nobody can tell now.
        """
        reader = await self._verifier.verify(token)
        reach = access.reach(path, reader.role)
        if reach is Reach.NOTHING:
            raise ForbiddenError
        return Permit(reader, path, reach)

    async def stats(self) -> LiveStats:
        """What is connected now.

        Raises:
            UnavailableError: a replica of the event-service does not answer.
        """
        return await self._stats.read()

    async def event(self, permit: Permit, event_id: str) -> StoredEvent:
        """One event.

        Raises:
            NotFoundError: there is none of that id, or it is another's and not for this reader to know of.
            UnavailableError: the log cannot be read now.
        """
        if not is_event_id(event_id):
            raise NotFoundError("event")
        # Another's row does not even leave Postgres.
        owner = None if permit.reach is Reach.ANY else permit.reader.user_id
        event = await self._history.find(event_id, owner)
        if event is None or not self._may_read(permit, event.user_id):
            raise NotFoundError("event")
        return event

    async def delivery(self, permit: Permit, event_id: str) -> Delivery:
        """What is kept of one event's delivery.

        Raises:
            NotFoundError: As in `event`.
            UnavailableError: the log cannot be read now.
        """
        if not is_event_id(event_id):
            raise NotFoundError("event")
        owner = None if permit.reach is Reach.ANY else permit.reader.user_id
        delivery = await self._history.delivery(event_id, owner)
        if delivery is None or not self._may_read(permit, delivery.user_id):
            raise NotFoundError("event")
        return delivery

    async def user_history(self, permit: Permit, user_id: str, query: Query) -> History:
        """A page of a user's events, newest first.

        Raises:
            NotFoundError: `user_id` has not the form of one.
            ForbiddenError: it is another's, whether or not that user exists.
            BadParameterError: `query` is not as documented.
            UnavailableError: the log cannot be read now.
        """
        if not is_user_id(user_id):
            raise NotFoundError("user")
        if access.judge(permit.reach, permit.reader, user_id) is Verdict.REFUSE:
            raise ForbiddenError
        page = read_history_page(query, self._known_types)
        events = await self._history.page(user_id, page)
        self._may_read(permit, user_id)
        return History(page, events)

    async def summary(self, query: Query) -> Summary:
        """A day in numbers.

        Raises:
            BadParameterError: `query` is not as documented.
            UnavailableError: the counts cannot be read now.
        """
        day = read_day(query, self._clock())
        return summarise(day, await self._history.day_counts(day))

    async def critical_events(self, query: Query) -> CriticalEvents:
        """The critical events of the last hours, newest first.

        Raises:
            BadParameterError: `query` is not as documented.
            UnavailableError: the log cannot be read now.
        """
        window = read_critical_window(query, self._clock())
        count, events = await self._history.critical(window)
        return CriticalEvents(window, count, events)

    def _may_read(self, permit: Permit, owner: str) -> bool:
        """Whether the reader may have the owner's events; a read of another's is kept, before it leaves."""
        verdict = access.judge(permit.reach, permit.reader, owner)
        if verdict is Verdict.ALLOW_AUDITED:
            self._audit.read_of_another(permit.reader, owner, permit.path, self._clock())
        return verdict is not Verdict.REFUSE
