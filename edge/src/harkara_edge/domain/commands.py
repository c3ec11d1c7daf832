"""What a session asks of the world around it, and the few values that come back.

Plain data, without behaviour. `session` returns these; `service` carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Moment(NamedTuple):
    """A reading of both clocks.

    Args:
        monotonic: Seconds of a clock that never goes back; for deadlines and rates.
        wall: Seconds since 1970, UTC; for what clients are told, and for a token's end.
    """

    monotonic: float
    wall: float


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a client wants to go on from.

    Args:
        epoch: The life of the log it knows.
        seq: The last event it saw; 0 or more.
    """

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a token speaks for.

    Args:
        user_id: The user.
        role: As the users table has it.
        expires_at: The token's end, seconds since 1970.
        version: The last change of users that the answer knows of.
    """

    user_id: str
    role: str
    expires_at: float
    version: int


class RevocationReason(Enum):
    """Why a user's tokens are no longer good."""

    REMOVED_OR_DISABLED = "removed_or_disabled"
    ROLE_CHANGED = "role_changed"


class DisconnectReason(Enum):
    """Why the event-service ends a session."""

    TOO_MANY_CONNECTIONS = "too_many_connections"
    RESUME_LOST = "resume_lost"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Reply:
    """Write this text to the client, after all that was written before."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Verify:
    """Ask whom this token speaks for, and tell the session."""

    token: str


@dataclass(frozen=True, slots=True)
class OpenCursor:
    """Start the session's cursor, or start it anew.

    Args:
        generation: Rises with each.
        after_seq: The last seq written; None before the first cursor stood.
        epoch: What `after_seq` belongs to; empty without it.
        types: What is subscribed.
        resume: Where the client wants to go on from; only before the first cursor stood.
        paused: Whether it is to stand still.
        device_id: Whose acknowledgements the session's are; empty for nobody's.
        from_device: Whether to go on after what the device last acknowledged; only before the first
            cursor stood.
    """

    generation: int
    after_seq: int | None
    epoch: str
    types: tuple[str, ...]
    resume: Resume | None
    paused: bool
    device_id: str = ""
    from_device: bool = False


@dataclass(frozen=True, slots=True)
class AddTypes:
    """Add types to the session's cursor."""

    change: int
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemoveTypes:
    """Take types from the session's cursor."""

    change: int
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Report what the client acknowledged."""

    seq: int


@dataclass(frozen=True, slots=True)
class CloseCursor:
    """End the session's cursor."""


@dataclass(frozen=True, slots=True)
class End:
    """Close the connection with this code."""

    close_code: int


Effect = Reply | Verify | OpenCursor | AddTypes | RemoveTypes | Acknowledge | CloseCursor | End
