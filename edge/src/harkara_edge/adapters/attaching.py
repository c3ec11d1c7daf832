"""Finds an event-service that answers, and opens an Attach call to it.

A round tries each target once, in the order of `domain.targets`; after one that found nobody there is a
short pause, of random length, so that workers do not come in step. A target counts as found with its first
word: a frozen process takes connections, and what is written to it, and says nothing.

Each try has a channel of its own, so that it begins with a connection now, and not when an older failure's
pause is over.

What does not belong here: what is said on the call (`event_stream`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import grpc
import structlog
from grpc import aio

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara.event.v1.delivery_service_pb2_grpc import DeliveryServiceStub
from harkara_edge.domain.targets import Targets
from harkara_servicekit.credential import Credential
from harkara_servicekit.grpc_client import open_channel

WORD_SECONDS: Final = 1.0
"""How long the first round waits for a target's first word where there are others; each later one as much
longer, so that targets which are merely slow are found too."""

LAST_WORD_SECONDS: Final = 3.0
"""How long any round waits; and how long the only target is waited for."""

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 0.5
RETURN_SECONDS: Final = 30.0
"""How long a worker stays with another than its own at least, and twice that at most: long enough for one
that dies again and again, and at random, so that not all come at once."""

QUICK_ROUNDS: Final = 40
"""After how many the pauses grow: a replica that was killed is back after a second or two."""

Call = aio.StreamStreamCall[pb.AttachRequest, pb.AttachResponse]

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class StreamEndedError(Exception):
    """An Attach stream is no more, or did not begin.

    Args:
        why: For the log.
    """

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Line:
    """An Attach call that was answered.

    Args:
        target: Whose.
        channel: Its own.
        call: The call.
        first: The first answer.
    """

    target: str
    channel: aio.Channel
    call: Call
    first: pb.AttachResponse

    async def close(self) -> None:
        """End the call, and let go of its connection."""
        self.call.cancel()
        await self.channel.close(None)


class Finder:
    """Finds a worker's event-services.

    Args:
        targets: What there is.
        credential: This worker's.
        worker: A name for it.
        chance: Returns a number of 0 to 1 that differs between workers.
    """

    def __init__(
        self, *, targets: Targets, credential: Credential, worker: str, chance: Callable[[], float]
    ) -> None:
        self._targets = targets
        self._credential = credential
        self._worker = worker
        self._chance = chance

    @property
    def has_others(self) -> bool:
        """Whether there is more than one target."""
        return len(self._targets) > 1

    def leave(self, target: str) -> None:
        """Take that a target had to be left."""
        self._targets.leave(target, asyncio.get_running_loop().time())

    async def find(self) -> Line:
        """Return the first that answers, however long that takes. Cancelled, it leaves nothing open."""
        pause = FIRST_PAUSE_SECONDS
        told = False
        patience = 0.0
        rounds = 0
        while True:
            patience = min(patience + WORD_SECONDS, LAST_WORD_SECONDS)
            line = await self._round(patience if self.has_others else LAST_WORD_SECONDS, told=told)
            if line is not None:
                return line
            told = True
            await asyncio.sleep(pause * self._chance())
            rounds += 1
            if rounds >= QUICK_ROUNDS:
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def find_other(self, than: str) -> Line | None:
        """Try each of the others once; None where none answers. Cancelled, it leaves nothing open."""
        return await self._round(WORD_SECONDS, without=than)

    def return_seconds(self) -> float:
        """How long a worker stays with another than its own before it looks for its own."""
        return RETURN_SECONDS * (1 + self._chance())

    def is_own(self, target: str) -> bool:
        """Whether a target is this worker's own."""
        return target == self._targets.own

    async def find_own(self) -> Line | None:
        """Try the worker's own once; None where it does not answer. Cancelled, it leaves nothing open."""
        return await self._first_of([self._targets.own], WORD_SECONDS, told=True)

    async def _round(self, patience: float, *, without: str = "", told: bool = False) -> Line | None:
        order = self._targets.in_order(asyncio.get_running_loop().time(), self._chance)
        return await self._first_of([target for target in order if target != without], patience, told=told)

    async def _first_of(self, targets: list[str], patience: float, *, told: bool) -> Line | None:
        for target in targets:
            try:
                return await self._try(target, patience)
            except (StreamEndedError, TimeoutError, aio.AioRpcError) as error:
                self.leave(target)
                # Once: while nobody is there, this happens several times a second.
                if not told:
                    _log.warning("attach_failed", target=target, why=why(error))
        return None

    async def _try(self, target: str, patience: float) -> Line:
        async with _closed_on_failure(open_channel(target)) as channel:
            call: Call = DeliveryServiceStub(channel).Attach(  # type: ignore[call-arg]  # the stubs ask for an iterator.
                metadata=self._credential.metadata()
            )
            async with asyncio.timeout(patience):
                # What grpc.aio raises where the call is over already; what reads it is told why.
                with suppress(asyncio.InvalidStateError):
                    await call.write(pb.AttachRequest(edge=self._worker))
                first = await call.read()
            if not isinstance(first, pb.AttachResponse):
                raise StreamEndedError("the event-service ended it")
            return Line(target, channel, call, first)


@asynccontextmanager
async def _closed_on_failure(channel: aio.Channel) -> AsyncIterator[aio.Channel]:
    try:
        yield channel
    except BaseException:
        await channel.close(None)
        raise


def why(error: BaseException) -> str:
    """Say for the log why a stream ended, or did not begin."""
    if isinstance(error, aio.AioRpcError):
        code: grpc.StatusCode = error.code()
        return f"{code.name}: {error.details()}"
    return str(error) or "silence"
