"""An event as it is read, and the form of its ids."""

import re
from datetime import datetime
from typing import NamedTuple

from harkara_schema.partitions import EVENT_ID

_USER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

EVENT_ID_PATTERN = f"^{EVENT_ID.pattern}$"
USER_ID_PATTERN = f"^{_USER_ID.pattern}$"


class StoredEvent(NamedTuple):
    """One row of the log, in the order in which it is selected.

    Attributes:
        event_id: `evt_` and an upper-case ULID.
        event_type: As stored; the catalogue may have lost it since.
        event_level: `critical`, `high`, `medium` or `low`.
        user_id: Whom it is for.
        timestamp: When it happened, as its emitter said.
        source: The service that emitted it.
        data: A JSON object as text, never parsed here: it leaves as it came.
        created_at: When it was accepted.
        seq: Its number in the user's stream.
    """

    event_id: str
    event_type: str
    event_level: str
    user_id: str
    timestamp: datetime
    source: str
    data: str
    created_at: datetime
    seq: int


def is_event_id(text: str) -> bool:
    """Whether this can be the id of an event."""
    return EVENT_ID.fullmatch(text) is not None


def is_user_id(text: str) -> bool:
    """Whether this can be the id of a user."""
    return _USER_ID.fullmatch(text) is not None
