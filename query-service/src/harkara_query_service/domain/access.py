"""Who may read what: the query-service's part of the access table, as data.

Deny by default: a path without a row, a role without an entry, and whatever is not a person may read
nothing. A test walks the routes that are really served and fails when one has no row here.

What does not belong here: how a caller proves who they are (`adapters/auth_client.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Reach(Enum):
    """How far a role sees on one path."""

    NOTHING = "nothing"
    OWN = "own"
    """Rows of the caller's own user_id."""
    ANY = "any"
    """Rows of everybody; a read of another's events goes to the audit log."""


class Verdict(Enum):
    """What is to be done with a read of somebody's events."""

    ALLOW = "allow"
    ALLOW_AUDITED = "allow_audited"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks.

    Attributes:
        user_id: The person's id; a service's name for what is not a person.
        role: `customer`, `delivery_boy`, `shop`, `support` or `admin` as the users table has it; `service`
            and `internal` for what is not a person.
    """

    user_id: str
    role: str


STATS = "/api/websocket/stats"
EVENT = "/api/websocket/events/{event_id}"
DELIVERY = "/api/websocket/events/{event_id}/delivery"
USER_EVENTS = "/api/websocket/events/user/{user_id}"
SUMMARY = "/api/websocket/analytics/summary"
CRITICAL_EVENTS = "/api/websocket/critical-events"
OPENAPI = "/openapi.json"
ASYNCAPI = "/asyncapi.json"

_OWN_OR_STAFF: Mapping[str, Reach] = MappingProxyType(
    {
        "customer": Reach.OWN,
        "delivery_boy": Reach.OWN,
        "shop": Reach.OWN,
        "support": Reach.ANY,
        "admin": Reach.ANY,
    }
)
_STAFF: Mapping[str, Reach] = MappingProxyType({"support": Reach.ANY, "admin": Reach.ANY})

READS: Mapping[str, Mapping[str, Reach]] = MappingProxyType(
    {
        EVENT: _OWN_OR_STAFF,
        DELIVERY: _OWN_OR_STAFF,
        USER_EVENTS: _OWN_OR_STAFF,
        STATS: _STAFF,
        SUMMARY: _STAFF,
        CRITICAL_EVENTS: _STAFF,
    }
)
"""Path as routed → role → reach. A role that is not named reads nothing."""

CONSOLE: frozenset[str] = frozenset({"/", "/{file}", "/client/{path:path}", "/vendor/{file}"})
"""The web console's files, where it is served: the same for everybody."""

PUBLIC: frozenset[str] = frozenset({OPENAPI, ASYNCAPI}) | CONSOLE
"""Paths that answer without a token: they tell nothing about anybody."""


def reach(path: str, role: str) -> Reach:
    """How far a role sees on a path.

    Args:
        path: The path as routed, such as `/api/websocket/events/{event_id}`.
        role: The reader's role.
    """
    return READS.get(path, {}).get(role, Reach.NOTHING)


def judge(granted: Reach, reader: Reader, owner: str) -> Verdict:
    """Whether a reader with that reach may read the events of `owner`."""
    if granted is Reach.NOTHING:
        return Verdict.REFUSE
    if owner == reader.user_id:
        return Verdict.ALLOW
    return Verdict.ALLOW_AUDITED if granted is Reach.ANY else Verdict.REFUSE
