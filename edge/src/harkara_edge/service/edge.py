"""Joins the sockets, the auth-service and the Attach stream around the sessions.

`deliver` is the hot path: everything else happens once per message of a client or less. What is ready
for one socket in one turn leaves in one write: while an answer of the Attach stream is being handled,
frames are gathered on their clients, and `flush` writes them. `_live` is the fence of `domain.states` as
a lookup: it holds the sessions whose cursor stands and whose socket takes bytes, and nobody else.

What does not belong here: bytes on a wire, protobuf, HTTP.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from operator import lt
from struct import Struct, unpack
from typing import Final

import structlog

from harkara_edge.domain import errors
from harkara_edge.domain.commands import (
    Acknowledge,
    AddTypes,
    CloseCursor,
    DisconnectReason,
    Effect,
    End,
    Moment,
    OpenCursor,
    Principal,
    RemoveTypes,
    Reply,
    Verify,
)
from harkara_edge.domain.errors import VerificationError
from harkara_edge.domain.frames import text_frame
from harkara_edge.domain.limits import UnsentTotal
from harkara_edge.domain.revocations import Revocation
from harkara_edge.domain.session import Rules
from harkara_edge.domain.states import State
from harkara_edge.metrics import Metrics
from harkara_edge.ports import EventStream, Socket, TokenVerifier
from harkara_edge.service.client import REPORT_BYTES, Client
from harkara_edge.service.draining import tell_one_by_one
from harkara_edge.service.verification import Verification

LARGE_RUN_BYTES: Final = 64 * 1024
"""More than this is not handed to a socket at once, so that a slow reader is noticed in between."""

MAX_SESSION: Final = 2**32 - 1
_OPENS_IN_A_TURN: Final = 256

_unpack_one: Final = Struct("<I").unpack

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class EdgeService:
    """One edge worker.

    Args:
        rules: Limits and the catalogue's types.
        stream: The way to the event-service.
        verifier: The way to the auth-service.
        unsent: What all sockets hold together.
        clock: Reads both clocks.
        new_connection_id: Makes an unguessable name.
        chance: Returns a number of 0 to 1 that differs between workers.
        metrics: What is counted.
    """

    def __init__(  # noqa: PLR0913 - a composition of that many parts.
        self,
        *,
        rules: Rules,
        stream: EventStream,
        verifier: TokenVerifier,
        unsent: UnsentTotal,
        clock: Callable[[], Moment],
        new_connection_id: Callable[[], str],
        chance: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._rules = rules
        self._stream = stream
        self._verification = Verification(verifier, chance)
        self._unsent = unsent
        self._clock = clock
        self._new_connection_id = new_connection_id
        self._metrics = metrics
        self._clients: dict[int, Client] = {}
        self._live: dict[int, Client] = {}
        self._unverified: set[Client] = set()
        self._numbers = itertools.count(1)
        self._gathering = False
        self._gathered: deque[Client] = deque()
        self._delivered = 0
        self._dropped = 0
        self._verifications: set[asyncio.Task[None]] = set()

    # Called by the sockets.

    @property
    def crowded(self) -> bool:
        """Whether a newcomer is better told so at once: too many are waiting to be verified."""
        return self._verification.crowded

    def connected(self, socket: Socket) -> Client:
        """Take a new connection, its WebSocket handshake done; return what stands for it from now on."""
        at = self._clock()
        client = Client(self._rules, at, socket)
        self._unverified.add(client)
        socket.schedule(client.next_deadline(at))
        return client

    def received(self, client: Client, text: str) -> None:
        """Take a message of a client."""
        self._metrics.messages.inc()
        self._perform(client, client.receive(text, self._clock()))

    def drained(self, client: Client) -> None:
        """Take that a blocked socket sent all it held."""
        client.blocked = False
        if client.state is State.PAUSED:
            self._perform(client, client.drained())

    def due(self, client: Client) -> None:
        """Take that a time came which the service had asked a socket to tell it."""
        at = self._clock()
        self._perform(client, client.due(at))
        if client.state is not State.CLOSED:
            client.socket.schedule(client.next_deadline(at))

    def stalled(self, client: Client) -> None:
        """Take that a socket's unsent bytes stood still for too long."""
        if client.state is not State.CLOSED:
            self._perform(client, client.end(errors.TIMEOUT))

    def broken(self, client: Client) -> None:
        """Take that something of ours failed in the middle of a client's affairs."""
        _log.exception("session_failed", connection_id=client.connection_id)
        if client.state is not State.CLOSED:
            self._perform(client, client.end(errors.INTERNAL_ERROR))

    def flooded(self, client: Client) -> None:
        """Take that a client sends more frames than it may."""
        if client.state is not State.CLOSED:
            self._perform(client, client.end(errors.RATE_LIMITED))

    def gone(self, client: Client, how: str) -> None:
        """Take that a connection is closing or lost; at most once counts.

        Args:
            client: Whose.
            how: The close code sent, "client" where the client closed, "lost" where nobody did.
        """
        if client.state is not State.CLOSED:
            self._perform(client, client.gone())
            self._forget(client, how)

    # Called by the Attach stream. Between `gather` and the end of `flush` nothing else is handled of it.

    def gather(self) -> None:
        """Begin to gather frames instead of writing them."""
        self._gathering = True

    def flush(self, sockets: int) -> bool:
        """Write what was gathered.

        Args:
            sockets: To how many at most, so that the loop is not held for long.

        Returns:
            Whether there is more.
        """
        self._gathering = False
        gathered = self._gathered
        for _ in range(min(sockets, len(gathered))):
            self._write_gathered(gathered.popleft())
        if gathered:
            return True
        if self._delivered:
            self._metrics.deliveries.inc(self._delivered)
            self._delivered = 0
        if self._dropped:
            self._metrics.drops.inc(self._dropped)
            self._dropped = 0
        return False

    def deliver_one(self, session: bytes, seq: int, event: bytes) -> None:
        """Give an event to one session: most deliveries are that.

        Args:
            session: Its number, 4 bytes, little-endian.
            seq: The event's number; 0 for an event outside the log.
            event: The text that the client receives.
        """
        (number,) = _unpack_one(session)
        client = self._live.get(number)
        if client is None:
            self._dropped += 1
            return
        self._delivered += 1
        frame = text_frame(event)
        if client.blocked or 0 < seq <= client.position:
            self._deliver_one_by_one(client, (seq,), (frame,))
            return
        if seq:
            client.position = seq
        client.sent += len(frame)
        before = client.gathered
        if before is None:
            client.gathered = frame
            self._gathered.append(client)
        else:
            client.gathered = before + frame
            if len(before) > LARGE_RUN_BYTES:
                self._write_gathered(client)

    def deliver(
        self, sessions: bytes, seqs: Sequence[int], events: Sequence[bytes], *, at_once: bool
    ) -> None:
        """Give the same events to some sessions.

        Args:
            sessions: Their numbers, each 4 bytes, little-endian.
            seqs: The events' numbers, rising; 0 for an event outside the log.
            events: The text that clients receive, for each.
            at_once: Whether to write them instead of gathering them, because nothing else follows.
        """
        count = len(seqs)
        if count == 1:
            data = text_frame(events[0])
            frames = [data]
        else:
            frames = [text_frame(event) for event in events]
            data = b"".join(frames)
        first, last, size = seqs[0], seqs[-1], len(data)
        plain = size <= LARGE_RUN_BYTES and (count == 1 or (first > 0 and all(map(lt, seqs, seqs[1:]))))
        live, gathered = self._live, self._gathered
        numbers: Sequence[int] = unpack(f"<{len(sessions) // 4}I", sessions)
        missing = 0
        for number in numbers:
            client = live.get(number)
            if client is None:
                missing += 1
            elif not plain or 0 < first <= client.position or client.blocked:
                self._deliver_one_by_one(client, seqs, frames)
            else:
                if last:
                    client.position = last
                client.sent += size
                before = client.gathered
                if before is not None:
                    client.gathered = before + data
                    if len(before) > LARGE_RUN_BYTES:
                        self._write_gathered(client)
                elif at_once:
                    write = client.write
                    write(data)
                    if client.sent >= client.report_at or client.blocked:
                        self._written(client)
                else:
                    client.gathered = data
                    gathered.append(client)
        self._delivered += count * (len(numbers) - missing)
        self._dropped += count * missing

    def _deliver_one_by_one(self, client: Client, seqs: Sequence[int], frames: Sequence[bytes]) -> None:
        """Deliver where every frame may be the one too many, or one that was there already."""
        self._write_gathered(client)
        for seq, frame in zip(seqs, frames, strict=True):
            if client.state is not State.OPEN or 0 < seq <= client.position:
                self._dropped += 1
                self._delivered -= 1
                continue
            client.position = seq or client.position
            client.sent += len(frame)
            client.write(frame)
            self._written(client)

    def _write_gathered(self, client: Client) -> None:
        data = client.gathered
        if data is not None:
            client.gathered = None
            write = client.write
            write(data)
            if client.sent >= client.report_at or client.blocked:
                self._written(client)

    def _written(self, client: Client) -> None:
        if client.sent >= client.report_at:
            client.report_at = client.sent + REPORT_BYTES
            if client.attached:
                self._stream.written(client.number, client.position)
        if client.blocked:
            self._pause_if_too_much(client)

    def _pause_if_too_much(self, client: Client) -> None:
        takes_deliveries = client.state is State.OPEN or client.state is State.REOPENING
        if takes_deliveries and client.socket.unsent() > self._unsent.limit:
            self._live.pop(client.number, None)
            self._metrics.pauses.inc()
            self._perform(client, client.clogged())

    def opened(self, session: int, *, generation: int, epoch: str, seq: int, recovered: bool) -> None:
        """Take that a session's cursor stands."""
        client = self._clients.get(session)
        if client is None:
            return
        at = self._clock()
        is_first = client.state is State.OPENING
        effects = client.opened(generation=generation, epoch=epoch, seq=seq, recovered=recovered, at=at)
        if client.state is State.OPEN and client.generation == generation:
            client.report_at = client.sent + REPORT_BYTES
            self._live[session] = client
        self._perform(client, effects)
        if is_first and client.state is not State.OPENING:
            client.socket.schedule(client.next_deadline(at))

    def types_changed(self, session: int, change: int) -> None:
        """Take that a change of a session's subscription is in force."""
        client = self._clients.get(session)
        if client is not None:
            self._perform(client, client.types_changed(change, self._clock()))

    def advanced(self, sessions: Iterable[int], seqs: Iterable[int]) -> None:
        """Take that cursors passed events that were not for their clients."""
        live = self._live
        for session, seq in zip(sessions, seqs, strict=True):
            client = live.get(session)
            if client is not None:
                client.advanced(seq)

    def disconnected(self, session: int, generation: int, reason: DisconnectReason) -> None:
        """Take that the event-service ends a session."""
        client = self._clients.get(session)
        if client is not None:
            self._perform(client, client.disconnected(generation, reason))

    async def attached(self) -> None:
        """Start the cursors of all sessions on a new stream, no faster than the event-service takes them.

        A few hundred in a turn of the loop, too.
        Cancelled, it leaves the rest without a cursor: the stream is gone then, and `detached` follows.
        """
        for count, client in enumerate(list(self._clients.values()), 1):
            if client.wants_cursor and not client.attached:
                self._perform(client, client.attach())
            if count % _OPENS_IN_A_TURN == 0:
                await asyncio.sleep(0)
                await self._stream.room()

    def detached(self) -> None:
        """Take that the stream is gone: nothing of it may be written any more but what was gathered."""
        while self.flush(len(self._gathered)):
            pass
        self._live.clear()
        at = self._clock()
        for client in self._clients.values():
            if client.wants_cursor:
                client.detached()
                if client.state is State.OPENING:
                    # It waited for an answer; now it waits for a stream, and not as long.
                    client.socket.schedule(client.next_deadline(at))

    def failed(self, session: int) -> None:
        """Take that an item for a session could not be handled: it ends, the others go on."""
        client = self._clients.get(session)
        if client is not None:
            self.broken(client)

    # Called by the watch over revocations.

    def revoked(self, version: int, revocations: list[Revocation]) -> None:
        """Take what the watch tells.

        Args:
            version: Up to which everything is known with this.
            revocations: In rising version.
        """
        if self._verification.learn(version, revocations):
            for client in self._clients.values():
                client.version = min(client.version, version)
        if not revocations:
            return
        by_user = {revocation.user_id: revocation for revocation in revocations}
        for client in list(self._clients.values()):
            revocation = by_user.get(client.user_id)
            # A session that was verified after the change stays.
            if revocation is not None and revocation.version > client.version:
                self._perform(client, client.revoked(revocation.reason))

    def unwatched(self) -> None:
        """Take that the watch is lost: until it tells something again, nobody comes in."""
        self._verification.lost()

    # Called at the end.

    async def drain(self, seconds: float, hurry: asyncio.Event) -> None:
        """Tell every client that this server stops; who was not told yet is served as before.

        Args:
            seconds: Over how long to spread it; 0 tells all at once.
            hurry: Set to tell the rest at once.
        """
        await tell_one_by_one(
            [*self._clients.values(), *self._unverified],
            lambda client: self._perform(client, client.end(errors.SERVER_RESTARTING)),
            seconds,
            hurry,
        )

    async def stop(self) -> None:
        """End what is still being verified."""
        for task in self._verifications:
            task.cancel()
        await asyncio.gather(*self._verifications, return_exceptions=True)

    # What sessions ask for.

    def _perform(self, client: Client, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Reply(text):
                    self._reply(client, text)
                case OpenCursor():
                    self._stream.open(client.number, client.user_id, effect)
                case AddTypes() | RemoveTypes():
                    self._stream.change(client.number, effect)
                case Acknowledge(seq):
                    self._stream.acknowledge(client.number, seq)
                case CloseCursor():
                    self._stream.close(client.number)
                case Verify(token):
                    task = asyncio.create_task(self._verify(client, token))
                    self._verifications.add(task)
                    task.add_done_callback(self._verifications.discard)
                case End(close_code):
                    self._write_gathered(client)
                    client.socket.close(close_code)
                    self._forget(client, str(close_code))
        if effects:
            client.socket.hold(client.holding)

    def _reply(self, client: Client, text: bytes) -> None:
        frame = text_frame(text)
        if client.gathered is not None:
            client.gathered += frame
        elif self._gathering:
            client.gathered = frame
            self._gathered.append(client)
        else:
            client.write(frame)
            if client.blocked:
                self._pause_if_too_much(client)

    def _forget(self, client: Client, how: str) -> None:
        client.gathered = None
        self._unverified.discard(client)
        self._live.pop(client.number, None)
        if self._clients.pop(client.number, None) is not None:
            self._metrics.sessions.dec()
        self._metrics.closes.labels(how).inc()
        # A socket that never said who it is may be anything that scans ports.
        record = _log.info if client.user_id else _log.debug
        record(
            "session_ended",
            close=how,
            user_id=client.user_id,
            connection_id=client.connection_id,
            address=client.socket.address,
            seconds=round(self._clock().monotonic - client.began, 3),
            bytes=client.sent,
            seq=client.position,
        )

    async def _verify(self, client: Client, token: str) -> None:
        try:
            principal = await self._verification.ask(token)
        except VerificationError as error:
            self._metrics.verifications.labels(error.error_code).inc()
            if client.state is not State.CLOSED:
                at = self._clock()
                self._perform(client, client.refused(error.error_code, at))
                if client.standing:
                    client.socket.schedule(client.next_deadline(at))
        except Exception:  # noqa: BLE001 - our fault, whatever it is: the client is told so, the log why.
            self.broken(client)
        else:
            self._metrics.verifications.labels("ok").inc()
            # No await between the answer, its comparison with what the watch told, and its place among
            # the clients that the watch ends.
            if client.state is not State.CLOSED:
                self._welcome(client, principal)

    def _welcome(self, client: Client, principal: Principal) -> None:
        at = self._clock()
        is_first = client.number == 0
        effects = client.verified(
            principal,
            number=self._next_number() if is_first else client.number,
            connection_id=self._new_connection_id() if is_first else client.connection_id,
            attached=self._stream.attached,
            at=at,
        )
        if is_first and client.number:
            self._unverified.discard(client)
            self._clients[client.number] = client
            self._metrics.sessions.inc()
            _log.info(
                "session_began",
                user_id=client.user_id,
                user_role=client.user_role,
                connection_id=client.connection_id,
                address=client.socket.address,
            )
        self._perform(client, effects)
        if client.state is not State.CLOSED:
            client.socket.schedule(client.next_deadline(at))

    def _next_number(self) -> int:
        number = next(self._numbers)
        while number > MAX_SESSION or number in self._clients:
            if number > MAX_SESSION:
                self._numbers = itertools.count(1)
            number = next(self._numbers)
        return number
