"""Emits at a steady rate, and retries as docs/guarantees.md says: with the same id, and full jitter.

As services with a pool of workers do: a worker that is free takes what waits, one event with Emit and several
with EmitBatch, and tries again what is not answered before it takes more. It stays with a replica that
answers, and moves on from one that does not. A share of the events may go with EmitStream instead, in the
order in which they were sent (`StreamEmitter`).
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, islice

import grpc
from grpc import aio
from ulid import ULID

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2_grpc as pb_grpc
from harkara.event.v1 import event_pb2
from harkara_servicekit.grpc_client import open_channel
from tests.support.faults.history import Call, Emitted, HistoryWriter, Outcome
from tests.support.mesh import bearer
from tests.support.waiting import wait_until_async

CALL_SECONDS = 2.0
"""The deadline of one call."""

GIVE_UP_SECONDS = 90.0
"""How long one event is retried."""

WORKERS = 64
"""How many calls are under way at most."""

BATCH = 50
"""How many events go together at most."""

STREAM_SECONDS = 4.0
"""The deadline of one EmitStream; the next one goes on where it ended."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_CALLS_AT_ONE_REPLICA = 200
_TICK_SECONDS = 0.01
_REFUSED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.UNIMPLEMENTED,
}
_STATUSES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class _Result:
    """What one call said of one event."""

    code: grpc.StatusCode = grpc.StatusCode.CANCELLED
    seq: int = 0
    duplicate: bool = False

    @property
    def outcome(self) -> Outcome:
        if self.code is grpc.StatusCode.OK:
            return "ok"
        return "refused" if self.code in _REFUSED else "unknown"


def _result_of(result: pb.EmitResult) -> _Result:
    """What a batch or a stream said of one event."""
    if result.HasField("error"):
        return _Result(_STATUSES[result.error.code])
    return _Result(grpc.StatusCode.OK, result.seq, result.duplicate)


class StreamEmitter:
    """Sends events with EmitStream, in order: after a failure again from the first one without an answer.

    Args:
        stubs: Where Emit is answered; the next stream goes to the next one.
        metadata: With a credential.
        note: Told what became of an event, when it was sent and when that was known.
        rng: Chooses pauses.
    """

    def __init__(
        self,
        stubs: Sequence[pb_grpc.EmitServiceAsyncStub],
        metadata: tuple[tuple[str, str], ...],
        note: Callable[[event_pb2.EventDraft, _Result, float, float], None],
        rng: random.Random,
    ) -> None:
        self._stubs = stubs
        self._metadata = metadata
        self._note = note
        self._random = rng
        self._unanswered: deque[event_pb2.EventDraft] = deque()
        self._more = asyncio.Event()

    @property
    def is_done(self) -> bool:
        """Whether every event is answered."""
        return not self._unanswered

    def send(self, draft: event_pb2.EventDraft) -> None:
        """Let an event be emitted after those before it."""
        self._unanswered.append(draft)
        self._more.set()

    async def work(self) -> None:
        """One stream after another."""
        for which in count():
            while not self._unanswered:
                self._more.clear()
                await self._more.wait()
            sent: deque[float] = deque()  # Of the first of the unanswered ones: when.
            code = await self._one_stream(self._stubs[which % len(self._stubs)], sent)
            now = time.monotonic()
            for draft, at in zip(self._unanswered, sent, strict=False):
                self._note(draft, _Result(code), at, now)
            await asyncio.sleep(self._random.uniform(0, _LONGEST_PAUSE))

    async def _one_stream(self, stub: pb_grpc.EmitServiceAsyncStub, sent: deque[float]) -> grpc.StatusCode:
        """From its begin to its end; the status of the end."""
        call = stub.EmitStream(self._requests(sent), metadata=self._metadata, timeout=STREAM_SECONDS)
        try:
            async for response in call:
                now = time.monotonic()
                for result in response.results:
                    draft = self._unanswered.popleft()
                    assert result.event_id in {draft.event_id, ""}, "answered out of order"
                    self._note(draft, _result_of(result), sent.popleft(), now)
        except aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    async def _requests(self, sent: deque[float]) -> AsyncIterator[pb.EmitStreamRequest]:
        """First what has no answer yet, then what comes."""
        while True:
            while len(self._unanswered) <= len(sent):
                self._more.clear()
                await self._more.wait()
            batch = list(islice(self._unanswered, len(sent), len(sent) + BATCH))
            sent.extend([time.monotonic()] * len(batch))
            yield pb.EmitStreamRequest(events=batch)


class Emitters:
    """All emitters of a run.

    Args:
        targets: Where Emit is answered; each retry goes to another one.
        token: A service's.
        user_ids: To whom.
        history: Where everything is written.
        rng: Chooses users, pauses and targets.
        bytes_each: Of each event's `data`, about.

    Attributes:
        copies: How many calls for the same event are sent at once; more than one, and each goes alone.
        places: Which share of the events are couriers' places, of which only the newest counts.
        streamed: Which share of the events goes with EmitStream.
        highest: Of each user, the highest seq that was answered.
        answered: How many events were answered OK.
    """

    def __init__(
        self,
        targets: Sequence[str],
        token: str,
        user_ids: Sequence[str],
        history: HistoryWriter,
        *,
        rng: random.Random,
        bytes_each: int = 100,
    ) -> None:
        self._channels = [open_channel(target) for target in targets]
        self._stubs: list[pb_grpc.EmitServiceAsyncStub] = [
            pb_grpc.EmitServiceStub(channel) for channel in self._channels
        ]
        self._metadata = bearer(token)
        self._user_ids = list(user_ids)
        self._history = history
        self._random = rng
        self._padding = "x" * max(0, bytes_each - 30)
        self._numbers = count(1)
        self._queue: asyncio.Queue[event_pb2.EventDraft] = asyncio.Queue()
        self._stream = StreamEmitter(self._stubs, self._metadata, self._note, rng)
        self._workers = [asyncio.create_task(self._work()) for _ in range(WORKERS)]
        self._streaming = asyncio.create_task(self._stream.work())
        self.copies = 1
        self.places = 0.0
        self.streamed = 0.0
        self.highest: dict[str, int] = {}
        self.answered = 0

    async def run(self, rate: float, seconds: float) -> None:
        """Emit so many events a second for so long, however long each takes; returns before all are answered.

        Args:
            rate: Events a second.
            seconds: How long.
        """
        began, sent = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            for _ in range(int(passed * rate) - sent):
                sent += 1
                is_place = self._random.random() < self.places
                key = f"rider_{self._random.randrange(2)}" if is_place else ""
                self.send(self._random.choice(self._user_ids), key)
            await asyncio.sleep(_TICK_SECONDS)

    def send(self, user_id: str, collapse_key: str = "") -> None:
        """Let an event be emitted, until it is answered.

        Args:
            user_id: To whom.
            collapse_key: With one it is a courier's place, else an order that is ready.
        """
        number = next(self._numbers)
        data = {
            "note": self._padding,
            **({"accuracy": number} if collapse_key else {"order_id": f"o_{number}"}),
        }
        draft = event_pb2.EventDraft(
            user_id=user_id,
            event_type="location_updated" if collapse_key else "order_ready",
            data=json.dumps(data),
            event_id=f"evt_{ULID()}",
            collapse_key=collapse_key,
        )
        is_streamed = self._random.random() < self.streamed
        self._history.write(Emitted(time.monotonic(), draft.event_id, user_id, collapse_key, is_streamed))
        if is_streamed:
            self._stream.send(draft)
            return
        for _ in range(self.copies):
            self._queue.put_nowait(draft)

    async def _work(self) -> None:
        which = calls = 0
        while True:
            if not calls:
                which, calls = self._random.randrange(len(self._stubs)), _CALLS_AT_ONE_REPLICA
            drafts = [await self._queue.get()]
            while self.copies == 1 and len(drafts) < BATCH and not self._queue.empty():
                drafts.append(self._queue.get_nowait())
            which = await self._until_answered(drafts, which)
            calls -= 1
            for _ in drafts:
                self._queue.task_done()

    async def _until_answered(self, drafts: list[event_pb2.EventDraft], which: int) -> int:
        """Emit until each has its answer or is given up; the replica that gave it."""
        give_up = time.monotonic() + GIVE_UP_SECONDS
        pause = _FIRST_PAUSE
        left = drafts
        while left and time.monotonic() < give_up:
            left = await self._call(self._stubs[which], left)
            if left:
                which = (which + 1) % len(self._stubs)
                await asyncio.sleep(self._random.uniform(0, pause))
                pause = min(2 * pause, _LONGEST_PAUSE)
        return which

    async def _call(
        self, stub: pb_grpc.EmitServiceAsyncStub, drafts: list[event_pb2.EventDraft]
    ) -> list[event_pb2.EventDraft]:
        """One call; the events whose outcome is not certain."""
        began = time.monotonic()
        results = [_Result()] * len(drafts)
        try:
            results = await (self._emit_one if len(drafts) == 1 else self._emit_batch)(stub, drafts)
        except aio.AioRpcError as error:
            results = [_Result(error.code())] * len(drafts)
        finally:
            until = time.monotonic()
            for draft, result in zip(drafts, results, strict=True):
                self._note(draft, result, began, until)
        return [draft for draft, result in zip(drafts, results, strict=True) if result.outcome == "unknown"]

    async def _emit_one(
        self, stub: pb_grpc.EmitServiceAsyncStub, drafts: list[event_pb2.EventDraft]
    ) -> list[_Result]:
        request = pb.EmitRequest(event=drafts[0])
        answer = await stub.Emit(request, metadata=self._metadata, timeout=CALL_SECONDS)
        return [_Result(grpc.StatusCode.OK, answer.seq, answer.duplicate)]

    async def _emit_batch(
        self, stub: pb_grpc.EmitServiceAsyncStub, drafts: list[event_pb2.EventDraft]
    ) -> list[_Result]:
        request = pb.EmitBatchRequest(events=drafts)
        answer = await stub.EmitBatch(request, metadata=self._metadata, timeout=CALL_SECONDS)
        return [_result_of(result) for result in answer.results]

    def _note(self, draft: event_pb2.EventDraft, result: _Result, began: float, until: float) -> None:
        if result.outcome == "ok":
            self.answered += 1
            self.highest[draft.user_id] = max(self.highest.get(draft.user_id, 0), result.seq)
        self._history.write(
            Call(began, until, draft.event_id, result.outcome, result.code.name, result.seq, result.duplicate)
        )

    async def settle(self) -> None:
        """Wait until every event is answered, or was given up; those of the stream all at once."""
        await self._queue.join()
        with suppress(TimeoutError):
            await wait_until_async(lambda: self._stream.is_done or self._streaming.done(), GIVE_UP_SECONDS)
        if self._streaming.done():
            self._streaming.result()

    async def close(self) -> None:
        """Let go of everything."""
        workers = [*self._workers, self._streaming]
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        for channel in self._channels:
            await channel.close(None)


def fresh_users(prefix: str, number: int) -> list[str]:
    """Ids of users."""
    return [f"{prefix}_{index}" for index in range(number)]
