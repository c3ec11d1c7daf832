"""An event: as accepted, as numbered, as fan-out needs it, and as the text that clients receive.

What an emitter may say is judged in `acceptance.py`; here an event is already sound. The text is
made in one place only, so that a live frame and one read from the log are the same bytes.
"""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime

import msgspec


class Event(msgspec.Struct, frozen=True, gc=False):
    """An accepted event that has no number yet.

    Args:
        event_id: `evt_` and an upper-case ULID.
        user_id: whose stream it joins.
        event_type: a type of the catalogue.
        level: low, medium, high or critical.
        timestamp: when it happened, by the emitter; UTC, to the microsecond.
        source: the emitting service, `^[A-Za-z0-9_.-]{1,64}$`.
        data: a JSON object, as it came.
        accept_time: when the event-service took it; UTC.
        collapse_key: what a later event of the same key supersedes, or None.
        expires_at: from when on it is not delivered any more, or None; UTC. Part of no content: a
            duplicate is accepted later, and keeps the first one's.
        is_ephemeral: whether it is only handed to those who are there, and kept nowhere.
        level_given: whether the emitter named the level.
        timestamp_given: whether the emitter named the timestamp.
    """

    event_id: str
    user_id: str
    event_type: str
    level: str
    timestamp: datetime
    source: str
    data: str
    accept_time: datetime
    collapse_key: str | None = None
    expires_at: datetime | None = None
    is_ephemeral: bool = False
    level_given: bool = False
    timestamp_given: bool = False

    def is_same_content(self, stored: Event) -> bool:
        """Whether this is the stored event again (docs/guarantees.md G3).

        Level and timestamp count only where this emitter named them: the stored one may have been
        given neither.
        """
        return (
            self.event_id == stored.event_id
            and self.user_id == stored.user_id
            and self.event_type == stored.event_type
            and self.source == stored.source
            and self.data == stored.data
            and (not self.level_given or self.level == stored.level)
            and (not self.timestamp_given or self.timestamp == stored.timestamp)
        )


class NumberedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event at its place in its user's stream.

    Args:
        event: the event.
        seq: 1 for the user's first, and so on without a gap; 0 for an event that is kept nowhere.
    """

    event: Event
    seq: int


def iso_utc(moment: datetime) -> str:
    """`moment` as ISO 8601 in UTC with a `Z`; microseconds only where there are any."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    # Of UTC it ends in "+00:00".
    return moment.isoformat()[:-6] + "Z"


# The types of a catalogue, each quoted once: it is most of what an event's text costs otherwise.
_quoted = functools.lru_cache(maxsize=1_000)(json.dumps)


def client_text(numbered: NumberedEvent) -> bytes:
    """The JSON text that clients receive for an event (docs/protocol.md, Messages).

    One without a number has no `seq`.
    `data` goes in as it came, byte for byte. Every other field is of a form that needs no escape,
    but for the type, which a deployment may name.
    """
    event = numbered.event
    seq = f',"seq":{numbered.seq}' if numbered.seq else ""
    return (
        f'{{"event_type":{_quoted(event.event_type)},"event_level":"{event.level}",'
        f'"event_id":"{event.event_id}","timestamp":"{iso_utc(event.timestamp)}",'
        f'"user_id":"{event.user_id}","data":{event.data},"source":"{event.source}"{seq}}}'
    ).encode()


_AROUND_DATA_BYTES = 256
"""What an event's text holds besides its `data`, about."""


class Announced(msgspec.Struct, gc=False):
    """What fan-out needs of an event, wherever it was committed.

    Its text is made when it is asked for first: most events are for people who are not there. Made by
    `announced`, or by whoever heard of the event, who has its text already.

    Args:
        user_id: whose.
        seq: its number; 0 for an event that is kept nowhere.
        event_type: its type.
        collapse_key: as in `Event`; only events of level low have one.
        expires_at: as in `Event`.
        made: the text that clients receive, once there is one.
        origin: what to make it of, where there is none yet.
    """

    user_id: str
    seq: int
    event_type: str
    collapse_key: str | None = None
    expires_at: datetime | None = None
    made: bytes | None = None
    origin: NumberedEvent | None = None

    @property
    def text(self) -> bytes:
        """The JSON text that clients receive.

        Raises:
            ValueError: there is neither a text nor an event to make one of.
        """
        if self.made is None:
            if self.origin is None:
                raise ValueError("an announced event must come with its text or with what it is made of")
            self.made = client_text(self.origin)
        return self.made

    @property
    def text_bytes(self) -> int:
        """How long the text is, about, and without making it."""
        if self.made is not None or self.origin is None:
            return len(self.text)
        data = self.origin.event.data
        return (len(data) if data.isascii() else len(data.encode())) + _AROUND_DATA_BYTES

    def has_expired(self, now: datetime) -> bool:
        """Whether it is not to be delivered any more."""
        return self.expires_at is not None and self.expires_at <= now


def announced(numbered: NumberedEvent) -> Announced:
    """An event as fan-out needs it."""
    event = numbered.event
    return Announced(
        event.user_id,
        numbered.seq,
        event.event_type,
        event.collapse_key,
        event.expires_at,
        None,
        numbered,
    )
