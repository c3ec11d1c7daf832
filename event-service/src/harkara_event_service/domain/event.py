"""An event: as accepted, as numbered, and as the text that clients receive.

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
        seq: 1 for the user's first, and so on without a gap.
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

    `data` goes in as it came, byte for byte. Every other field is of a form that needs no escape,
    but for the type, which a deployment may name.
    """
    event = numbered.event
    return (
        f'{{"event_type":{_quoted(event.event_type)},"event_level":"{event.level}",'
        f'"event_id":"{event.event_id}","timestamp":"{iso_utc(event.timestamp)}",'
        f'"user_id":"{event.user_id}","data":{event.data},"source":"{event.source}","seq":{numbered.seq}}}'
    ).encode()
