"""Answers as bytes: the reference's shapes, and the one shape of every failure.

Events are encoded from plain structs, and `data` is spliced in as the text that is stored: it leaves byte
for byte as it came, integers past 2^53 and `1e400` included.
"""

from collections.abc import Iterable, Mapping

import msgspec
from starlette.responses import JSONResponse

from harkara_catalogue.codes import ERROR_CODES
from harkara_query_service.domain.counts import LiveStats, Summary
from harkara_query_service.domain.delivery import Delivery
from harkara_query_service.domain.errors import (
    BadParameterError,
    ForbiddenError,
    NotFoundError,
    OverloadedError,
    QueryError,
    UnauthenticatedError,
    UnavailableError,
    UnknownTypeError,
)
from harkara_query_service.domain.events import StoredEvent
from harkara_query_service.domain.windows import utc_text
from harkara_query_service.service import CriticalEvents, History

RETRY_AFTER_SECONDS = 1

CODES: Mapping[type[QueryError], str] = {
    UnauthenticatedError: "unauthenticated",
    ForbiddenError: "forbidden",
    NotFoundError: "not_found",
    BadParameterError: "invalid_argument",
    UnknownTypeError: "unknown_event_type",
    UnavailableError: "try_again_later",
    OverloadedError: "overloaded",
}
"""Which error of the catalogue each of ours is; that table says the HTTP status."""


class JsonAnswer(JSONResponse):
    """A body that is JSON already.

    A JSONResponse, because FastAPI describes whatever is none as a string.
    """

    def render(self, content: bytes) -> bytes:
        """Leave the body as it is."""
        return content


class _Event(msgspec.Struct, rename={"key": "_id"}):
    key: str
    event_id: str
    event_type: str
    event_level: str
    user_id: str
    timestamp: str
    source: str
    data: msgspec.Raw
    created_at: str
    seq: int


_encode = msgspec.json.Encoder().encode


def _event(event: StoredEvent) -> _Event:
    return _Event(
        key=event.event_id,
        event_id=event.event_id,
        event_type=event.event_type,
        event_level=event.event_level,
        user_id=event.user_id,
        timestamp=utc_text(event.timestamp),
        source=event.source,
        data=msgspec.Raw(event.data.encode()),
        created_at=utc_text(event.created_at),
        seq=event.seq,
    )


def _events(events: Iterable[StoredEvent]) -> list[_Event]:
    return [_event(event) for event in events]


def stats_answer(stats: LiveStats) -> JsonAnswer:
    """`GET /api/websocket/stats`."""
    return _success(
        data={
            "total_connections": stats.total_connections,
            "total_users": stats.total_users,
            "queued_events": stats.queued_events,
            "active_subscriptions": stats.active_subscriptions,
            "timestamp": utc_text(stats.timestamp),
        }
    )


def event_answer(event: StoredEvent) -> JsonAnswer:
    """`GET /api/websocket/events/{event_id}`."""
    return _success(data=_event(event))


def delivery_answer(delivery: Delivery) -> JsonAnswer:
    """`GET /api/websocket/events/{event_id}/delivery`."""
    return _success(
        data={
            "event_id": delivery.event_id,
            "user_id": delivery.user_id,
            "seq": delivery.seq,
            "timestamp": utc_text(delivery.timestamp),
            "created_at": utc_text(delivery.created_at),
            "expires_at": None if delivery.expires_at is None else utc_text(delivery.expires_at),
            "collapse_key": delivery.collapse_key,
            "devices": [
                {
                    "device_id": device.device_id,
                    "acked_seq": device.acked_seq,
                    "acknowledged": delivery.is_acknowledged_by(device),
                    "updated_at": utc_text(device.updated_at),
                }
                for device in delivery.devices
            ],
        }
    )


def history_answer(history: History) -> JsonAnswer:
    """`GET /api/websocket/events/user/{user_id}`."""
    return _success(
        data=_events(history.events),
        count=len(history.events),
        limit=history.page.limit,
        skip=history.page.skip,
    )


def summary_answer(summary: Summary) -> JsonAnswer:
    """`GET /api/websocket/analytics/summary`."""
    return _success(
        data={
            "date": summary.day.isoformat(),
            "total_events": summary.total_events,
            "critical_events": summary.critical_events,
            "by_event_type": summary.by_event_type,
            "by_source": summary.by_source,
            "by_level": summary.by_level,
        }
    )


def critical_answer(critical: CriticalEvents) -> JsonAnswer:
    """`GET /api/websocket/critical-events`."""
    return _success(
        time_range_hours=critical.window.hours,
        critical_count=critical.count,
        data=_events(critical.events),
    )


def _success(**fields: object) -> JsonAnswer:
    return JsonAnswer(_encode({"status": "success", **fields}))


def failure(code: str, message: str, headers: Mapping[str, str] | None = None) -> JsonAnswer:
    """A failure in the one shape all of them have.

    Args:
        code: A code of the catalogue; it has the HTTP status.
        message: For people; never an exception's text, SQL, a path or a version.
        headers: Further ones.
    """
    status = ERROR_CODES[code].http_status
    added = dict(headers or {})
    if status == 401:
        added["WWW-Authenticate"] = "Bearer"
    elif status == 503:
        added["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return JsonAnswer(
        _encode({"status": "error", "error": {"code": code, "message": message}}),
        status_code=500 if status is None else status,
        headers=added,
    )


def query_failure(error: QueryError) -> JsonAnswer:
    """The failure that one of our errors is."""
    return failure(CODES[type(error)], str(error))
