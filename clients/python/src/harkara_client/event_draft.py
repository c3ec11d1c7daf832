"""An event on its way out: from what a service says to the message that Emit takes.

Only what can be known without the catalogue is refused here: what JSON cannot hold, and what is too large to
send at all. Everything else is the event-service's to judge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

import msgspec
from ulid import ULID

from harkara.event.v1 import event_pb2
from harkara_client.errors import RefusedError
from harkara_client.event_data import EventData

Level: TypeAlias = Literal["low", "medium", "high", "critical"]

MAX_DATA_BYTES: Final = 65_536
"""The longest `data`, as the contract has it."""

MAX_EVENT_BYTES: Final = 128 * 1024
"""The longest event as a message: one that has some other field beyond reason would fail its whole batch."""

_LEVELS: Final[Mapping[str | None, event_pb2.EventLevel.ValueType]] = {
    None: event_pb2.EVENT_LEVEL_UNSPECIFIED,
    "low": event_pb2.EVENT_LEVEL_LOW,
    "medium": event_pb2.EVENT_LEVEL_MEDIUM,
    "high": event_pb2.EVENT_LEVEL_HIGH,
    "critical": event_pb2.EVENT_LEVEL_CRITICAL,
}
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event to emit.

    Args:
        user_id: Whom it is for.
        event_type: A type of the catalogue, such as `order_created`.
        data: What happened: a mapping, an object of `harkara_client.events`, or JSON text, which goes as it
            is.
        level: How urgent; None for the type's own.
        event_id: `evt_` and an upper-case ULID; None for a new one.
        timestamp: When it happened, with a time zone; None for when it is accepted.
        source: The emitting service; None for the credential's name.
        collapse_key: A later event of this user, type and key supersedes this one; only at level `low`.
        ttl: After so long it is not delivered any more; None for always.
        ephemeral: To whoever is connected, and kept nowhere. It has no number, and a retry may bring it twice
            (with the same `event_id`).
    """

    user_id: str
    event_type: str
    data: Mapping[str, Any] | EventData | str
    level: Level | None = None
    event_id: str | None = None
    timestamp: datetime | None = None
    source: str | None = None
    collapse_key: str | None = None
    ttl: timedelta | None = None
    ephemeral: bool = False


@dataclass(frozen=True, slots=True)
class Emitted:
    """An event that is on disk.

    Attributes:
        event_id: Its id.
        seq: Its number in its user's stream: 1, 2, 3 and so on; 0 of an ephemeral one.
        duplicate: Whether it was stored before.
    """

    event_id: str
    seq: int
    duplicate: bool


def new_event_id() -> str:
    """A new `event_id`."""
    return f"evt_{ULID()}"


def message_of(draft: Draft) -> event_pb2.EventDraft:
    """Return the message for an event, with an id in any case.

    Raises:
        TypeError: `data` holds what JSON cannot.
        ValueError: `data` holds a number that JSON cannot, or `timestamp` has no time zone.
        RefusedError: It is too large, or a text in it is no text.
    """
    event_id = draft.event_id or new_event_id()
    if draft.level not in _LEVELS:
        told = f"level {draft.level!r} is none of low, medium, high, critical"
        raise ValueError(told)
    try:
        text = draft.data if isinstance(draft.data, str) else json_of(draft.data)
        size = len(text.encode())
        message = event_pb2.EventDraft(
            user_id=draft.user_id,
            event_type=draft.event_type,
            event_level=_LEVELS[draft.level],
            data=text,
            event_id=event_id,
            source=draft.source or "",
            collapse_key=draft.collapse_key or "",
            storage=event_pb2.STORAGE_EPHEMERAL if draft.ephemeral else event_pb2.STORAGE_UNSPECIFIED,
        )
    except UnicodeEncodeError as error:
        raise RefusedError("INVALID_ARGUMENT", "holds a lone surrogate", event_id=event_id) from error
    if size > MAX_DATA_BYTES:
        told = f"{size:,} bytes, at most {MAX_DATA_BYTES:,} are taken"
        raise RefusedError("INVALID_ARGUMENT", told, event_id=event_id, field="data")
    if draft.timestamp is not None:
        if draft.timestamp.tzinfo is None:
            raise ValueError("timestamp needs a time zone")
        message.timestamp.FromDatetime(draft.timestamp)
    if draft.ttl is not None:
        message.ttl.FromTimedelta(draft.ttl)
    if message.ByteSize() > MAX_EVENT_BYTES:
        raise RefusedError("INVALID_ARGUMENT", "the event is too large", event_id=event_id)
    return message


def json_of(data: object) -> str:
    """Return `data` as JSON text.

    Raises:
        TypeError: It is no object, or holds what JSON cannot.
        ValueError: It holds NaN or an infinity.
    """
    if not isinstance(data, Mapping | EventData):
        message = f"data is a {type(data).__name__}: a mapping, an event's data or JSON text is needed"
        raise TypeError(message)
    text = _ENCODER.encode(data).decode()
    # The encoder writes null for such floats, and the name of such Decimals.
    if ("null" in text or "NaN" in text or "Infinity" in text) and _has_no_number(data):
        raise ValueError("data holds NaN or an infinity, which JSON has not")
    return text


def _has_no_number(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Decimal):
        return not value.is_finite()
    if isinstance(value, Mapping):
        return any(map(_has_no_number, value.values()))
    if isinstance(value, msgspec.Struct):
        return any(_has_no_number(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_has_no_number, value))
    return False
