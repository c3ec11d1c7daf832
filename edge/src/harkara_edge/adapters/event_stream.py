"""The Attach stream: commands up, what follows from them down, opened again for ever.

Commands of one turn of the loop leave as one message. An answer is handled whole before the next one is
read, in the order of its items; deliveries that name the same sessions one after the other are handed
on together. While there is no stream, commands are dropped: the next one starts with an `Open` for each
session.

Death is noticed by silence, counted in looks and not read off a clock: a loop that itself was held for
three seconds has not looked, and finds what came meanwhile first.

A replica that is about to stop says so and goes on for a while: its stream is kept until another replica
has answered, so that sessions are without one for no longer than their `Open` takes. A worker comes back to
its own replica in the same way.

What does not belong here: finding a replica (`attaching`), and what a session does with an answer
(`service`, `domain.session`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

import structlog
from grpc import aio

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara_edge.adapters.attaching import Call, Finder, Line, StreamEndedError, why
from harkara_edge.domain.commands import AddTypes, DisconnectReason, OpenCursor, RemoveTypes
from harkara_edge.metrics import Metrics
from harkara_edge.service import EdgeService

MAX_MESSAGE_BYTES: Final = 900 * 1024
"""Of one message, by an estimate from above; the contract allows 1 MiB."""

MAX_QUEUED_BYTES: Final = 32 * 1024 * 1024
"""Commands that wait while the other side reads nothing; more, and the stream is given up."""

CROWDED_BYTES: Final = 4 * 1024 * 1024
"""Commands that wait when whoever opens many sessions at once had better wait too."""

TICK_SECONDS: Final = 1.0
SILENT_TICKS: Final = 3
SOCKETS_IN_A_TURN: Final = 512
_COMMAND_BYTES: Final = 64
_SESSION_BYTES: Final = 4

_REASONS: Final = {
    pb.DISCONNECT_REASON_TOO_MANY_CONNECTIONS: DisconnectReason.TOO_MANY_CONNECTIONS,
    pb.DISCONNECT_REASON_RESUME_LOST: DisconnectReason.RESUME_LOST,
    pb.DISCONNECT_REASON_UNAVAILABLE: DisconnectReason.UNAVAILABLE,
}

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(slots=True)
class _Outgoing:
    """A message that waits, and may still be added to.

    Args:
        request: The message.
        size: Its bytes, by an estimate from above.
    """

    request: pb.AttachRequest
    size: int = 0


class AttachStream:
    """This worker's stream.

    Args:
        finder: Finds replicas of the event-service.
        worker: This worker's name, for the log.
        metrics: What is counted.
    """

    def __init__(self, *, finder: Finder, worker: str, metrics: Metrics) -> None:
        self._finder = finder
        self._worker = worker
        self._metrics = metrics
        self._next: Line | None = None
        self._draining = asyncio.Event()
        self._attached = False
        self._queue: deque[_Outgoing] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._taken = asyncio.Event()
        self._heard = False
        self._said = False

    # The port.

    @property
    def attached(self) -> bool:
        """Whether there is a stream."""
        return self._attached

    def open(self, session: int, user_id: str, command: OpenCursor) -> None:
        """Start a session's cursor."""
        item = self._command(sum(map(len, command.types)) + 4 * len(command.types) + 384)
        if item is None:
            return
        open_ = item.open
        open_.session = session
        open_.generation = command.generation
        open_.user_id = user_id
        open_.types.extend(command.types)
        if command.after_seq is not None:
            open_.after_seq = command.after_seq
            open_.epoch = command.epoch
        if command.resume is not None:
            open_.resume.epoch = command.resume.epoch
            open_.resume.seq = command.resume.seq
        if command.paused:
            open_.paused = True
        if command.device_id:
            open_.device_id = command.device_id
            open_.from_device = command.from_device

    def change(self, session: int, command: AddTypes | RemoveTypes) -> None:
        """Change what a cursor selects."""
        item = self._command(sum(map(len, command.types)) + 4 * len(command.types))
        if item is not None:
            change = item.subscribe if isinstance(command, AddTypes) else item.unsubscribe
            change.session = session
            change.change = command.change
            change.types.extend(command.types)

    def written(self, session: int, seq: int) -> None:
        """Report progress of a catch-up."""
        item = self._command(0)
        if item is not None:
            item.written.session = session
            item.written.seq = seq

    def acknowledge(self, session: int, seq: int) -> None:
        """Report what a client acknowledged."""
        item = self._command(0)
        if item is not None:
            item.ack.session = session
            item.ack.seq = seq

    def close(self, session: int) -> None:
        """End a cursor."""
        item = self._command(0)
        if item is not None:
            item.close.session = session

    async def room(self) -> None:
        """Wait while much is queued. Cancelled, it has done nothing."""
        while self._queued_bytes > CROWDED_BYTES:
            self._taken.clear()
            await self._taken.wait()

    def _command(self, size: int) -> pb.AttachCommand | None:
        if not self._attached:
            return None
        size += _COMMAND_BYTES
        if not self._queue or self._queue[-1].size + size > MAX_MESSAGE_BYTES:
            self._enqueue()
        last = self._queue[-1]
        last.size += size
        self._queued_bytes += size
        self._said = True
        return last.request.commands.add()

    def _enqueue(self) -> None:
        self._queue.append(_Outgoing(pb.AttachRequest()))
        self._wake.set()

    # The stream's life.

    async def run(self, service: EdgeService) -> None:
        """Keep a stream open until cancelled.

        Args:
            service: What takes the answers.
        """
        try:
            while True:
                line, self._next = self._next or await self._finder.find(), None
                # A task of its own, and not awaited but waited for: up to Python 3.12 a TaskGroup forgets
                # that it was cancelled where a child fails just then, and this loop would go on for ever.
                living = asyncio.create_task(self._live(line, service))
                try:
                    await asyncio.wait({living})
                finally:
                    living.cancel()
                    await asyncio.wait({living})
        finally:
            if self._next is not None:
                await self._next.close()

    async def _live(self, line: Line, service: EdgeService) -> None:
        """Use a stream until it ends."""
        try:
            self._begin(line)
            if line.first.items:
                await self._handle(line.first, service)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(line.call, service))
                tasks.create_task(self._write(line.call))
                tasks.create_task(self._tick())
                tasks.create_task(service.attached())
                tasks.create_task(self._move_on(line))
        except* (StreamEndedError, TimeoutError, aio.AioRpcError) as group:
            for error in _leaves(group):
                _log.warning("attach_ended", target=line.target, why=why(error))
        except* Exception:  # noqa: BLE001 - a fault of ours must not end the worker's only stream.
            _log.exception("attach_failed", target=line.target)
        finally:
            self._finder.leave(line.target)
            self._end()
            service.detached()
            await line.close()

    def _begin(self, line: Line) -> None:
        _log.info("attached", worker=self._worker, target=line.target)
        self._metrics.attaches.inc()
        self._metrics.attached.set(1)
        self._attached = True
        self._heard = self._said = True
        self._draining.clear()

    def _end(self) -> None:
        self._metrics.attached.set(0)
        self._attached = False
        self._queue.clear()
        self._queued_bytes = 0
        self._wake.clear()

    async def _move_on(self, line: Line) -> None:
        """End this stream once the replica is about to stop, or the worker's own answers again."""
        while not await self._is_told_to_leave(line):
            self._next = await self._finder.find_own()
            if self._next is not None:
                raise StreamEndedError("the worker's own event-service is back")
        self._finder.leave(line.target)
        if self._finder.has_others:
            self._next = await self._finder.find_other(line.target)
        raise StreamEndedError("drain")

    async def _is_told_to_leave(self, line: Line) -> bool:
        """Wait for the replica's drain; False where it is time to look for the worker's own."""
        if self._finder.is_own(line.target):
            return await self._draining.wait()
        try:
            async with asyncio.timeout(self._finder.return_seconds()):
                return await self._draining.wait()
        except TimeoutError:
            return False

    async def _write(self, call: Call) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                taken = self._queue.popleft()
                self._queued_bytes -= taken.size
                self._taken.set()
                try:
                    await call.write(taken.request)
                except asyncio.InvalidStateError:
                    # So grpc.aio says that the call is over; the reader knows why.
                    return

    async def _tick(self) -> None:
        silent = 0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            silent = 0 if self._heard else silent + 1
            self._heard = False
            if silent >= SILENT_TICKS:
                raise StreamEndedError("silence")
            if self._queued_bytes > MAX_QUEUED_BYTES:
                raise StreamEndedError("the event-service reads no commands")
            if not self._said and not self._queue:
                self._enqueue()
            self._said = False

    async def _read(self, call: Call, service: EdgeService) -> None:
        while True:
            response = await call.read()
            if not isinstance(response, pb.AttachResponse):
                raise StreamEndedError("the event-service ended it")
            self._heard = True
            if response.items:
                await self._handle(response, service)

    async def _handle(self, response: pb.AttachResponse, service: EdgeService) -> None:
        service.gather()
        sessions = b""
        seqs: list[int] = []
        events: list[bytes] = []
        for item in response.items:
            delivery = item.delivery
            named = delivery.sessions
            if seqs and named != sessions:
                service.deliver(sessions, seqs, events, at_once=False)
                seqs, events = [], []
            if len(named) > _SESSION_BYTES:
                sessions = named
                seqs.append(delivery.seq)
                events.append(delivery.event)
            elif named:
                service.deliver_one(named, delivery.seq, delivery.event)
            else:
                self._take(item, service)
        if seqs:
            # Nothing else was gathered, and few enough are meant: no need to go over them twice.
            alone = len(seqs) == len(response.items)
            at_once = alone and len(sessions) <= SOCKETS_IN_A_TURN * _SESSION_BYTES
            service.deliver(sessions, seqs, events, at_once=at_once)
        while service.flush(SOCKETS_IN_A_TURN):  # noqa: ASYNC110 - waits for nothing: lets others have a turn.
            await asyncio.sleep(0)

    def _take(self, item: pb.AttachItem, service: EdgeService) -> None:
        kind = item.WhichOneof("item")
        try:
            match kind:
                case "opened":
                    opened = item.opened
                    service.opened(
                        opened.session,
                        generation=opened.generation,
                        epoch=opened.epoch,
                        seq=opened.seq,
                        recovered=opened.recovered,
                    )
                case "subscribed":
                    service.types_changed(item.subscribed.session, item.subscribed.change)
                case "advanced":
                    service.advanced(item.advanced.sessions, item.advanced.seqs)
                case "drain":
                    self._draining.set()
                case "disconnect":
                    gone = item.disconnect
                    reason = _REASONS.get(gone.reason, DisconnectReason.UNAVAILABLE)
                    service.disconnected(gone.session, gone.generation, reason)
        except Exception:
            if kind not in {"opened", "subscribed", "disconnect"}:
                raise
            # One session's fault must not end the stream of all of them.
            service.failed(getattr(item, kind).session)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
