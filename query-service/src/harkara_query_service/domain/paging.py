"""Which page of a user's history is asked for.

Newest first means by `seq`, descending: that is commit order. `skip` counts rows from the newest and
costs what it skips; `before_seq` goes straight to its place at any depth. Both may be given: `skip`
then counts from below `before_seq`.
"""

from collections.abc import Collection
from dataclasses import dataclass

from harkara_query_service.domain.errors import UnknownTypeError
from harkara_query_service.domain.parameters import MAX_INTEGER, IntegerParameter, Query, single

LIMIT = IntegerParameter("limit", 1, 100, 50, "How many events at most.")
SKIP = IntegerParameter("skip", 0, MAX_INTEGER, 0, "How many of the newest events to leave out.")
BEFORE_SEQ = IntegerParameter(
    "before_seq",
    1,
    MAX_INTEGER,
    None,
    "Only events with a smaller seq. The cheap way to page: give the last seq of the page before.",
)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of one user's history.

    Attributes:
        limit: 1 to 100.
        skip: 0 or more.
        before_seq: 1 or more; None for no bound.
        event_type: A type of the catalogue; None for all.
    """

    limit: int
    skip: int
    before_seq: int | None
    event_type: str | None


def read_history_page(query: Query, known_types: Collection[str]) -> HistoryPage:
    """Read the page from a query string.

    Args:
        query: The parameters given.
        known_types: The names of the catalogue.

    Raises:
        UnknownTypeError: `event_type` is not in the catalogue: an empty answer would hide the mistake.
        BadParameterError: another one is not as documented.
    """
    event_type = single(query, "event_type", "a type of the catalogue")
    if event_type is not None and event_type not in known_types:
        raise UnknownTypeError
    return HistoryPage(
        limit=LIMIT.read(query),
        skip=SKIP.read(query),
        before_seq=BEFORE_SEQ.read_given(query),
        event_type=event_type,
    )
