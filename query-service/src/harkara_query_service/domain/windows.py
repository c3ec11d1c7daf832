"""Which stretch of time is asked for, and how a time is spelt.

Days and hours go by the time an event was accepted (`created_at`), in UTC. The time of now is an argument.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from harkara_query_service.domain.parameters import IntegerParameter, Query, read_date

HOURS = IntegerParameter("hours", 1, 168, 24, "How many hours to look back.")
CRITICAL_LIMIT = IntegerParameter("limit", 1, 500, 100, "How many events at most.")


@dataclass(frozen=True, slots=True)
class CriticalWindow:
    """Which critical events are asked for.

    Attributes:
        hours: 1 to 168.
        limit: 1 to 500.
        since: The first moment that counts.
    """

    hours: int
    limit: int
    since: datetime


def read_critical_window(query: Query, now: datetime) -> CriticalWindow:
    """Read the window from a query string.

    Raises:
        BadParameterError: a parameter is not as documented.
    """
    hours = HOURS.read(query)
    return CriticalWindow(hours, CRITICAL_LIMIT.read(query), now - timedelta(hours=hours))


def read_day(query: Query, now: datetime) -> date:
    """Read the UTC day from a query string: that of `now` where none is given.

    Raises:
        BadParameterError: `date` is not as documented.
    """
    given = read_date(query, "date")
    return now.astimezone(UTC).date() if given is None else given


def utc_text(moment: datetime) -> str:
    """ISO 8601 in UTC with `Z`; a fraction, of six digits, only where it is not zero.

    Args:
        moment: With its time zone.
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
