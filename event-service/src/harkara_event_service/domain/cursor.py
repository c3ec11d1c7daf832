"""Where each attached session stands on its user's stream.

For each attached user there is a **head**: the highest seq that was handed on without a gap. A LIVE
session carries no position: it stands at the head, and gets each subscribed event as the head
moves past it. Every other session carries a position and is served from the log until its position
is the head; then it is LIVE. Nothing else is kept: a reconnect, a pause, a lost hint and a restart
are all a position behind the head.

    OPENING ── heads read ──▶ BEHIND(position) ── position = head ──▶ LIVE
       ▲                          ▲                                     │
       └──────── Open ────────────┴───── its edge's queue is full ──────┘

The head moves in two ways, each by one: an event with seq = head + 1 is announced, or stands in a
page read from the log. An event announced beyond head + 1 only says that there is more to read
(`heard`). What is ≤ head was handed on and is dropped. So an event reaches a session once,
whichever way it comes first (docs/guarantees.md G5).

Some events are held back for a moment, because another may supersede them: then the head stays where
it is, and `taken` moves in its stead (`fan_out.py`). Otherwise both are the same.

Not here: who moves them when (`registry.py`, `fan_out.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from harkara_event_service.domain.event import Announced

WINDOW_BYTES = 128 * 1024
"""How much catch-up may be under way to one session beyond what its edge wrote."""

EVERYTHING = "*"


class State(IntEnum):
    """Where a session is; see the drawing above."""

    OPENING = 0
    BEHIND = 1
    LIVE = 2


class Attachment:
    """One edge worker's stream, as far as the registry knows it.

    Args:
        edge: the worker's name.
    """

    __slots__ = ("edge", "full", "sessions")

    def __init__(self, edge: str) -> None:
        self.edge = edge
        self.sessions: dict[int, Session] = {}
        self.full = False


class Device(NamedTuple):
    """One of a user's devices, by its own name for itself."""

    user_id: str
    device_id: str


class Session:
    """A cursor: one connection's place on its user's stream."""

    __slots__ = (
        "attachment",
        "device",
        "generation",
        "number",
        "position",
        "state",
        "stopped",
        "stream",
        "told",
        "types",
        "under_way",
        "under_way_bytes",
        "waiting_changes",
    )

    def __init__(self, attachment: Attachment, number: int, stream: Stream) -> None:
        self.attachment = attachment
        self.number = number
        self.stream = stream
        self.generation = 0
        self.state = State.OPENING
        self.stopped = False
        self.position = 0
        self.told = 0
        self.types: frozenset[str] = frozenset()
        # What was sent of a catch-up and not yet reported as written: seq and size. None otherwise, for
        # nearly every session is live nearly always.
        self.under_way: deque[tuple[int, int]] | None = None
        self.under_way_bytes = 0
        self.waiting_changes: list[int] | None = None
        # Whose acknowledgements the session's are.
        self.device: Device | None = None

    def sent_until(self) -> int | None:
        """Up to where events went to the session's edge; None before its cursor stands."""
        if self.state is State.OPENING:
            return None
        return self.stream.head if self.state is State.LIVE else self.position

    def wants(self, event_type: str) -> bool:
        """Whether the session is subscribed to the type."""
        return event_type in self.types or EVERYTHING in self.types


class Recipients(NamedTuple):
    """Who gets an event of one type live.

    Args:
        by_edge: for each attachment its sessions, each 4 bytes, little-endian.
        everyone: whether that is every live session of the user.
    """

    by_edge: Sequence[tuple[Attachment, bytes]]
    everyone: bool


class Key(NamedTuple):
    """What supersedes what, within one user's stream."""

    event_type: str
    collapse_key: str
    is_ephemeral: bool


class Collapsing:
    """What of a stream is held, and the windows of its keys."""

    __slots__ = ("held", "windows")

    def __init__(self) -> None:
        # In the order in which it goes: a successor is put in anew, not in its predecessor's place.
        self.held: dict[Key, Announced] = {}
        self.windows: dict[Key, float] = {}


class Stream:
    """An attached user's stream: its head and its sessions."""

    __slots__ = (
        "behind",
        "collapsing",
        "head",
        "head_had_its_turn",
        "heard",
        "live",
        "reading",
        "recipients",
        "taken",
        "user_id",
    )

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        # Both are None until the first read of heads.
        self.head: int | None = None
        self.taken: int | None = None
        self.heard = 0
        self.collapsing: Collapsing | None = None
        self.live: list[Session] = []
        # OPENING and BEHIND, the next to be served first. A list: an empty deque is 700 bytes.
        self.behind: list[Session] = []
        self.reading = False
        self.head_had_its_turn = False
        self.recipients: dict[str, Recipients] | None = None

    def go_live(self) -> bool:
        """Turn every session LIVE that has come to the head; returns whether there was one."""
        arrived = [
            session
            for session in self.behind
            if session.state is State.BEHIND and session.position == self.head and not session.stopped
        ]
        for session in arrived:
            self.behind.remove(session)
            self.live.append(session)
            session.state = State.LIVE
            session.under_way = None
            session.under_way_bytes = 0
        if arrived:
            self.recipients = None
        return bool(arrived)

    def leave_live(self, session: Session) -> None:
        """Take a session out of those at the head; its state is the caller's to set."""
        self.live.remove(session)
        self.behind.append(session)
        self.recipients = None


def can_take(session: Session, head: int) -> bool:
    """Whether a session is behind the head and takes more of the log now."""
    return (
        session.state is State.BEHIND
        and not session.stopped
        and session.position < head
        and session.under_way_bytes < WINDOW_BYTES
        and not session.attachment.full
    )


class ToSend(NamedTuple):
    """An event to send to sessions of one attachment.

    Args:
        attachment: the edge's stream.
        sessions: as in `Recipients`.
        event: what.
        is_live: whether it may be left out where the edge's queue is full, and `fall_behind` be told.
            What is not live must be sent: its cursor has moved.
    """

    attachment: Attachment
    sessions: bytes
    event: Announced
    is_live: bool


class Started(NamedTuple):
    """How an Open ended well.

    Args:
        session: the session.
        seq: where its cursor starts.
        recovered: whether it goes on from the resume that was asked for.
        changes: changes of the subscription to be confirmed after this.
    """

    session: Session
    seq: int
    recovered: bool
    changes: Sequence[int]


class ResumePoint(NamedTuple):
    """Where a session wants to go on from, and in which life of the log."""

    epoch: str
    seq: int


def pack(number: int) -> bytes:
    """A session's number as `Delivery.sessions` holds it."""
    return number.to_bytes(4, "little")
