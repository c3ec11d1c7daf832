"""What waits on the Attach stream, while the event-service reads slowly: a call in memory, no network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara_edge.adapters import event_stream
from harkara_edge.adapters.attaching import Finder, Line, StreamEndedError
from harkara_edge.adapters.event_stream import AttachStream
from harkara_edge.metrics import Metrics
from tests.support.edge_fakes import Bench
from tests.support.waiting import wait_until_async

OF_ONE = 64
"""What a command without types counts."""


class SlowCall:
    """Takes a message each time it is let; never answers."""

    def __init__(self) -> None:
        self.read_one = asyncio.Semaphore(0)
        self.taken: list[pb.AttachRequest] = []
        self.lost: asyncio.Future[pb.AttachResponse] = asyncio.get_running_loop().create_future()

    async def write(self, request: pb.AttachRequest) -> None:
        await self.read_one.acquire()
        self.taken.append(request)

    async def read(self) -> pb.AttachResponse:
        return await self.lost

    def cancel(self) -> None:
        """Nothing is under way."""

    async def close(self, grace: float | None) -> None:
        """Its own channel."""


class OneFinder:
    """Finds a slow call, and after it one more at each loss."""

    has_others = False

    def __init__(self) -> None:
        self.calls: list[SlowCall] = []

    def is_own(self, target: str) -> bool:
        """There is no other."""
        return target == "here"

    async def find(self) -> Line:
        call = cast("Any", SlowCall())
        self.calls.append(call)
        return Line("here", call, call, pb.AttachResponse())

    def leave(self, target: str) -> None:
        """There is no other."""


@asynccontextmanager
async def attached(bench: Bench) -> AsyncIterator[tuple[AttachStream, OneFinder]]:
    finder = OneFinder()
    stream = AttachStream(
        finder=cast("Finder", finder), worker="edge-1", metrics=Metrics(CollectorRegistry())
    )
    running = asyncio.create_task(stream.run(bench.service))
    await wait_until_async(lambda: stream.attached)
    yield stream, finder
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def watched_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look in each turn of the loop; one command a message; three of them too many."""
    monkeypatch.setattr(event_stream, "TICK_SECONDS", 0)
    monkeypatch.setattr(event_stream, "SILENT_TICKS", 1_000_000)
    monkeypatch.setattr(event_stream, "MAX_MESSAGE_BYTES", OF_ONE)
    monkeypatch.setattr(event_stream, "MAX_QUEUED_BYTES", 3 * OF_ONE)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.usefixtures("watched_closely")
async def test_what_was_sent_does_not_count_as_waiting_though_the_queue_never_runs_empty() -> None:
    async with attached(Bench()) as (stream, finder):
        stream.close(1)
        stream.close(2)
        for session in range(3, 20):
            stream.close(session)
            finder.calls[0].read_one.release()
            await turns()
        assert len(finder.calls) == 1, "the stream was given up"
        assert len(finder.calls[0].taken) == 17


@pytest.mark.usefixtures("watched_closely")
async def test_a_stream_on_which_too_much_waits_is_given_up() -> None:
    async with attached(Bench()) as (stream, finder):
        for session in range(10):
            stream.close(session)
        await wait_until_async(lambda: len(finder.calls) == 2)
        await wait_until_async(lambda: stream.attached)
        # What waited is gone with it; ticks may stand before what is said now.
        stream.close(11)
        said: list[int] = []
        while not said:
            finder.calls[1].read_one.release()
            await turns()
            said = [
                command.close.session for request in finder.calls[1].taken for command in request.commands
            ]
        assert said == [11]


async def test_whoever_opens_many_waits_while_much_is_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_MESSAGE_BYTES", OF_ONE)
    monkeypatch.setattr(event_stream, "CROWDED_BYTES", 2 * OF_ONE)
    async with attached(Bench()) as (stream, finder):
        for session in range(5):
            stream.close(session)
        waiting = asyncio.create_task(stream.room())
        # One is being written, which is not waiting any more; two more, and two may stay.
        for _ in range(2):
            await turns()
            assert not waiting.done()
            finder.calls[0].read_one.release()
        await asyncio.wait_for(waiting, 10)
        assert len(finder.calls[0].taken) == 2


@pytest.mark.parametrize("turns_between", range(8))
async def test_one_that_is_cancelled_while_its_stream_ends_is_cancelled(turns_between: int) -> None:
    finder = OneFinder()
    stream = AttachStream(
        finder=cast("Finder", finder), worker="edge-1", metrics=Metrics(CollectorRegistry())
    )
    running = asyncio.create_task(stream.run(Bench().service))
    await wait_until_async(lambda: stream.attached)
    finder.calls[0].lost.set_exception(StreamEndedError("gone"))
    for _ in range(turns_between):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running}, timeout=5)
    assert running.cancelled()
