"""Emits at a steady rate, and retries as docs/guarantees.md says: with the same id, and full jitter."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from itertools import count

import grpc
from grpc import aio
from ulid import ULID

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2_grpc as pb_grpc
from harkara.event.v1 import event_pb2
from harkara_servicekit.grpc_client import open_channel
from tests.support.faults.history import Call, Emitted, HistoryWriter, Outcome
from tests.support.mesh import bearer

CALL_SECONDS = 5.0
"""The deadline of one Emit."""

GIVE_UP_SECONDS = 90.0
"""How long one event is retried."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_TICK_SECONDS = 0.01
_REFUSED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.UNIMPLEMENTED,
}


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
        copies: How many calls for the same event are sent at once.
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
        self._under_way: set[asyncio.Task[None]] = set()
        self.copies = 1
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
                self.send(self._random.choice(self._user_ids))
            await asyncio.sleep(_TICK_SECONDS)

    def send(self, user_id: str, **fields: str) -> None:
        """Emit one event, now and until it is answered."""
        task = asyncio.create_task(self.emit(user_id, **fields))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def emit(self, user_id: str, **fields: str) -> None:
        """Emit one event, and return when it is answered."""
        data = json.dumps({"order_id": f"ord_{next(self._numbers)}", "note": self._padding})
        draft = event_pb2.EventDraft(
            user_id=user_id,
            event_type=fields.get("event_type", "order_ready"),
            data=data,
            event_id=f"evt_{ULID()}",
        )
        if key := fields.get("collapse_key"):
            draft.collapse_key = key
        self._history.write(
            Emitted(time.monotonic(), draft.event_id, user_id, may_be_left_out="collapse_key" in fields)
        )
        await asyncio.gather(*(self._until_answered(draft) for _ in range(self.copies)))

    async def _until_answered(self, draft: event_pb2.EventDraft) -> None:
        give_up = time.monotonic() + GIVE_UP_SECONDS
        pause = _FIRST_PAUSE
        which = self._random.randrange(len(self._stubs))
        while time.monotonic() < give_up:
            if await self._call(self._stubs[which % len(self._stubs)], draft) != "unknown":
                return
            which += 1
            await asyncio.sleep(self._random.uniform(0, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _call(self, stub: pb_grpc.EmitServiceAsyncStub, draft: event_pb2.EventDraft) -> Outcome:
        began = time.monotonic()
        call = Call(began, began, draft.event_id, "unknown", "CANCELLED")
        try:
            answer = await stub.Emit(
                pb.EmitRequest(event=draft), metadata=self._metadata, timeout=CALL_SECONDS
            )
        except aio.AioRpcError as error:
            call.status = error.code().name
            if error.code() in _REFUSED:
                call.outcome = "refused"
        else:
            call.outcome, call.status = "ok", "OK"
            call.seq, call.duplicate = answer.seq, answer.duplicate
            self.answered += 1
            self.highest[draft.user_id] = max(self.highest.get(draft.user_id, 0), answer.seq)
        finally:
            call.until = time.monotonic()
            self._history.write(call)
        return call.outcome

    async def settle(self) -> None:
        """Wait until every event is answered, or was given up."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def close(self) -> None:
        """Let go of everything."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        for channel in self._channels:
            await channel.close(None)


def fresh_users(prefix: str, number: int) -> list[str]:
    """Ids of users."""
    return [f"{prefix}_{index}" for index in range(number)]
