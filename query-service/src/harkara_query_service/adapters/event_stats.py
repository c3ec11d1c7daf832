"""What the event-service's replicas hold now, asked of each and summed.

One that does not answer leaves no sum: a number that is silently too small is worse than none. Questions
that come while one is being answered share its answer, and the answer serves for a second.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from grpc import aio

from harkara.event.v1 import delivery_service_pb2 as delivery
from harkara.event.v1.delivery_service_pb2_grpc import DeliveryServiceStub
from harkara_query_service.domain.counts import LiveStats, ReplicaStats, unite
from harkara_query_service.domain.errors import UnavailableError
from harkara_servicekit.credential import Credential

EVENT_SERVICE = "event-service"
"""Its name in logs and metrics."""

if TYPE_CHECKING:  # It exists in the stubs only.
    from harkara.event.v1.delivery_service_pb2_grpc import DeliveryServiceAsyncStub

CACHE_SECONDS = 1.0

_CALL_SECONDS = 2.0

_log = structlog.get_logger()


class EventStats:
    """`StatsSource` on GetStats of every replica.

    Args:
        channels: One to each replica.
        credential: Our own.
        clock: Now, in UTC: what the answer is stamped with.
        monotonic: Seconds that never go back: for the age of the answer.
    """

    def __init__(
        self,
        channels: Sequence[aio.Channel],
        credential: Credential,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._stubs = [DeliveryServiceStub(channel) for channel in channels]
        self._credential = credential
        self._clock = clock
        self._monotonic = monotonic
        self._known: tuple[LiveStats, float] | None = None
        self._asked: asyncio.Task[LiveStats] | None = None

    async def read(self) -> LiveStats:
        """See `StatsSource.read`. A cancelled caller does not take the answer from others."""
        if self._known is not None and self._monotonic() < self._known[1]:
            return self._known[0]
        if self._asked is None:
            self._asked = asyncio.create_task(self._ask())
            self._asked.add_done_callback(self._forget)
        return await asyncio.shield(self._asked)

    async def close(self) -> None:
        """Give up what is being asked."""
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.gather(self._asked, return_exceptions=True)

    def _forget(self, task: asyncio.Task[LiveStats]) -> None:
        self._asked = None
        if not task.cancelled():
            task.exception()  # Nobody may be left to be told.

    async def _ask(self) -> LiveStats:
        asked_at = self._monotonic()
        now = self._clock()
        try:
            replicas = await asyncio.gather(*(self._ask_one(stub) for stub in self._stubs))
        except aio.AioRpcError as error:
            raise UnavailableError(EVENT_SERVICE) from error
        stats = unite(replicas, now)
        if stats is None:
            _log.error("one_replica_behind_two_event_targets")
            raise UnavailableError(EVENT_SERVICE)
        self._known = (stats, asked_at + CACHE_SECONDS)
        return stats

    async def _ask_one(self, stub: "DeliveryServiceAsyncStub") -> ReplicaStats:
        answer = await stub.GetStats(
            delivery.GetStatsRequest(), timeout=_CALL_SECONDS, metadata=self._credential.metadata()
        )
        return ReplicaStats(
            replica=answer.replica,
            connections=answer.connections,
            users=frozenset(answer.user_hashes),
            queued_events=answer.queued_events,
            active_subscriptions=answer.active_subscriptions,
        )
