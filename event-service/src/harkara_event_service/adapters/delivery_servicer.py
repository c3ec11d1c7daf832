"""Translates DeliveryService to and from `service.Delivering`, and keeps each stream's pulse."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import grpc
import structlog
from grpc import aio

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara.event.v1 import delivery_service_pb2_grpc as pb_grpc
from harkara_event_service.adapters.attach_outbox import AttachOutbox
from harkara_event_service.domain.acceptance import DEVICE_ID, USER_ID
from harkara_event_service.domain.cursor import Attachment, ResumePoint
from harkara_event_service.metrics import Metrics
from harkara_event_service.ports import Caller
from harkara_event_service.service import Delivering, OpenRequest
from harkara_servicekit.grpc_server import END_OF_STREAM, StatusError

_log = structlog.get_logger()

EDGE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
TICK_SECONDS = 1.0
SILENCE_SECONDS = 3.0
CREDENTIAL_SECONDS = 2.0
"""How often an edge's credential is looked at again."""

_COMMANDS_A_TURN = 200


class DeliveryServicer(pb_grpc.DeliveryServiceServicer):
    """The edge's and the query-service's view of this replica.

    Args:
        delivering: what is behind it.
        caller: whom the current call's credential speaks for.
        caller_now: what a caller has become; raises `StatusError` where its credential is no good any more.
        metrics: where deliveries are counted.
    """

    def __init__(
        self,
        delivering: Delivering,
        caller: ContextVar[Caller],
        caller_now: Callable[[Caller], Caller],
        metrics: Metrics,
    ) -> None:
        self._delivering = delivering
        self._caller = caller
        self._caller_now = caller_now
        self._metrics = metrics
        self._replica = secrets.token_hex(8)
        self._is_draining = False
        self._streams = 0
        self._moved = asyncio.Event()
        self._over = asyncio.Event()

    async def drain(self, seconds: float) -> None:
        """Tell every edge that this replica stops, and return once they have left, or have been made to.

        What is committed meanwhile is still delivered: an edge leaves when another replica has answered it.

        Args:
            seconds: How long to wait for them.
        """
        self._is_draining = True
        self._delivering.drain()
        if self._streams:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._moved.wait()
        self._over.set()

    # grpc.aio takes a coroutine that writes as well as a generator; the stubs know the generator only.
    async def Attach(  # type: ignore[override]  # noqa: N802 - the contract's name.
        self, request_iterator: Any, context: aio.ServicerContext[pb.AttachRequest, pb.AttachResponse]
    ) -> None:
        """See the contract."""
        del request_iterator
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                first: Any = await context.read()
        except TimeoutError:
            raise _silent() from None
        if first is END_OF_STREAM:
            return
        if not EDGE_NAME.match(first.edge):
            raise StatusError(
                grpc.StatusCode.INVALID_ARGUMENT, "edge: the first message must name the worker"
            )
        # No await from here to where the stream is counted.
        if self._is_draining:
            raise _stopping()
        outbox = AttachOutbox(lambda: self._delivering.has_room(attachment))
        attachment = self._delivering.attach(first.edge, outbox)
        self._streams += 1
        _log.info("edge_attached", edge=first.edge)
        pulse = _Pulse(loop)
        writing = asyncio.Lock()
        writer = loop.create_task(self._write(outbox, context, writing))
        tasks = [
            loop.create_task(self._read(first, attachment, context, pulse)),
            loop.create_task(pulse.watch()),
            loop.create_task(self._watch_credential(self._caller.get())),
            loop.create_task(self._watch_end()),
        ]
        try:
            done, _ = await asyncio.wait([writer, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._delivering.detach(attachment)
            self._stream_ended()
            await _cancel_between_writes(tasks, writer, writing)
            self._metrics.deliveries_refused.inc(outbox.refused_count)
            _log.info("edge_detached", edge=first.edge, deliveries=outbox.delivered_count)

    def _stream_ended(self) -> None:
        self._streams -= 1
        if self._is_draining and not self._streams:
            self._moved.set()

    async def _read(
        self,
        request: Any,
        attachment: Attachment,
        context: aio.ServicerContext[pb.AttachRequest, pb.AttachResponse],
        pulse: _Pulse,
    ) -> None:
        """Carry out commands until the edge ends its side."""
        while request is not END_OF_STREAM:
            pulse.heard()
            commands = request.commands
            for start in range(0, len(commands), _COMMANDS_A_TURN):
                self._carry_out(attachment, commands[start : start + _COMMANDS_A_TURN])
                if start + _COMMANDS_A_TURN < len(commands):
                    await asyncio.sleep(0)
            request = await context.read()

    def _carry_out(self, attachment: Attachment, commands: Sequence[pb.AttachCommand]) -> None:
        """Carry out commands in order; Opens that stand beside each other go together."""
        delivering = self._delivering
        opens: list[OpenRequest] = []
        for command in commands:
            kind = command.WhichOneof("command")
            if kind == "open":
                opens.append(_open_request(command.open))
                continue
            if opens:
                delivering.open(attachment, opens)
                opens = []
            if kind == "written":
                delivering.written(attachment, command.written.session, command.written.seq)
            elif kind == "subscribe":
                change = command.subscribe
                delivering.subscribe(attachment, change.session, change.types, change.change)
            elif kind == "unsubscribe":
                undo = command.unsubscribe
                delivering.unsubscribe(attachment, undo.session, undo.types, undo.change)
            elif kind == "close":
                delivering.close(attachment, command.close.session)
            elif kind == "ack":
                delivering.acknowledge(attachment, command.ack.session, command.ack.seq)
            else:
                raise StatusError(grpc.StatusCode.INVALID_ARGUMENT, "commands: one says nothing")
        if opens:
            delivering.open(attachment, opens)

    async def _write(
        self,
        outbox: AttachOutbox,
        context: aio.ServicerContext[pb.AttachRequest, pb.AttachResponse],
        writing: asyncio.Lock,
    ) -> None:
        """Write a tick, then what is ready, and a tick after each silent second."""
        # At once: by this the edge knows that somebody listens.
        async with writing:
            await context.write(pb.AttachResponse())
        while True:
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await outbox.wait()
            except TimeoutError:
                pass
            response = outbox.take()
            async with writing:
                await context.write(response)
            self._metrics.deliveries.inc(len(response.items))

    async def _watch_end(self) -> None:
        """Return, by raising, once no stream may go on."""
        await self._over.wait()
        raise _stopping()

    async def _watch_credential(self, caller: Caller) -> None:
        """Return, by raising, once the edge's credential is no good any more."""
        while True:
            await asyncio.sleep(CREDENTIAL_SECONDS)
            self._caller_now(caller)

    async def GetStats(  # noqa: N802 - the contract's name.
        self, request: pb.GetStatsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.GetStatsResponse:
        """See the contract."""
        del request, context
        stats = self._delivering.stats()
        return pb.GetStatsResponse(
            replica=self._replica,
            connections=stats.connections,
            user_hashes=[user_hash(user_id) for user_id in stats.users],
            queued_events=stats.queued_events,
            active_subscriptions=stats.active_subscriptions,
        )


class _Pulse:
    """Notices an edge that has gone silent."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heard_at = loop.time()

    def heard(self) -> None:
        self._heard_at = self._loop.time()

    async def watch(self) -> None:
        """Return, by raising, once the edge was silent too long."""
        while True:
            await asyncio.sleep(TICK_SECONDS / 2)
            # A loop that was itself held up must not take its own delay for the other's silence: one more
            # turn lets what has arrived be read.
            if self._loop.time() - self._heard_at > SILENCE_SECONDS:
                await asyncio.sleep(TICK_SECONDS / 2)
                if self._loop.time() - self._heard_at > SILENCE_SECONDS:
                    raise _silent()


async def _cancel_between_writes(
    tasks: Sequence[asyncio.Task[None]], writer: asyncio.Task[None], writing: asyncio.Lock
) -> None:
    """Cancel a stream's tasks, its writer not in the middle of a write: gRPC could not send the status then.

    A write that an edge which reads nothing holds up is cut after a second all the same.
    """
    for task in tasks:
        task.cancel()
    try:
        async with asyncio.timeout(TICK_SECONDS), writing:
            writer.cancel()
    except TimeoutError:
        writer.cancel()
    await asyncio.gather(*tasks, writer, return_exceptions=True)


def _silent() -> StatusError:
    return StatusError(grpc.StatusCode.UNAVAILABLE, "the edge was silent for 3 seconds")


def _stopping() -> StatusError:
    return StatusError(grpc.StatusCode.UNAVAILABLE, "this replica stops")


def user_hash(user_id: str) -> int:
    """64 bits that stand for a user in counts, the same in every replica."""
    return int.from_bytes(hashlib.blake2b(user_id.encode(), digest_size=8).digest(), "big")


def _open_request(command: pb.Open) -> OpenRequest:
    """What an Open asks for.

    Raises:
        StatusError: INVALID_ARGUMENT where it breaks the contract.
    """
    if not (command.session and command.generation and USER_ID.match(command.user_id)):
        raise StatusError(
            grpc.StatusCode.INVALID_ARGUMENT, "open: session, generation and user_id are required"
        )
    if command.device_id and not DEVICE_ID.match(command.device_id):
        raise StatusError(grpc.StatusCode.INVALID_ARGUMENT, "open: device_id is none")
    must_continue = command.HasField("after_seq")
    wanted: ResumePoint | None = None
    if must_continue:
        wanted = ResumePoint(command.epoch, command.after_seq)
    elif command.HasField("resume"):
        wanted = ResumePoint(command.resume.epoch, command.resume.seq)
    return OpenRequest(
        session=command.session,
        generation=command.generation,
        user_id=command.user_id,
        types=command.types,
        wanted=wanted,
        must_continue=must_continue,
        stopped=command.paused,
        device_id=command.device_id,
        from_device=command.from_device,
    )
