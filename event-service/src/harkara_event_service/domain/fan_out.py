"""Moves the heads of streams: who gets an event live, and which event waits to be superseded.

An event of level low may name a collapse key: a later event of the same user, type and key supersedes
it. The first one goes at once, and opens a **window**. One that follows within the window is **held**,
and replaced by its successor. What is held of a stream goes, in order, when a window of one of its
keys ends, or before any newer event of the stream, whichever is first. Whatever was sent opens a window
anew, so that a key is sent once in an interval as long as nothing newer pushes it on.

    head ──────────── taken ──────────── heard
      │   held, or      │   known of, and   │
      │   superseded    │   not yet read    │

All that lies between a stream's `head` and `taken` is held or superseded. LIVE sessions stand at the
head, so no position passes what is held: whoever is paused, falls behind or attaches anew meanwhile
gets it from the log, and whoever has got past it there does not get it again. Nothing is held where
nobody live wants it.

An ephemeral event (seq 0) has no place in the stream: it moves no head, pushes nothing on, and is
superseded by its like only.

Pure: the time is an argument. Not here: sessions that are behind, and when the log is read
(`registry.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from harkara_event_service.domain.cursor import Attachment, Collapsing, Key, Recipients, Stream, pack
from harkara_event_service.domain.event import Announced

MOST_OF_A_STREAM = 256
MOST_WINDOWS = 500_000
"""How many windows of one stream there are at most, and of all. What is held has a window; an event whose
key cannot have one goes at once, and whatever is held goes before it."""

Sends = Sequence[tuple[Announced, Recipients]]
"""Events to send to live sessions, in order."""


class Moment(NamedTuple):
    """A reading of both clocks.

    Args:
        monotonic: seconds of a clock that never goes back; for windows.
        wall: UTC; for expiries.
    """

    monotonic: float
    wall: datetime


class FanOut:
    """The heads of all streams of this replica.

    Args:
        collapse_seconds: how long a window is; 0 to hold nothing.
        head_moved: told of streams whose head moved while sessions are behind: one that stood beyond the
            head, and between two held events, now has something to read.
    """

    def __init__(self, collapse_seconds: float, head_moved: Callable[[Stream], None]) -> None:
        self._collapse_seconds = collapse_seconds
        self._head_moved = head_moved
        # All windows, the first to end first, for they are equally long. One that was opened anew, and
        # one whose stream was forgotten, stays until its time and then means nothing.
        self._windows: deque[tuple[float, Stream, Key]] = deque()
        self.moved: set[Stream] = set()
        """Streams in which a position may have risen without a delivery."""

    def forget(self, stream: Stream) -> None:
        """Nobody stands in the stream any more, or it begins anew."""
        stream.collapsing = None
        self.moved.discard(stream)

    def take(self, stream: Stream, event: Announced, at: Moment, *, is_wanted: bool = True) -> Sends:
        """Take the next event of a stream.

        Args:
            stream: its stream, whose `taken` is the seq before the event's.
            event: the event.
            at: now.
            is_wanted: False where it is known to be superseded: it is passed, and not sent.

        Returns:
            What goes to live sessions now.
        """
        collapsing = stream.collapsing
        if event.collapse_key is None and event.expires_at is None and collapsing is None:
            recipients = self._move_head(stream, event)
            return ((event, recipients),) if recipients.by_edge else ()
        key = _key_of(event)
        if collapsing is not None and key is not None:
            collapsing.held.pop(key, None)
            is_in_window = collapsing.windows.get(key, 0.0) > at.monotonic
            if is_in_window and is_wanted and self._recipients(stream, event.event_type).by_edge:
                collapsing.held[key] = event
                stream.taken = event.seq
                stream.heard = max(stream.heard, event.seq)
                return ()
        sends = self._let_go(stream, at)
        recipients = self._move_head(stream, event)
        if not is_wanted or event.has_expired(at.wall):
            self.moved.add(stream)
        elif recipients.by_edge:
            sends.append((event, recipients))
            self._open_window(stream, key, at)
        return sends

    def take_ephemeral(self, stream: Stream, event: Announced, at: Moment) -> Sends:
        """Take an event that has no place in the stream; as `take`."""
        if event.has_expired(at.wall):
            return ()
        recipients = self._recipients(stream, event.event_type)
        if not recipients.by_edge:
            return ()
        key = _key_of(event)
        if key is not None and stream.collapsing is not None:
            stream.collapsing.held.pop(key, None)
            if stream.collapsing.windows.get(key, 0.0) > at.monotonic:
                stream.collapsing.held[key] = event
                return ()
        self._open_window(stream, key, at)
        return ((event, recipients),)

    def next_due(self) -> float | None:
        """When `let_go_due` is to be called next, by the monotonic clock; None while there is no window."""
        return self._windows[0][0] if self._windows else None

    def let_go_due(self, at: Moment) -> Sends:
        """Send what is held in the streams of which a window has ended."""
        sends: list[tuple[Announced, Recipients]] = []
        while self._windows and self._windows[0][0] <= at.monotonic:
            ends, stream, key = self._windows.popleft()
            collapsing = stream.collapsing
            if collapsing is None or collapsing.windows.get(key) != ends:
                continue
            if key in collapsing.held:
                sends += self._let_go(stream, at)
            else:
                del collapsing.windows[key]
                if not collapsing.windows:
                    stream.collapsing = None
        return sends

    def _let_go(self, stream: Stream, at: Moment) -> list[tuple[Announced, Recipients]]:
        """Send what is held of a stream: its head then is all that was taken."""
        sends: list[tuple[Announced, Recipients]] = []
        collapsing = stream.collapsing
        if collapsing is None or not collapsing.held:
            return sends
        held, collapsing.held = collapsing.held, {}
        for key, event in held.items():
            del collapsing.windows[key]
            recipients = self._recipients(stream, event.event_type)
            if recipients.by_edge and not event.has_expired(at.wall):
                sends.append((event, recipients))
                self._open_window(stream, key, at)
        if not collapsing.windows:
            stream.collapsing = None
        stream.head = stream.taken
        self.moved.add(stream)
        if stream.behind:
            # Only now, and not at each event: one that stands between two of them reads the rest.
            stream.go_live()
            self._head_moved(stream)
        return sends

    def _open_window(self, stream: Stream, key: Key | None, at: Moment) -> None:
        if key is None or not self._collapse_seconds or len(self._windows) >= MOST_WINDOWS:
            return
        if stream.collapsing is None:
            stream.collapsing = Collapsing()
        elif len(stream.collapsing.windows) >= MOST_OF_A_STREAM:
            return
        ends = at.monotonic + self._collapse_seconds
        stream.collapsing.windows[key] = ends
        self._windows.append((ends, stream, key))

    def _move_head(self, stream: Stream, event: Announced) -> Recipients:
        """Move the head to an event, and say who gets it. Nothing is held."""
        seq = event.seq
        stream.head = stream.taken = seq
        stream.heard = max(stream.heard, seq)
        recipients = self._recipients(stream, event.event_type)
        if not recipients.everyone:
            self.moved.add(stream)
        if stream.behind:
            if stream.go_live():
                self.moved.add(stream)
            self._head_moved(stream)
        return recipients

    @staticmethod
    def _recipients(stream: Stream, event_type: str) -> Recipients:
        """Who gets an event of the type live."""
        cache = stream.recipients
        if cache is None:
            cache = stream.recipients = {}
        recipients = cache.get(event_type)
        if recipients is None:
            recipients = cache[event_type] = _find_recipients(stream, event_type)
        return recipients


def _key_of(event: Announced) -> Key | None:
    if event.collapse_key is None:
        return None
    return Key(event.event_type, event.collapse_key, event.seq == 0)


def _find_recipients(stream: Stream, event_type: str) -> Recipients:
    by_edge: dict[Attachment, list[bytes]] = {}
    count = 0
    for session in stream.live:
        if session.wants(event_type):
            by_edge.setdefault(session.attachment, []).append(pack(session.number))
            count += 1
    return Recipients(
        [(attachment, b"".join(numbers)) for attachment, numbers in by_edge.items()],
        everyone=count == len(stream.live),
    )
