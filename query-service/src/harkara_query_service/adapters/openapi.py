"""The OpenAPI document's parts: the shapes of answers, the failures of each route, the parameters.

The models describe; no answer is built from them (`answers.py` does that, from plain structs). A test
holds real answers against this document.
"""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harkara_catalogue.codes import ERROR_CODES
from harkara_query_service.adapters.answers import CODES
from harkara_query_service.domain.errors import (
    BadParameterError,
    ForbiddenError,
    NotFoundError,
    QueryError,
    UnauthenticatedError,
    UnavailableError,
)
from harkara_query_service.domain.events import EVENT_ID_PATTERN, USER_ID_PATTERN
from harkara_query_service.domain.parameters import MAX_INTEGER, IntegerParameter

DESCRIPTION = """\
What happened, and what is connected now. Every call needs a bearer token.

People read their own events; `support` and `admin` read everybody's, and the rest of what is here.

Times are ISO 8601 in UTC with `Z`, with a fraction only where there is one. Integers and dates are taken
exactly as documented, once each; parameters that are not documented are ignored.
"""

SECURITY_SCHEME = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
_SECURITY = [{"bearer": list[str]()}]

_LEVEL = Literal["critical", "high", "medium", "low"]


class _Answer(BaseModel):
    # Clients are to expect further fields.
    model_config = ConfigDict(extra="allow", title=None)


class _Success(_Answer):
    status: Literal["success"]


class Event(_Answer):
    """A stored event."""

    key: str = Field(alias="_id", pattern=EVENT_ID_PATTERN, description="The row's key: the event_id.")
    event_id: str = Field(pattern=EVENT_ID_PATTERN)
    event_type: str = Field(description="A type of the catalogue.")
    event_level: _LEVEL
    user_id: str = Field(pattern=USER_ID_PATTERN, description="Whom it is for.")
    timestamp: datetime = Field(description="When it happened, as its emitter said.")
    source: str = Field(description="The service that emitted it.")
    data: dict[str, Any] = Field(description="As emitted, byte for byte.")
    created_at: datetime = Field(description="When it was accepted.")
    seq: int = Field(ge=1, description="Its number in the user's stream: 1, 2, 3, … in order.")


class EventAnswer(_Success):
    """One event."""

    data: Event


class Device(_Answer):
    """A device of the user's that acknowledges."""

    device_id: str = Field(description="Its own name for itself.")
    acked_seq: int = Field(ge=0, description="The highest seq that it acknowledged, as of some seconds ago.")
    acknowledged: bool = Field(description="Whether that is this event's seq, or beyond.")
    updated_at: datetime = Field(description="When it was last heard of.")


class Delivery(_Answer):
    """What is kept of an event's delivery. Which sockets it was written to is not kept."""

    event_id: str = Field(pattern=EVENT_ID_PATTERN)
    user_id: str = Field(pattern=USER_ID_PATTERN, description="Whom it is for.")
    seq: int = Field(ge=1, description="Its number in the user's stream.")
    timestamp: datetime = Field(description="When it happened, as its emitter said.")
    created_at: datetime = Field(description="When it was accepted.")
    expires_at: datetime | None = Field(description="From when on it is not delivered; null for never.")
    collapse_key: str | None = Field(description="A newer event of this key supersedes it; null for none.")
    devices: list[Device] = Field(description="Only devices that send a device_id and acknowledge; by name.")


class DeliveryAnswer(_Success):
    """What is kept of one event's delivery."""

    data: Delivery


class HistoryAnswer(_Success):
    """A page of a user's events, newest first (by falling seq)."""

    data: list[Event]
    count: int = Field(ge=0, description="Rows in this page.")
    limit: int = Field(ge=1, description="As asked for.")
    skip: int = Field(ge=0, description="As asked for.")


class Stats(_Answer):
    """What is connected, over all edge workers, at most a second ago."""

    total_connections: int = Field(ge=0)
    total_users: int = Field(ge=0, description="Users with a connection, each once.")
    queued_events: int = Field(ge=0, description="Events not yet handed to connections that are behind.")
    active_subscriptions: int = Field(
        ge=0, description="Subscribed types over all connections; `*` counts as all of them."
    )
    timestamp: datetime = Field(description="When this was counted.")


class StatsAnswer(_Success):
    """What is connected now."""

    data: Stats


class Levels(_Answer):
    """Events by level."""

    critical: int = Field(ge=0)
    high: int = Field(ge=0)
    medium: int = Field(ge=0)
    low: int = Field(ge=0)


class Summary(_Answer):
    """A UTC day in numbers, by the time events were accepted."""

    day: date = Field(alias="date")
    total_events: int = Field(ge=0)
    critical_events: int = Field(ge=0)
    by_event_type: dict[str, int]
    by_source: dict[str, int]
    by_level: Levels


class SummaryAnswer(_Success):
    """A day in numbers."""

    data: Summary


class CriticalEventsAnswer(_Success):
    """The critical events of the last hours, newest first."""

    time_range_hours: int = Field(ge=1, description="As asked for.")
    critical_count: int = Field(
        ge=0, description="Critical events in that time, also where `limit` cut `data` short."
    )
    data: list[Event]


class Failure(_Answer):
    """What went wrong."""

    code: str = Field(description="For programs: one of the catalogue's error codes.")
    message: str = Field(description="For people; never parse it.")


class FailureAnswer(BaseModel):
    """The shape of every failure."""

    status: Literal["error"]
    error: Failure


_WHEN: dict[type[QueryError], str] = {
    UnauthenticatedError: "No token, or one that is not good; why, is not told.",
    ForbiddenError: "The token's holder may not read this.",
    NotFoundError: "There is no such thing, or it is another's and not for you to know of.",
    BadParameterError: "A parameter is not as documented, out of range, or given twice.",
    UnavailableError: "Something this needs is away, or too many ask. Try again after `Retry-After` seconds.",
}
_HEADERS: dict[type[QueryError], dict[str, Any]] = {
    UnauthenticatedError: {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}},
    UnavailableError: {"Retry-After": {"schema": {"type": "integer"}, "required": True}},
}


def responses(answer: type[BaseModel], *errors: type[QueryError]) -> dict[int | str, dict[str, Any]]:
    """What a route answers.

    Args:
        answer: Its 200.
        errors: Beyond those that every route has: 401, 403, 500, 503.
    """
    described: dict[int | str, dict[str, Any]] = {
        200: {"model": answer, "description": answer.__doc__},
        500: {"model": FailureAnswer, "description": "Our fault."},
    }
    for error in (UnauthenticatedError, ForbiddenError, UnavailableError, *errors):
        status = ERROR_CODES[CODES[error]].http_status
        assert status is not None  # noqa: S101 - the tables say so; a test walks them.
        described[status] = {
            "model": FailureAnswer,
            "description": _WHEN[error],
            **({"headers": _HEADERS[error]} if error in _HEADERS else {}),
        }
    return dict(sorted(described.items(), key=lambda item: str(item[0])))


def operation(*parameters: dict[str, Any]) -> dict[str, Any]:
    """What FastAPI cannot know of a route: that it needs a token, and the parameters we read ourselves."""
    return {"security": _SECURITY, "parameters": list(parameters)}


def integer(parameter: IntegerParameter) -> dict[str, Any]:
    """An integer parameter, described."""
    schema: dict[str, Any] = {"type": "integer", "minimum": parameter.least}
    if parameter.most == MAX_INTEGER:
        schema["format"] = "int64"
    else:
        schema["maximum"] = parameter.most
    if parameter.default is not None:
        schema["default"] = parameter.default
    return _query(parameter.name, parameter.meaning, schema)


def identifier(name: str, pattern: str) -> dict[str, Any]:
    """A part of the path, described. One of another form is nobody's: 404."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}


def event_type(known_types: Collection[str]) -> dict[str, Any]:
    """The parameter `event_type`, described."""
    return _query("event_type", "Only events of this type.", {"type": "string", "enum": sorted(known_types)})


def day() -> dict[str, Any]:
    """The parameter `date`, described."""
    return _query("date", "A UTC day; without it, today.", {"type": "string", "format": "date"})


def _query(name: str, meaning: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": meaning, "schema": schema}
