"""Brings events to the edges: live as they are announced, and from the log where a cursor is behind.

Where a cursor stands and how it moves is the registry's to know (`domain/cursor.py`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from harkara_event_service.domain.cursor import Attachment, Device, ResumePoint, Session, State
from harkara_event_service.domain.event import Announced, NumberedEvent, announced
from harkara_event_service.domain.fan_out import Moment, Sends
from harkara_event_service.domain.registry import Registry
from harkara_event_service.ports import (
    DisconnectReason,
    EventLog,
    Heads,
    LogUnavailableError,
    Outbox,
)
from harkara_event_service.service.devices import Devices

_log = structlog.get_logger()

READ_USERS = 50
READ_EVENTS = 100
READS_AT_ONCE = 2
EVENTS_A_TURN = 100
ADVANCED_SECONDS = 10.0
BACKLOG_SECONDS = 0.5
LET_GO_SECONDS = 0.01
EPOCH_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """Where one session wants its cursor.

    Args:
        session: the edge's number for it.
        generation: comes back in the answer.
        user_id: whose stream.
        types: what is subscribed.
        wanted: where to go on from, or None to start at the user's last.
        must_continue: whether the connection must end where it cannot go on from `wanted`.
        stopped: whether the cursor is to stand still until the next open.
        device_id: whose acknowledgements the session's are; empty for nobody's.
        from_device: whether to go on after what the device last acknowledged, where `wanted` is None.
    """

    session: int
    generation: int
    user_id: str
    types: Sequence[str]
    wanted: ResumePoint | None
    must_continue: bool
    stopped: bool
    device_id: str = ""
    from_device: bool = False

    @property
    def device(self) -> Device | None:
        """The device, if it names one."""
        return Device(self.user_id, self.device_id) if self.device_id else None


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts over the edges attached here; see `GetStatsResponse`."""

    connections: int
    users: Sequence[str]
    queued_events: int
    active_subscriptions: int


class Delivering:
    """Brings events to the edges.

    Args:
        log: what is read where a cursor is behind.
        registry: the sessions.
        clock: the time now, UTC.
        devices: what devices have acknowledged.
    """

    def __init__(
        self, log: EventLog, registry: Registry, clock: Callable[[], datetime], devices: Devices
    ) -> None:
        self._log = log
        self._registry = registry
        self._clock = clock
        self._devices = devices
        self._outboxes: dict[Attachment, Outbox] = {}
        self._reads_wanted = asyncio.Event()
        self._held_wanted = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._epoch: str | None = None
        self.is_swamped = False
        """Whether more sessions wait for the log than it can serve soon; looked at twice a second."""

    # The edges' streams.

    def attach(self, edge: str, outbox: Outbox) -> Attachment:
        """An edge worker's stream began; what it is to do goes into `outbox`."""
        attachment = Attachment(edge)
        self._outboxes[attachment] = outbox
        return attachment

    def detach(self, attachment: Attachment) -> None:
        """The stream ended: its sessions are forgotten, for the edge opens them elsewhere."""
        self._devices.left(session.device for session in attachment.sessions.values() if session.device)
        self._registry.detach(attachment)
        del self._outboxes[attachment]

    def drain(self) -> None:
        """Tell every edge that this replica stops."""
        for outbox in self._outboxes.values():
            outbox.drain()

    def open(self, attachment: Attachment, requests: Sequence[OpenRequest]) -> None:
        """Let cursors stand; each is answered by `opened` or `disconnect`."""
        opening: list[tuple[Session, OpenRequest]] = []
        outbox = self._outboxes[attachment]
        for request in requests:
            session = self._registry.open(
                attachment,
                request.session,
                request.generation,
                request.user_id,
                request.types,
                is_new=not request.must_continue,
                stopped=request.stopped,
            )
            if session is None:
                outbox.disconnect(request.session, request.generation, DisconnectReason.TOO_MANY_CONNECTIONS)
            else:
                session.device = request.device
                opening.append((session, request))
        if opening:
            self._spawn(self._start(attachment, opening))

    async def _start(self, attachment: Attachment, opening: list[tuple[Session, OpenRequest]]) -> None:
        """Read heads until the sessions that can wait have one, and start all of them."""
        pause = 0.05
        while opening:
            # Before the heads: what was acknowledged then lies within them.
            points = await self._points([request for _, request in opening])
            heads = await self._heads([request.user_id for _, request in opening])
            if points is not None and heads is not None:
                self._start_at(attachment, opening, heads, points)
                return
            # A new connection is told to come back; one that is there already stays and waits.
            for session, request in opening:
                if not request.must_continue and self._is_current(attachment, session, request):
                    self._end(attachment, session, DisconnectReason.UNAVAILABLE)
            opening = [
                (session, request)
                for session, request in opening
                if request.must_continue and self._is_current(attachment, session, request)
            ]
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret.
            pause = min(2 * pause, 1.0)

    async def _points(self, requests: Sequence[OpenRequest]) -> Mapping[Device, ResumePoint] | None:
        """Read where devices stand, of those who want to know; None where that cannot be done now."""
        devices = {
            request.device
            for request in requests
            if request.from_device and request.wanted is None and request.device is not None
        }
        if not devices:
            return {}
        try:
            return await self._devices.points(devices)
        except LogUnavailableError:
            return None
        except Exception:  # noqa: BLE001 - as for heads.
            _log.exception("device_cursors_failed")
            return None

    async def _heads(self, user_ids: Sequence[str]) -> Heads | None:
        """Read heads, of the log's life of now; None where that cannot be done now."""
        try:
            while True:
                known = self._epoch
                heads = await self._log.heads(user_ids)
                if known not in {None, self._epoch}:
                    continue  # Another read has met a new life since: these may be of the former.
                if self._epoch in {None, heads.epoch}:
                    self._epoch = heads.epoch
                    return heads
                # What was committed since these were read was held against the former life's heads.
                self._leave_life(heads.epoch)
        except LogUnavailableError:
            return None
        except Exception:  # noqa: BLE001 - whatever it is, no session may wait for an answer for ever.
            _log.exception("heads_failed")
            return None

    def _leave_life(self, epoch: str) -> None:
        """End every session that stands in the former life; its client resumes, and learns of the new one."""
        self._epoch = epoch
        stood = self._registry.leave_life()
        for session in stood:
            self._end(session.attachment, session, DisconnectReason.RESUME_LOST)
        self._devices.begin(epoch)
        _log.warning("log_epoch_changed", sessions=len(stood))

    def _start_at(
        self,
        attachment: Attachment,
        opening: Sequence[tuple[Session, OpenRequest]],
        heads: Heads,
        points: Mapping[Device, ResumePoint],
    ) -> None:
        outbox = self._outboxes.get(attachment)
        if outbox is None:
            return
        for session, request in opening:
            if not self._is_current(attachment, session, request):
                continue
            head = heads.by_user[request.user_id]
            wanted = request.wanted
            if wanted is None and request.from_device and request.device is not None:
                wanted = points.get(request.device)
            started = self._registry.start(session, head.last_seq, head.floor_seq, heads.epoch, wanted)
            if request.must_continue and not started.recovered:
                self._end(attachment, session, DisconnectReason.RESUME_LOST)
                continue
            outbox.opened(
                request.session, request.generation, heads.epoch, started.seq, recovered=started.recovered
            )
            for change in started.changes:
                outbox.subscribed(request.session, change)
        self._wake()

    @staticmethod
    def _is_current(attachment: Attachment, session: Session, request: OpenRequest) -> bool:
        """Whether the session waits for this very Open: it was not closed, and no later one came."""
        return (
            attachment.sessions.get(request.session) is session
            and session.generation == request.generation
            and session.state is State.OPENING
        )

    def _end(self, attachment: Attachment, session: Session, reason: DisconnectReason) -> None:
        self._close(session)
        outbox = self._outboxes.get(attachment)
        if outbox is not None:
            outbox.disconnect(session.number, session.generation, reason)

    def close(self, attachment: Attachment, number: int) -> None:
        """Forget a session."""
        session = attachment.sessions.get(number)
        if session is not None:
            self._close(session)

    def _close(self, session: Session) -> None:
        if session.device is not None:
            self._devices.left([session.device])
        self._registry.close(session)

    def subscribe(self, attachment: Attachment, number: int, types: Iterable[str], change: int) -> None:
        """Add types to a session's subscription."""
        session = attachment.sessions.get(number)
        if session is not None and self._registry.subscribe(session, types, change):
            self._outboxes[attachment].subscribed(number, change)

    def unsubscribe(self, attachment: Attachment, number: int, types: Iterable[str], change: int) -> None:
        """Take types from a session's subscription."""
        session = attachment.sessions.get(number)
        if session is not None and self._registry.unsubscribe(session, types, change):
            self._outboxes[attachment].subscribed(number, change)

    def written(self, attachment: Attachment, number: int, seq: int) -> None:
        """The edge wrote everything up to `seq` to the session's connection."""
        session = attachment.sessions.get(number)
        if session is not None:
            self._registry.written(session, seq)
            self._wake()

    def acknowledge(self, attachment: Attachment, number: int, seq: int) -> None:
        """The session's client has dealt with everything up to `seq`; counts for its device, if it named one.

        Where the cursor does not stand, nothing is known of what was sent: the edge says it again.
        """
        session = attachment.sessions.get(number)
        if session is None or session.device is None or self._epoch is None:
            return
        sent_until = session.sent_until()
        if sent_until is not None:
            self._devices.acknowledge(self._epoch, session.device, min(seq, sent_until))

    def has_room(self, attachment: Attachment) -> None:
        """The edge's outbox takes more after it was full."""
        self._registry.has_room(attachment)
        self._wake()

    # Events on their way.

    def announce(self, events: Iterable[Announced]) -> None:
        """Fan committed events out to the live sessions, in commit order."""
        registry = self._registry
        at = self._now()
        for event in events:
            self._send(registry.announce(event, at))
        self._wake()

    def announce_ephemeral(self, events: Iterable[Announced]) -> None:
        """Hand events that are kept nowhere to the live sessions; nobody who is behind gets them."""
        at = self._now()
        for event in events:
            self._send(self._registry.announce_ephemeral(event, at))
        self._wake()

    def _now(self) -> Moment:
        return Moment(asyncio.get_running_loop().time(), self._clock())

    def _send(self, sends: Sends) -> None:
        for event, recipients in sends:
            for attachment, sessions in recipients.by_edge:
                self._deliver(attachment, sessions, event)

    def hear(self, last_seqs: Iterable[tuple[str, int]]) -> None:
        """Take note of how far users' streams reach: what is not known of them is read from the log."""
        for user_id, last_seq in last_seqs:
            self._registry.hear(user_id, last_seq)
        self._wake()

    def users(self) -> list[str]:
        """The users that have a session here."""
        return list(self._registry.users())

    def _deliver(self, attachment: Attachment, sessions: bytes, event: Announced) -> None:
        is_taken = self._outboxes[attachment].deliver(sessions, event.seq, event.text)
        # An ephemeral event is nothing that could be read later.
        if not is_taken and event.seq:
            self._registry.fall_behind(attachment, sessions, event.seq - 1)

    def _wake(self) -> None:
        """Wake whoever has something to do now."""
        if self._registry.has_reads():
            self._reads_wanted.set()
        if self._registry.next_due() is not None:
            self._held_wanted.set()

    async def run(self) -> None:
        """Serve the cursors that are behind, tell of what rose unseen, and watch; until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(READS_AT_ONCE):
                group.create_task(self._catch_up())
            group.create_task(self._let_go())
            group.create_task(self._tell_advanced())
            group.create_task(self._watch_backlog())
            group.create_task(self._watch_epoch())

    async def _catch_up(self) -> None:
        pause = 0.05
        while True:
            await self._reads_wanted.wait()
            reads = self._registry.take_reads(READ_USERS)
            if not reads:
                self._reads_wanted.clear()
                continue
            pages = await self._read(reads)
            if pages is None:
                self._registry.give_back(reads)
                self._wake()
                await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret.
                pause = min(2 * pause, 1.0)
            else:
                pause = 0.05
                await self._apply_all(reads, pages)

    async def _read(self, reads: Mapping[str, int]) -> Mapping[str, Sequence[NumberedEvent]] | None:
        """Read pages; None where that cannot be done now."""
        try:
            return await self._log.read(reads, READ_EVENTS)
        except LogUnavailableError:
            return None
        except Exception:  # noqa: BLE001 - what one user's rows do must not end everybody's catch-up.
            _log.exception("read_failed", users=len(reads))
            return None

    async def _apply_all(
        self, reads: Mapping[str, int], pages: Mapping[str, Sequence[NumberedEvent]]
    ) -> None:
        """Apply a page for each user, and let others in between: thousands of events hold the loop for long.

        A page says what the log holds, so it is as true after a turn of the loop as before. Only
        within one user's page nothing may come in between.
        """
        count = 0
        for user_id, position in reads.items():
            page = pages.get(user_id, ())
            self._apply(user_id, position, page)
            self._wake()
            count += len(page)
            if count >= EVENTS_A_TURN:
                count = 0
                await asyncio.sleep(0)

    def _apply(self, user_id: str, position: int, page: Sequence[NumberedEvent]) -> None:
        if not page or page[0].seq != position + 1:
            lost = self._registry.take_lost(user_id, position, page[0].seq if page else None)
            for session in lost:
                self._end(session.attachment, session, DisconnectReason.RESUME_LOST)
        events = [announced(numbered) for numbered in page]
        to_send = self._registry.apply_page(user_id, events, self._now())
        for attachment, sessions, event, is_live in to_send:
            if is_live:
                self._deliver(attachment, sessions, event)
            elif not self._outboxes[attachment].catch_up(sessions, event.seq, event.text):
                self._registry.fill(attachment)

    async def _let_go(self) -> None:
        """Send what is held when its time comes."""
        while True:
            await self._held_wanted.wait()
            due = self._registry.next_due()
            if due is None:
                self._held_wanted.clear()
                continue
            # Not for each of thousands of windows by itself.
            await asyncio.sleep(max(LET_GO_SECONDS, due - asyncio.get_running_loop().time()))
            self._send(self._registry.let_go_due(self._now()))
            self._wake()

    async def _watch_backlog(self) -> None:
        while True:
            await asyncio.sleep(BACKLOG_SECONDS)
            was, self.is_swamped = self.is_swamped, self._registry.is_swamped()
            if was is not self.is_swamped:
                _log.warning("emitters_slowed" if self.is_swamped else "emitters_free")

    async def _watch_epoch(self) -> None:
        """Notice a new life of the log even while nobody opens a session."""
        while True:
            await asyncio.sleep(EPOCH_SECONDS)
            await self.notice_epoch()

    async def notice_epoch(self) -> bool:
        """Look whether the log began a new life; then whoever stands in the former one is ended.

        Returns:
            Whether that could be done.
        """
        return await self._heads(()) is not None

    async def _tell_advanced(self) -> None:
        while True:
            await asyncio.sleep(ADVANCED_SECONDS)
            self.tell_advanced()

    def tell_advanced(self) -> None:
        """Tell the edges of positions that rose past events which nobody there was subscribed to."""
        for attachment, positions in self._registry.take_advanced().items():
            self._outboxes[attachment].advanced(positions)

    def stats(self) -> Stats:
        """The counts of now."""
        registry = self._registry
        return Stats(
            connections=registry.session_count,
            users=self.users(),
            queued_events=registry.queued_events(),
            active_subscriptions=registry.active_subscriptions(),
        )

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close_all(self) -> None:
        """End what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
