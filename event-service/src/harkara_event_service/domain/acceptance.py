"""Judges what an emitter hands over: a sound event, or the first fault and whose it is.

Pure: the time and a fresh id are arguments. What only the log can know (the id is taken, or too old
and not stored) is not judged here.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from enum import Enum

import msgspec

from harkara_catalogue.data_check import check_data
from harkara_catalogue.event_types import Catalogue
from harkara_event_service.domain.event import Event
from harkara_schema.partitions import event_id_floor, to_ms, ulid_time_ms

USER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
DEVICE_ID = USER_ID
EVENT_ID = re.compile(r"evt_[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")
COLLAPSE_KEY = re.compile(r"[!-~]{1,64}\Z")
MAX_AHEAD = timedelta(hours=1)
MAX_AGE = timedelta(days=7)
MAX_TTL = timedelta(days=30)
MAX_BATCH_EVENTS = 1_000
MAX_BATCH_BYTES = 4 * 1024 * 1024


class FaultCode(Enum):
    """Whose fault it is; each is the name of the gRPC status that answers it."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    PERMISSION_DENIED = "PERMISSION_DENIED"


class Fault(msgspec.Struct, frozen=True):
    """Why an event is not accepted; certainly not stored.

    Args:
        code: whose fault it is.
        field: the field of EventDraft, with the path inside `data` where known; empty where no single
            field is at fault.
        message: for people.
        event_id: as the draft names it; empty where it names none.
    """

    code: FaultCode
    field: str
    message: str
    event_id: str = ""


class Emitter(msgspec.Struct, frozen=True):
    """A service that may emit.

    Args:
        name: the only `source` of its events.
        event_types: the types of the catalogue that it was granted.
    """

    name: str
    event_types: AbstractSet[str]


class Draft(msgspec.Struct, gc=False):
    """An event as its emitter describes it; empty or None where a field was left out.

    Args:
        level: one of the catalogue's levels; "" for the type's default, None for a value that is none.
        timestamp: UTC; None where left out.
        timestamp_is_sound: False where one was given that no calendar has.
        is_ephemeral: whether it asks not to be stored.
        ttl: after how long it asks to expire; None where left out.
        ttl_is_sound: False where one was given that is none, or too long.
        storage_is_known: False where the storage asked for is of a later version of the contract.
    """

    user_id: str
    event_type: str
    data: str
    level: str | None = ""
    source: str = ""
    event_id: str = ""
    timestamp: datetime | None = None
    timestamp_is_sound: bool = True
    collapse_key: str = ""
    is_ephemeral: bool = False
    ttl: timedelta | None = None
    ttl_is_sound: bool = True
    storage_is_known: bool = True


def accept(
    catalogue: Catalogue, emitter: Emitter, draft: Draft, *, now: datetime, fresh_id: str
) -> Event | Fault:
    """Make the event that `draft` describes.

    Args:
        catalogue: the types there are.
        emitter: who emits.
        draft: what it says.
        now: the time of acceptance, UTC.
        fresh_id: the event's id where the draft names none.

    Returns:
        The event, or the first fault.
    """
    fault = (
        _fault_of_right(catalogue, emitter, draft)
        or _fault_of_form(draft, now)
        or _fault_of_options(draft, now)
        or _fault_of_data(catalogue, draft)
    )
    if fault is not None:
        return msgspec.structs.replace(fault, event_id=draft.event_id)
    return Event(
        event_id=draft.event_id or fresh_id,
        user_id=draft.user_id,
        event_type=draft.event_type,
        level=draft.level or catalogue.types[draft.event_type].default_level,
        timestamp=draft.timestamp or now,
        source=emitter.name,
        data=draft.data,
        accept_time=now,
        collapse_key=draft.collapse_key or None,
        expires_at=None if draft.ttl is None else now + draft.ttl,
        is_ephemeral=draft.is_ephemeral,
        level_given=bool(draft.level),
        timestamp_given=draft.timestamp is not None,
    )


def _invalid(field: str, message: str) -> Fault:
    return Fault(FaultCode.INVALID_ARGUMENT, field, message)


def _fault_of_right(catalogue: Catalogue, emitter: Emitter, draft: Draft) -> Fault | None:
    """Whether this emitter may emit such an event at all."""
    if draft.event_type not in catalogue.types:
        return _invalid("event_type", "not a type of the catalogue")
    if draft.event_type not in emitter.event_types:
        return Fault(FaultCode.PERMISSION_DENIED, "event_type", "this credential may not emit this type")
    if draft.source and draft.source != emitter.name:
        return Fault(FaultCode.PERMISSION_DENIED, "source", "source must be the credential's name, or empty")
    return None


def _fault_of_form(draft: Draft, now: datetime) -> Fault | None:
    """What is wrong with the fields that say whose, which and when."""
    if not USER_ID.match(draft.user_id):
        return _invalid("user_id", "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -")
    if draft.event_id:
        if not EVENT_ID.match(draft.event_id):
            return _invalid("event_id", "must be evt_ and an upper-case ULID")
        # How old it may be is the log's to judge, where one comes into the log: what is stored may be older.
        if ulid_time_ms(draft.event_id) > int((now + MAX_AHEAD).timestamp() * 1000):
            return _invalid("event_id", "must not be more than an hour ahead of the server's clock")
    if draft.level is None:
        return _invalid("event_level", "not a level")
    if not draft.timestamp_is_sound:
        return _invalid("timestamp", "must be between the years 1 and 9999, with nanos of 0 to 999,999,999")
    return None


def _fault_of_options(draft: Draft, now: datetime) -> Fault | None:
    """What is wrong with the fields that change how an event is kept or delivered."""
    if not draft.storage_is_known:
        return _invalid("storage", "not a kind of storage")
    if draft.is_ephemeral and draft.event_id and draft.event_id < event_id_floor(to_ms(now - MAX_AGE)):
        return _invalid("event_id", "must not be more than 7 days old")
    if not draft.ttl_is_sound:
        return _invalid("ttl", "must be more than 0 and at most 30 days")
    if draft.collapse_key and not COLLAPSE_KEY.match(draft.collapse_key):
        return _invalid("collapse_key", "must be 1 to 64 printable ASCII characters without blanks")
    return None


def _fault_of_data(catalogue: Catalogue, draft: Draft) -> Fault | None:
    """What is wrong with the event's content, and with a collapse key beside its level."""
    if draft.collapse_key and (draft.level or catalogue.types[draft.event_type].default_level) != "low":
        return _invalid("collapse_key", "only events of level low can be collapsed")
    fault = check_data(catalogue, draft.event_type, draft.data)
    return None if fault is None else _invalid(fault.path, fault.message)


def moment_of(seconds: int, nanos: int) -> datetime | None:
    """The moment of a protobuf Timestamp, cut to the microsecond; None where no calendar has it."""
    if not 0 <= nanos < 1_000_000_000:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanos // 1000)
    except (ValueError, OverflowError, OSError):
        return None


def ttl_of(seconds: int, nanos: int) -> timedelta | None:
    """The time to live of a protobuf Duration, raised to the microsecond; None where it may not be."""
    if not (0 <= nanos < 1_000_000_000 and 0 <= seconds <= MAX_TTL.total_seconds()):
        return None
    ttl = timedelta(seconds=seconds, microseconds=-(-nanos // 1000))
    return ttl if timedelta(0) < ttl <= MAX_TTL else None
