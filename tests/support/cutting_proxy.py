"""A TCP proxy before a Postgres that cuts connections at a chosen moment.

It stands between the real client and the real server and changes no byte: what it can do is what a
network can do. The moment is named by bytes that the client sends (an event id, a statement).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from urllib.parse import urlsplit, urlunsplit

_READY_FOR_QUERY = b"Z\x00\x00\x00\x05"
_CHUNK = 1 << 16


class Fault(Enum):
    """What happens to the client's message that was named."""

    LOST = "it never reaches the server; the connection is cut"
    UNANSWERED = "the server does it; its answer is lost and the connection is cut"
    SILENT = "the server does it; its answer is lost and the connection stays"


class CuttingProxy:
    """See the module.

    Args:
        host: where the server is.
        port: likewise.

    Attributes:
        accepts: while False, new connections are closed at once.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._fault: tuple[bytes, Fault] | None = None
        self._happened = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cuts_after_answer = False
        self.accepts = True

    def plan(self, message: bytes, fault: Fault) -> None:
        """Let `fault` befall the next message that holds these bytes, once."""
        self._fault = (message, fault)
        self._happened.clear()

    async def happened(self) -> None:
        """Wait until the planned fault came about."""
        await self._happened.wait()

    def cut_all(self) -> None:
        """Cut every connection that there is."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if not self.accepts:
            to_client.transport.abort()
            return
        try:
            server, to_server = await asyncio.open_connection(self._host, self._port)
        except OSError:
            to_client.transport.abort()
            return
        pair = (to_client, to_server)
        self._writers.update(pair)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        muted = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(client, to_server, pair, muted))
                group.create_task(self._backward(server, to_client, pair, muted))
        except* OSError:
            pass
        finally:
            for writer in pair:
                writer.transport.abort()
                self._writers.discard(writer)
            if task is not None:
                self._tasks.discard(task)

    async def _forward(
        self,
        client: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, ...],
        muted: asyncio.Event,
    ) -> None:
        while chunk := await client.read(_CHUNK):
            if self._fault is not None and self._fault[0] in chunk:
                fault = self._fault[1]
                self._fault = None
                if fault is Fault.LOST:
                    self._end(pair)
                    self._happened.set()
                    return
                muted.set()
                self._cuts_after_answer = fault is Fault.UNANSWERED
            to_server.write(chunk)
            await to_server.drain()
        self._end(pair)

    async def _backward(
        self,
        server: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, ...],
        muted: asyncio.Event,
    ) -> None:
        tail = b""
        while chunk := await server.read(_CHUNK):
            if not muted.is_set():
                to_client.write(chunk)
                await to_client.drain()
                continue
            tail = tail[-len(_READY_FOR_QUERY) :] + chunk
            if _READY_FOR_QUERY in tail:
                if self._cuts_after_answer:
                    self._end(pair)
                self._happened.set()
        self._end(pair)

    @staticmethod
    def _end(pair: tuple[asyncio.StreamWriter, ...]) -> None:
        for writer in pair:
            writer.transport.abort()

    async def close(self) -> None:
        """Cut everything and wait until it is over."""
        self.accepts = False
        self.cut_all()
        if self._tasks:
            await asyncio.wait(self._tasks)


@asynccontextmanager
async def cutting_proxy(dsn: str) -> AsyncIterator[tuple[CuttingProxy, str]]:
    """A proxy before the server of a libpq URL, and the URL that leads through it."""
    parts = urlsplit(dsn)
    proxy = CuttingProxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    login = parts.netloc.rpartition("@")[0]
    try:
        yield proxy, urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
