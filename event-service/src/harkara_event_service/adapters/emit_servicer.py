"""Translates EmitService to and from `service.Emitting`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, cast

import grpc
from grpc import aio

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2_grpc as pb_grpc
from harkara.event.v1 import event_pb2
from harkara_event_service.domain.acceptance import (
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    Draft,
    Emitter,
    Fault,
    FaultCode,
    moment_of,
    ttl_of,
)
from harkara_event_service.domain.event import Event
from harkara_event_service.metrics import Metrics
from harkara_event_service.ports import Caller, Chain, Failure, Refusal, Stored
from harkara_event_service.service import Answer, Emitting, HandedOn
from harkara_servicekit.grpc_server import END_OF_STREAM, StatusError

DEFAULT_DEADLINE_SECONDS = 10.0
_ANSWER_SECONDS = 0.1
"""What of a caller's deadline is left for the answer's way back; of a short one half."""

_EVENTS_A_TURN = 50
_STREAM_REQUESTS = 64
_STREAM_EVENTS = 4 * MAX_BATCH_EVENTS
_STREAM_BYTES = 4 * MAX_BATCH_BYTES

_Judge = Callable[[pb.EmitStreamRequest], Awaitable[list[Event | Fault]]]

_LEVELS: dict[int, str] = {
    event_pb2.EVENT_LEVEL_UNSPECIFIED: "",
    event_pb2.EVENT_LEVEL_LOW: "low",
    event_pb2.EVENT_LEVEL_MEDIUM: "medium",
    event_pb2.EVENT_LEVEL_HIGH: "high",
    event_pb2.EVENT_LEVEL_CRITICAL: "critical",
}

_STATUS: dict[Refusal | Failure | FaultCode, grpc.StatusCode] = {
    FaultCode.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    FaultCode.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Refusal.CONFLICT: grpc.StatusCode.ALREADY_EXISTS,
    Refusal.TOO_OLD: grpc.StatusCode.INVALID_ARGUMENT,
    Refusal.UNSTORABLE: grpc.StatusCode.INVALID_ARGUMENT,
    Failure.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Failure.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Failure.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    Failure.BROKEN_CHAIN: grpc.StatusCode.ABORTED,
}

_STORAGES = frozenset(event_pb2.Storage.values())

_FIELDS = {Refusal.CONFLICT: "event_id", Refusal.TOO_OLD: "event_id", Refusal.UNSTORABLE: "data"}


class EmitServicer(pb_grpc.EmitServiceServicer):
    """What internal services call.

    Args:
        emitting: what is behind it.
        caller: whom the current call's credential speaks for.
        caller_now: what a caller has become; raises `StatusError` where its credential is no good any more.
        metrics: where outcomes are counted.
    """

    def __init__(
        self,
        emitting: Emitting,
        caller: ContextVar[Caller],
        caller_now: Callable[[Caller], Caller],
        metrics: Metrics,
    ) -> None:
        self._emitting = emitting
        self._caller = caller
        self._caller_now = caller_now
        self._metrics = metrics
        self._streams: set[_Stream] = set()
        self._is_draining = False

    def drain(self) -> None:
        """Read no more from any stream: each ends once what it sent before is answered."""
        self._is_draining = True
        for stream in self._streams:
            stream.stop_reading()

    async def Emit(  # noqa: N802 - the contract's name.
        self, request: pb.EmitRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.EmitResponse:
        """See the contract."""
        emitter = _emitter(self._caller.get())
        if not request.HasField("event"):
            raise StatusError(grpc.StatusCode.INVALID_ARGUMENT, "event: required")
        _refuse_wait(request)
        judged = self._emitting.judge(emitter, [_draft(request.event)])
        (answer,) = await self._emitting.store(judged, deadline=_deadline(context))
        self._count([answer])
        outcome = answer.outcome
        if not isinstance(outcome, Stored | HandedOn):
            code, field, message = _explain(outcome)
            raise StatusError(code, f"{field}: {message}" if field else message)
        response = pb.EmitResponse(event_id=answer.event_id)
        if isinstance(outcome, Stored):
            response.seq = outcome.seq
            response.duplicate = outcome.duplicate
        response.accept_time.FromDatetime(outcome.accept_time)
        return response

    async def EmitBatch(  # noqa: N802 - the contract's name.
        self, request: pb.EmitBatchRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.EmitBatchResponse:
        """See the contract."""
        emitter = _emitter(self._caller.get())
        deadline = _deadline(context)
        judged = await self._judge(emitter, request)
        answers = await self._emitting.store(judged, deadline=deadline)
        self._count(answers)
        response = pb.EmitBatchResponse()
        _fill(response.results, answers)
        return response

    # grpc.aio takes a coroutine that writes as well as a generator; the stubs know the generator only.
    async def EmitStream(  # type: ignore[override]  # noqa: N802 - the contract's name.
        self, request_iterator: AsyncIterator[pb.EmitStreamRequest], context: aio.ServicerContext[Any, Any]
    ) -> None:
        """See the contract."""
        del request_iterator
        caller = self._caller.get()
        _emitter(caller)
        if self._is_draining:
            raise _stopping()
        # A stream may outlive its credential: each request is judged by what is known of it by then.
        stream = _Stream(
            self._emitting, lambda request: self._judge(_emitter(self._caller_now(caller)), request), context
        )
        self._streams.add(stream)
        try:
            while (answers := await stream.next_answers()) is not None:
                self._count(answers)
                failed = next(
                    (index for index, each in enumerate(answers) if isinstance(each.outcome, Failure)), None
                )
                response = pb.EmitStreamResponse()
                _fill(response.results, answers[:failed])
                if response.results:
                    await context.write(response)
                if failed is not None:
                    code, _, message = _explain(answers[failed].outcome)
                    raise StatusError(code, message)
            await stream.end()
        finally:
            self._streams.discard(stream)
            await stream.close()

    async def _judge(
        self, emitter: Emitter, request: pb.EmitBatchRequest | pb.EmitStreamRequest
    ) -> list[Event | Fault]:
        """Judge a batch without holding the loop for long.

        Raises:
            StatusError: INVALID_ARGUMENT where there are too many events, none, or too many bytes.
        """
        count = len(request.events)
        if not 1 <= count <= MAX_BATCH_EVENTS:
            raise StatusError(grpc.StatusCode.INVALID_ARGUMENT, "events: 1 to 1,000 in one request")
        if request.ByteSize() > MAX_BATCH_BYTES:
            raise StatusError(grpc.StatusCode.INVALID_ARGUMENT, "events: at most 4 MiB in one request")
        judged: list[Event | Fault] = []
        for start in range(0, count, _EVENTS_A_TURN):
            if start:
                await asyncio.sleep(0)
            drafts = [_draft(event) for event in request.events[start : start + _EVENTS_A_TURN]]
            judged += self._emitting.judge(emitter, drafts)
        return judged

    def _count(self, answers: Sequence[Answer]) -> None:
        counts: dict[str, int] = {}
        for answer in answers:
            outcome = answer.outcome
            if isinstance(outcome, Stored):
                name = "duplicate" if outcome.duplicate else "stored"
            elif isinstance(outcome, HandedOn):
                name = "ephemeral"
            else:
                name = _explain(outcome)[0].name.lower()
            counts[name] = counts.get(name, 0) + 1
        for name, count in counts.items():
            self._metrics.emitted.labels(name).inc(count)


class _Stream:
    """One EmitStream: requests go to the log as they come, and are answered in their order."""

    def __init__(self, emitting: Emitting, judge: _Judge, context: aio.ServicerContext[Any, Any]) -> None:
        self._emitting = emitting
        self._judge = judge
        self._context = context
        self._chain = Chain()
        self._under_way: deque[asyncio.Task[list[Answer]]] = deque()
        self._sizes: deque[tuple[int, int]] = deque()
        self._events = 0
        self._bytes = 0
        self._ended = False
        self._stopped = False
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        """Read requests to the end; each goes to the log before the next is read.

        While 64 requests, 4,000 events or 16 MiB are under way no more is read, and the caller's stream
        stands still: one caller who sends as fast as it can must not fill the log's queue for all.
        """
        loop = asyncio.get_running_loop()
        try:
            while True:
                request: Any = await self._context.read()
                if request is END_OF_STREAM:
                    return
                judged = await self._judge(request)
                deadline = loop.time() + DEFAULT_DEADLINE_SECONDS
                task = loop.create_task(self._emitting.store(judged, deadline=deadline, chain=self._chain))
                self._put(task, len(judged), request.ByteSize())
                while self._is_full():
                    self._answered.clear()
                    await self._answered.wait()
        finally:
            self._ended = True
            self._changed.set()

    def stop_reading(self) -> None:
        """Read no more; what was read is answered."""
        self._stopped = True
        self._reader.cancel()

    def _put(self, task: asyncio.Task[list[Answer]], events: int, size: int) -> None:
        self._under_way.append(task)
        self._sizes.append((events, size))
        self._events += events
        self._bytes += size
        self._changed.set()

    def _is_full(self) -> bool:
        return (
            len(self._under_way) >= _STREAM_REQUESTS
            or self._events >= _STREAM_EVENTS
            or self._bytes >= _STREAM_BYTES
        )

    async def next_answers(self) -> list[Answer] | None:
        """The next answers, of as many requests as are done; None after the last."""
        while not self._under_way:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        answers = list(await self._under_way[0])
        self._drop_first()
        while self._under_way and self._under_way[0].done() and len(answers) < MAX_BATCH_EVENTS:
            answers += self._under_way[0].result()
            self._drop_first()
        return answers

    def _drop_first(self) -> None:
        self._under_way.popleft()
        events, size = self._sizes.popleft()
        self._events -= events
        self._bytes -= size
        self._answered.set()

    async def end(self) -> None:
        """After the last answer: return where the caller ended the stream, else raise why it ends."""
        if self._stopped:
            raise _stopping()
        await self._reader

    async def close(self) -> None:
        """Give up what is under way; what is being written is written all the same."""
        self._chain.broken = True
        tasks = [self._reader, *self._under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _emitter(caller: Caller) -> Emitter:
    if caller.emitter is None:
        raise StatusError(grpc.StatusCode.PERMISSION_DENIED, "only a service may emit")
    return caller.emitter


def _stopping() -> StatusError:
    return StatusError(grpc.StatusCode.UNAVAILABLE, "this replica stops")


def _refuse_wait(request: pb.EmitRequest) -> None:
    """Raise for what can be asked of one Emit and is not built, or makes no sense."""
    if request.wait_for == event_pb2.WAIT_FOR_ACKNOWLEDGED:
        raise StatusError(grpc.StatusCode.UNIMPLEMENTED, "wait_for: ACKNOWLEDGED is not built yet")
    if int(request.wait_for) not in event_pb2.WaitFor.values():
        raise StatusError(grpc.StatusCode.INVALID_ARGUMENT, "wait_for: not a thing to wait for")
    if request.HasField("wait_timeout"):
        raise StatusError(grpc.StatusCode.INVALID_ARGUMENT, "wait_timeout: only with ACKNOWLEDGED")


def _deadline(context: aio.ServicerContext[Any, Any]) -> float:
    """When the outcome must be there, by the loop's clock: early enough for the caller to hear of it."""
    # None where the call has no deadline, whatever the stubs say.
    remaining = cast("float | None", context.time_remaining())
    allowed = DEFAULT_DEADLINE_SECONDS
    if remaining is not None:
        allowed = min(allowed, max(remaining - _ANSWER_SECONDS, remaining / 2))
    return asyncio.get_running_loop().time() + allowed


def _draft(event: event_pb2.EventDraft) -> Draft:
    """What the message says, in the domain's terms."""
    has_timestamp = event.HasField("timestamp")
    timestamp = moment_of(event.timestamp.seconds, event.timestamp.nanos) if has_timestamp else None
    has_ttl = event.HasField("ttl")
    ttl = ttl_of(event.ttl.seconds, event.ttl.nanos) if has_ttl else None
    return Draft(
        user_id=event.user_id,
        event_type=event.event_type,
        data=event.data,
        level=_LEVELS.get(event.event_level),
        source=event.source,
        event_id=event.event_id,
        timestamp=timestamp,
        timestamp_is_sound=not has_timestamp or timestamp is not None,
        collapse_key=event.collapse_key,
        is_ephemeral=event.storage == event_pb2.STORAGE_EPHEMERAL,
        ttl=ttl,
        ttl_is_sound=not has_ttl or ttl is not None,
        storage_is_known=int(event.storage) in _STORAGES,
    )


def _explain(outcome: Fault | Refusal | Failure | Stored | HandedOn) -> tuple[grpc.StatusCode, str, str]:
    """The status, the field at fault and the message of an event that failed."""
    if isinstance(outcome, Stored | HandedOn):
        return grpc.StatusCode.OK, "", ""
    if isinstance(outcome, Fault):
        return _STATUS[outcome.code], outcome.field, outcome.message
    field = _FIELDS.get(outcome, "") if isinstance(outcome, Refusal) else ""
    return _STATUS[outcome], field, outcome.value


def _fill(results: Any, answers: Sequence[Answer]) -> None:
    """Add one EmitResult for each answer."""
    for answer in answers:
        outcome = answer.outcome
        result = results.add()
        result.event_id = answer.event_id
        if isinstance(outcome, Stored):
            result.seq = outcome.seq
            result.duplicate = outcome.duplicate
        elif not isinstance(outcome, HandedOn):
            code, field, message = _explain(outcome)
            result.error.code = code.value[0]
            result.error.message = message
            result.error.field = field
