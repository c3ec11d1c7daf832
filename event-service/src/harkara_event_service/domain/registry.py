"""The sessions of every edge attached here: who gets which event, and what is to be read from the log.

`cursor.py` tells where a session stands and how it moves.

Pure: no clock, no I/O. The caller hands over what it read and sends what it is told to, in order and
without awaiting in between. Not here: encoding, queues of bytes, the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from harkara_event_service.domain.cursor import (
    EVERYTHING,
    WINDOW_BYTES,
    Attachment,
    ResumePoint,
    Session,
    Started,
    State,
    Stream,
    ToSend,
    can_take,
    pack,
)
from harkara_event_service.domain.event import Announced
from harkara_event_service.domain.fan_out import FanOut, Moment, Sends

SWAMPED_SESSIONS = 100
"""Fewer sessions than this that wait for the log are no reason to slow the emitters."""


class Registry:
    """The sessions of every edge attached to this replica.

    Args:
        max_sessions_per_user: how many connections one user may have over all edges.
        size_of_catalogue: how many types `*` stands for in counts.
        collapse_seconds: for how long events are held that a later one may supersede; 0 for not at all.
    """

    def __init__(
        self, *, max_sessions_per_user: int, size_of_catalogue: int, collapse_seconds: float = 0.0
    ) -> None:
        self._max_sessions_per_user = max_sessions_per_user
        self._size_of_catalogue = size_of_catalogue
        self._streams: dict[str, Stream] = {}
        self._to_read: dict[Stream, None] = {}
        self._fan_out = FanOut(collapse_seconds, head_moved=self._want_read)
        self._interned: dict[frozenset[str], frozenset[str]] = {}
        self.session_count = 0

    # Sessions come and go.

    def open(  # noqa: PLR0913 - it is the command Open.
        self,
        attachment: Attachment,
        number: int,
        generation: int,
        user_id: str,
        types: Iterable[str],
        *,
        is_new: bool,
        stopped: bool,
    ) -> Session | None:
        """Put a session into OPENING; nothing goes to it until `start`.

        Args:
            attachment: the edge's stream.
            number: the edge's number for the connection.
            generation: comes back in `start`.
            user_id: whose stream.
            types: what is subscribed.
            is_new: whether the connection is counted against the user's limit now.
            stopped: whether the cursor is to stand still until the next open.

        Returns:
            The session, or None where the user has too many; then nothing changed.
        """
        session = attachment.sessions.get(number)
        if session is not None and session.stream.user_id != user_id:
            self.close(session)
            session = None
        if session is None:
            stream = self._streams.get(user_id)
            if stream is None:
                stream = self._streams[user_id] = Stream(user_id)
            elif is_new and len(stream.live) + len(stream.behind) >= self._max_sessions_per_user:
                return None
            session = Session(attachment, number, stream)
            attachment.sessions[number] = session
            stream.behind.append(session)
            self.session_count += 1
        elif session.state is State.LIVE:
            session.stream.leave_live(session)
        session.generation = generation
        session.state = State.OPENING
        session.stopped = stopped
        session.types = self._intern(types)
        session.under_way = None
        session.under_way_bytes = 0
        return session

    def start(
        self, session: Session, last_seq: int, floor_seq: int, epoch: str, wanted: ResumePoint | None
    ) -> Started:
        """Let an OPENING session's cursor stand.

        Args:
            session: the session.
            last_seq: the user's last, read from the primary after `open`.
            floor_seq: the highest seq that retention took away.
            epoch: the log's.
            wanted: where to go on from; None to start at the user's last.

        Returns:
            How it starts; `recovered` is False where `wanted` cannot be had, and the cursor then starts
            at the user's last.
        """
        stream = session.stream
        if stream.head is None:
            stream.head = stream.taken = last_seq
        stream.heard = max(stream.heard, last_seq)
        # Nobody can have seen what this replica knows to be committed and the primary does not show yet.
        last = max(last_seq, stream.taken or 0)
        recovered = wanted is not None and wanted.epoch == epoch and floor_seq <= wanted.seq <= last
        session.position = session.told = wanted.seq if recovered and wanted is not None else last
        session.state = State.BEHIND
        changes, session.waiting_changes = session.waiting_changes or (), None
        self._go_live(stream)
        self._want_read(stream)
        return Started(session, session.position, recovered, changes)

    def close(self, session: Session) -> None:
        """Forget a session."""
        if session.attachment.sessions.pop(session.number, None) is None:
            return
        self.session_count -= 1
        stream = session.stream
        if session.state is State.LIVE:
            stream.live.remove(session)
            stream.recipients = None
        else:
            stream.behind.remove(session)
        if not stream.live and not stream.behind:
            del self._streams[stream.user_id]
            self._to_read.pop(stream, None)
            self._fan_out.forget(stream)

    def detach(self, attachment: Attachment) -> None:
        """Forget all sessions of an edge's stream that ended."""
        for session in list(attachment.sessions.values()):
            self.close(session)

    def leave_life(self) -> list[Session]:
        """Forget where every stream stood: the log began a new life, in which numbers name other events.

        Returns:
            The sessions whose cursors stood, to be ended. Those being opened get a head of the new life.
        """
        stood: list[Session] = []
        for stream in self._streams.values():
            stream.head = stream.taken = None
            stream.heard = 0
            self._fan_out.forget(stream)
            stood += stream.live
            stood += [session for session in stream.behind if session.state is not State.OPENING]
        return stood

    # Subscriptions.

    def subscribe(self, session: Session, types: Iterable[str], change: int) -> bool:
        """Add types; see `_change`."""
        return self._change(session, session.types | frozenset(types), change)

    def unsubscribe(self, session: Session, types: Iterable[str], change: int) -> bool:
        """Take types away; see `_change`."""
        return self._change(session, session.types - frozenset(types), change)

    def _change(self, session: Session, types: frozenset[str], change: int) -> bool:
        """Put a new set in force; returns whether to confirm it now (else `start` says when)."""
        session.types = self._intern(types)
        if session.state is State.OPENING:
            session.waiting_changes = [*(session.waiting_changes or ()), change]
            return False
        session.stream.recipients = None
        return True

    def _intern(self, types: Iterable[str]) -> frozenset[str]:
        """One object for each set that is in use: most sessions of a business have one of a few."""
        wanted = frozenset(types)
        if len(self._interned) > 10_000:
            self._interned.clear()
        return self._interned.setdefault(wanted, wanted)

    # Events.

    def announce(self, event: Announced, at: Moment) -> Sends:
        """Take note of a committed event, and say what goes to live sessions now."""
        stream = self._streams.get(event.user_id)
        if stream is None:
            return ()
        taken = stream.taken
        seq = event.seq
        if taken is None or seq > taken + 1:
            stream.heard = max(stream.heard, seq)
            self._want_read(stream)
            return ()
        if seq <= taken:
            return ()
        return self._fan_out.take(stream, event, at)

    def announce_ephemeral(self, event: Announced, at: Moment) -> Sends:
        """Say to which live sessions an event goes that has no place in the log."""
        stream = self._streams.get(event.user_id)
        return () if stream is None else self._fan_out.take_ephemeral(stream, event, at)

    def hear(self, user_id: str, last_seq: int) -> None:
        """Take note that a user's stream reaches up to `last_seq`: what is beyond the head is read."""
        stream = self._streams.get(user_id)
        if stream is not None and (stream.taken is None or last_seq > stream.taken):
            stream.heard = max(stream.heard, last_seq)
            self._want_read(stream)

    def next_due(self) -> float | None:
        """When `let_go_due` is to be called; see `FanOut`."""
        return self._fan_out.next_due()

    def let_go_due(self, at: Moment) -> Sends:
        """Say what goes to live sessions now that was held; see `FanOut`."""
        return self._fan_out.let_go_due(at)

    def fall_behind(self, attachment: Attachment, sessions: bytes, position: int) -> None:
        """Put live sessions behind: their edge's queue took nothing for them after `position`.

        Args:
            attachment: the edge's stream, whose queue is full.
            sessions: as in `Recipients`.
            position: the seq before the event that was left out.
        """
        self.fill(attachment)
        for start in range(0, len(sessions), 4):
            session = attachment.sessions.get(int.from_bytes(sessions[start : start + 4], "little"))
            if session is not None and session.state is State.LIVE:
                session.stream.leave_live(session)
                session.state = State.BEHIND
                session.position = position

    def fill(self, attachment: Attachment) -> None:
        """Read no more of the log for an edge's sessions until `has_room`: its queue is full."""
        attachment.full = True

    def _go_live(self, stream: Stream) -> None:
        if stream.go_live():
            self._fan_out.moved.add(stream)

    # Reading the log.

    def _want_read(self, stream: Stream) -> None:
        if not stream.reading and self._is_read_wanted(stream):
            self._to_read[stream] = None

    @staticmethod
    def _is_read_wanted(stream: Stream) -> bool:
        """Whether the log has something that a cursor of the stream, or its head, could take now."""
        head, taken = stream.head, stream.taken
        if head is None or taken is None:
            return False
        return stream.heard > taken or any(can_take(session, head) for session in stream.behind)

    @staticmethod
    def _take_position(stream: Stream) -> int | None:
        """After which seq to read next: the head and the sessions that are behind it take turns.

        One that has a million events to catch up with must hold up neither another session of its user
        nor those that wait at the head for a lost hint.
        """
        head, taken = stream.head, stream.taken
        if head is None or taken is None:
            return None
        # The head moves for those who stand at it; were there none, it would move for nobody.
        is_head_short = stream.heard > taken
        if is_head_short and not stream.head_had_its_turn:
            stream.head_had_its_turn = True
            return taken
        for index, session in enumerate(stream.behind):
            if can_take(session, head):
                stream.behind = stream.behind[index + 1 :] + stream.behind[: index + 1]
                stream.head_had_its_turn = False
                return session.position
        return taken if is_head_short else None

    def take_reads(self, most: int) -> dict[str, int]:
        """What to read from the log next: for each of at most `most` users the seq to read after.

        Each must be answered by `apply_page` or `give_back`.
        """
        reads: dict[str, int] = {}
        while self._to_read and len(reads) < most:
            stream = next(iter(self._to_read))
            del self._to_read[stream]
            position = self._take_position(stream)
            if position is not None:
                stream.reading = True
                reads[stream.user_id] = position
        return reads

    def has_reads(self) -> bool:
        """Whether `take_reads` would give any."""
        return bool(self._to_read)

    def give_back(self, user_ids: Iterable[str]) -> None:
        """The read failed: it is wanted still."""
        for user_id in user_ids:
            stream = self._streams.get(user_id)
            if stream is not None:
                stream.reading = False
                self._want_read(stream)

    def apply_page(self, user_id: str, page: Sequence[Announced], at: Moment) -> list[ToSend]:
        """Move cursors along a page of the log.

        A session whose window closes stops where it is. What has expired, and what a later event of the
        page supersedes, is passed and not sent.

        Args:
            user_id: whose stream.
            page: consecutive events by rising seq.
            at: now.

        Returns:
            What to send, in order.
        """
        stream = self._streams.get(user_id)
        if stream is None:
            return []
        stream.reading = False
        to_send: list[ToSend] = []
        if stream.taken is not None:
            newest = {
                (event.event_type, event.collapse_key): event.seq
                for event in page
                if event.collapse_key is not None
            }
            for event in page:
                is_wanted = event.collapse_key is None or (
                    newest[event.event_type, event.collapse_key] == event.seq
                )
                self._pass_behind(
                    stream, event, to_send, is_wanted=is_wanted and not event.has_expired(at.wall)
                )
                if event.seq == stream.taken + 1:
                    for sent, recipients in self._fan_out.take(stream, event, at, is_wanted=is_wanted):
                        to_send += [
                            ToSend(attachment, sessions, sent, is_live=True)
                            for attachment, sessions in recipients.by_edge
                        ]
            self._go_live(stream)
            self._fan_out.moved.add(stream)
        self._want_read(stream)
        return to_send

    def take_lost(self, user_id: str, position: int, first: int | None) -> list[Session]:
        """Give up what stands before a hole: retention took away what comes after `position`.

        Call it before `apply_page`, where the page read after `position` does not begin with the next seq.

        Args:
            user_id: whose stream.
            position: where the read began.
            first: the first seq of the page; None where it is empty.

        Returns:
            The sessions that stood at `position`: they cannot go on.
        """
        stream = self._streams.get(user_id)
        if stream is None:
            return []
        lost = [
            session
            for session in stream.behind
            if session.state is State.BEHIND and session.position == position
        ]
        if stream.taken == position:
            lost += stream.live
            stream.head = stream.taken = stream.heard if first is None else first - 1
            self._fan_out.forget(stream)
        return lost

    @staticmethod
    def _pass_behind(stream: Stream, event: Announced, to_send: list[ToSend], *, is_wanted: bool) -> None:
        """Move the sessions that stand just before `event` past it."""
        for session in stream.behind:
            if (
                session.state is not State.BEHIND
                or session.stopped
                or session.position != event.seq - 1
                or session.under_way_bytes >= WINDOW_BYTES
                or session.attachment.full
            ):
                continue
            session.position = event.seq
            if is_wanted and session.wants(event.event_type):
                if session.under_way is None:
                    session.under_way = deque()
                size = event.text_bytes
                session.under_way.append((event.seq, size))
                session.under_way_bytes += size
                to_send.append(ToSend(session.attachment, pack(session.number), event, is_live=False))

    def written(self, session: Session, seq: int) -> None:
        """The session's edge wrote everything up to `seq`: the window opens by as much."""
        under_way = session.under_way
        if under_way is None:
            return
        while under_way and under_way[0][0] <= seq:
            session.under_way_bytes -= under_way.popleft()[1]
        self._want_read(session.stream)

    def has_room(self, attachment: Attachment) -> None:
        """The edge's queue takes more: whoever fell behind there is served again."""
        attachment.full = False
        for stream in {
            session.stream for session in attachment.sessions.values() if session.state is not State.LIVE
        }:
            self._want_read(stream)

    # Positions that rose unseen, and counts.

    def take_advanced(self) -> dict[Attachment, list[tuple[int, int]]]:
        """Sessions whose position rose past events that they did not get: number and position, by edge."""
        advanced: dict[Attachment, list[tuple[int, int]]] = {}
        for stream in self._fan_out.moved:
            for session in (*stream.live, *stream.behind):
                if session.state is State.LIVE and stream.head is not None:
                    position = stream.head
                elif session.state is State.BEHIND:
                    position = session.position
                else:
                    continue
                if position > session.told:
                    session.told = position
                    advanced.setdefault(session.attachment, []).append((session.number, position))
        self._fan_out.moved.clear()
        return advanced

    def users(self) -> Iterable[str]:
        """The users that have a session here, each once."""
        return self._streams.keys()

    def is_swamped(self) -> bool:
        """Whether so many sessions wait for the log that new events should wait for them.

        A tenth of all, and `SWAMPED_SESSIONS` at least. Those that stand still or have their window full
        wait for their own connection, and those whose edge's queue is full for that edge: they do not
        count, for one slow connection or edge delays nobody else.
        """
        waiting = sum(
            1
            for stream in self._streams.values()
            for session in stream.behind
            if stream.head is not None and can_take(session, stream.head)
        )
        return waiting >= SWAMPED_SESSIONS and waiting * 10 > self.session_count

    def queued_events(self) -> int:
        """Σ (highest seq heard - position) over the sessions that are behind.

        Behind are the live ones too, by what is held for them.
        """
        held = sum(
            (stream.taken - stream.head) * len(stream.live)
            for stream in self._streams.values()
            if stream.head is not None and stream.taken is not None
        )
        return held + sum(
            max(0, stream.heard - session.position)
            for stream in self._streams.values()
            for session in stream.behind
            if session.state is State.BEHIND
        )

    def active_subscriptions(self) -> int:
        """Σ subscribed types over the sessions; `*` counts as the whole catalogue."""
        return sum(
            self._size_of_catalogue if EVERYTHING in session.types else len(session.types)
            for stream in self._streams.values()
            for session in (*stream.live, *stream.behind)
        )
