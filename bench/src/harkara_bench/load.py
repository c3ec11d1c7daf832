"""Makes users, and emits to them."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from grpc import aio
from ulid import ULID

from harkara.auth.v1 import user_service_pb2, user_service_pb2_grpc
from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2_grpc as pb_grpc
from harkara.event.v1 import event_pb2
from harkara_bench.target import Target

FRAME_BYTES = 370
"""What a client receives for an event with `DATA`, about."""

DATA = json.dumps(
    {
        "delivery_id": "del_456",
        "location": {"latitude": 28.5244, "longitude": 77.1855, "address": "Delhi"},
        "accuracy": 10,
        "eta_minutes": 22,
        "distance_remaining_km": 3.5,
    }
)
_OPTIONS = [("grpc.max_receive_message_length", 8 * 1024 * 1024)]


async def add_users(target: Target, user_ids: Sequence[str]) -> None:
    """Add customers with these ids."""
    async with aio.insecure_channel(target.auth_target, options=_OPTIONS) as channel:
        stub = user_service_pb2_grpc.UserServiceStub(channel)
        for start in range(0, len(user_ids), 10_000):
            users = [
                user_service_pb2.User(user_id=user_id, role=user_service_pb2.ROLE_CUSTOMER)
                for user_id in user_ids[start : start + 10_000]
            ]
            await stub.AddUsers(
                user_service_pb2.AddUsersRequest(users=users),
                metadata=(("authorization", f"Bearer {target.admin_token}"),),
                timeout=60,
            )


def drafts(user_ids: Sequence[str], count: int) -> list[event_pb2.EventDraft]:
    """`count` distinct events, to each user in turn."""
    return [
        event_pb2.EventDraft(
            user_id=user_ids[index % len(user_ids)],
            event_type="delivery_in_transit",
            data=DATA,
            event_id=f"evt_{ULID()}",
        )
        for index in range(count)
    ]


class Emitter:
    """Emits through one of the three calls.

    Args:
        channel: to the event-service.
        token: a service's.
    """

    def __init__(self, channel: aio.Channel, token: str) -> None:
        self._stub = pb_grpc.EmitServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def unary(self, events: Sequence[event_pb2.EventDraft], at_once: int) -> None:
        """One `Emit` for each event, `at_once` under way."""
        waiting = iter(events)

        async def worker() -> None:
            for event in waiting:
                await self._stub.Emit(pb.EmitRequest(event=event), metadata=self._metadata, timeout=30)

        await asyncio.gather(*(worker() for _ in range(at_once)))

    async def batch(self, events: Sequence[event_pb2.EventDraft], size: int, at_once: int) -> None:
        """`EmitBatch` with `size` events each, `at_once` under way."""
        waiting = iter([events[start : start + size] for start in range(0, len(events), size)])

        async def worker() -> None:
            for part in waiting:
                answer: pb.EmitBatchResponse = await self._stub.EmitBatch(
                    pb.EmitBatchRequest(events=part), metadata=self._metadata, timeout=30
                )
                _refuse_failures(answer.results)

        await asyncio.gather(*(worker() for _ in range(at_once)))

    async def stream(self, events: Sequence[event_pb2.EventDraft], size: int, at_once: int) -> None:
        """One `EmitStream` with `size` events a request, `at_once` requests under way."""
        parts = deque(
            pb.EmitStreamRequest(events=events[start : start + size]) for start in range(0, len(events), size)
        )
        # Without an iterator of requests grpc.aio lets us write ourselves; the stubs know only the iterator.
        open_stream: Any = self._stub.EmitStream
        call = open_stream(metadata=self._metadata, timeout=300)
        answered = sent = 0
        while answered < len(events):
            while parts and sent - answered < at_once * size:
                part = parts.popleft()
                await call.write(part)
                sent += len(part.events)
            if not parts:
                await call.done_writing()
            response: pb.EmitStreamResponse = await call.read()
            _refuse_failures(response.results)
            answered += len(response.results)


def _refuse_failures(results: Iterator[pb.EmitResult] | Sequence[pb.EmitResult]) -> None:
    for result in results:
        if result.HasField("error"):
            message = f"an event failed: {result.error.message}"
            raise RuntimeError(message)
