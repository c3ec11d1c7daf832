"""An edge worker's side of one Attach stream, in a test's hands."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc import aio

from harkara.event.v1 import delivery_service_pb2 as pb
from tests.support.event_service import EDGE, Listening
from tests.support.registry_desk import unpacked

SECONDS = 10.0


class AttachedEdge:
    """Sends commands, ticks, and keeps what comes.

    Args:
        call: The stream.

    Attributes:
        items: Everything that came, in order.
        messages: How many items each message had; 0 for a tick.
        is_reading: While it is clear nothing is read from the stream.
        is_ticking: Whether ticks are sent.
    """

    def __init__(self, call: Any) -> None:
        self.call = call
        self.items: list[pb.AttachItem] = []
        self.messages: list[int] = []
        self.is_reading = asyncio.Event()
        self.is_reading.set()
        self.is_ticking = True
        self._got: defaultdict[int, list[pb.Delivery]] = defaultdict(list)
        self._fences: dict[tuple[int, int], int] = {}
        self._changed = asyncio.Condition()
        self._writing = asyncio.Lock()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._tick())]

    async def send(self, *commands: pb.AttachCommand) -> None:
        """Send commands in one message."""
        async with self._writing:
            await self.call.write(pb.AttachRequest(commands=commands))

    async def open(
        self,
        session: int,
        user_id: str,
        generation: int = 1,
        *,
        after: int | None = None,
        epoch: str = "",
        types: Sequence[str] = ("*",),
        resume: pb.Resume | None = None,
        paused: bool = False,
        device_id: str = "",
        from_device: bool = False,
    ) -> None:
        """Send one Open."""
        await self.send(
            open_command(
                session,
                user_id,
                generation,
                after=after,
                epoch=epoch,
                types=types,
                resume=resume,
                paused=paused,
                device_id=device_id,
                from_device=from_device,
            )
        )

    async def opened(self, session: int, generation: int = 1) -> pb.Opened:
        """Wait for the answer to an Open."""

        def find() -> pb.Opened | None:
            for item in self.items:
                opened = item.opened
                if (opened.session, opened.generation) == (session, generation):
                    return opened
            return None

        await self.until(lambda: find() is not None)
        found = find()
        assert found is not None
        return found

    async def item(self, kind: str) -> Any:
        """Wait for the first item of a kind."""
        await self.until(lambda: any(item.HasField(kind) for item in self.items))  # type: ignore[arg-type]
        first = next(item for item in self.items if item.WhichOneof("item") == kind)
        return getattr(first, kind)

    async def got(self, session: int, seqs: Sequence[int]) -> None:
        """Wait until a session got these events; fails at once where it gets others."""

        def is_so() -> bool:
            got = self.seqs_of(session)
            assert got == list(seqs)[: len(got)]
            return len(got) == len(seqs)

        await self.until(is_so)

    def seqs_of(self, session: int) -> list[int]:
        """The events that came for a session, in order."""
        return [delivery.seq for delivery in self._got[session]]

    def texts_of(self, session: int) -> list[bytes]:
        """Their texts."""
        return [delivery.event for delivery in self._got[session]]

    def last_of(self, session: int) -> int:
        """The last event that came for a session; 0 where none did."""
        got = self._got[session]
        return got[-1].seq if got else 0

    def drop_before(self, session: int, generation: int) -> None:
        """Do what the fence does: what came for a session before that Opened was never handed on."""
        del self._got[session][: self._fences[session, generation]]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something to be so, looking whenever something came."""
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(is_so)

    async def ended(self) -> grpc.StatusCode:
        """Wait for the stream's end."""
        async with asyncio.timeout(SECONDS):
            code: grpc.StatusCode = await self.call.code()
        return code

    async def leave(self) -> None:
        """End the stream without a word."""
        self.call.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            await self.is_reading.wait()
            response = await self.call.read()
            if not isinstance(response, pb.AttachResponse):
                return
            async with self._changed:
                for item in response.items:
                    self._take(item)
                self.messages.append(len(response.items))
                self._changed.notify_all()

    def _take(self, item: pb.AttachItem) -> None:
        self.items.append(item)
        for session in unpacked(item.delivery.sessions):
            self._got[session].append(item.delivery)
        if item.HasField("opened"):
            opened = item.opened
            self._fences[opened.session, opened.generation] = len(self._got[opened.session])

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            if self.is_ticking:
                await self.send()


def open_command(
    session: int,
    user_id: str,
    generation: int = 1,
    *,
    after: int | None = None,
    epoch: str = "",
    types: Sequence[str] = ("*",),
    resume: pb.Resume | None = None,
    paused: bool = False,
    device_id: str = "",
    from_device: bool = False,
) -> pb.AttachCommand:
    """An Open."""
    command = pb.Open(
        session=session,
        generation=generation,
        user_id=user_id,
        epoch=epoch,
        types=types,
        resume=resume,
        paused=paused,
        device_id=device_id,
        from_device=from_device,
    )
    if after is not None:
        command.after_seq = after
    return pb.AttachCommand(open=command)


def close_command(session: int) -> pb.AttachCommand:
    """A Close."""
    return pb.AttachCommand(close=pb.Close(session=session))


def subscribe_command(session: int, types: Sequence[str], change: int) -> pb.AttachCommand:
    """A Subscribe."""
    return pb.AttachCommand(subscribe=pb.Subscribe(session=session, types=types, change=change))


def unsubscribe_command(session: int, types: Sequence[str], change: int) -> pb.AttachCommand:
    """An Unsubscribe."""
    return pb.AttachCommand(unsubscribe=pb.Unsubscribe(session=session, types=types, change=change))


def ack_command(session: int, seq: int) -> pb.AttachCommand:
    """An Ack."""
    return pb.AttachCommand(ack=pb.Ack(session=session, seq=seq))


def written_command(session: int, seq: int) -> pb.AttachCommand:
    """A Written."""
    return pb.AttachCommand(written=pb.Written(session=session, seq=seq))


@asynccontextmanager
async def attached_edge(
    calls: Listening, name: str = "edge-1", token: str = EDGE
) -> AsyncIterator[AttachedEdge]:
    """Attach as an edge worker.

    Args:
        calls: Where to.
        name: The worker's name.
        token: Its credential.
    """
    # As the edge does it: an interceptor that adds the token makes a stream another one.
    call = calls.delivery(None).Attach(metadata=(("authorization", f"Bearer {token}"),))
    await call.write(pb.AttachRequest(edge=name))
    edge = AttachedEdge(call)
    try:
        yield edge
    finally:
        await edge.leave()


def status_of(error: aio.AioRpcError) -> tuple[grpc.StatusCode, str]:
    """A failed call's status and what it says."""
    return error.code(), error.details() or ""
