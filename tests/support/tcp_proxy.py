"""A TCP proxy in one event loop: two ends, and a network between them that can be made worse.

It changes no byte. What it can do is what a network can do: pass bytes on later, slowly or not at all,
close one direction, cut connections, refuse new ones.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

_CHUNK = 1 << 16


@dataclass(eq=False)
class Link:
    """One connection through the proxy.

    Attributes:
        to_client: Writes to whoever connected.
        to_server: Writes to the server.
        muted: For proxies that swallow what the server says, from when on.
        ended: The writers that get no more; what still comes for them is discarded.
    """

    to_client: asyncio.StreamWriter
    to_server: asyncio.StreamWriter
    muted: asyncio.Event = field(default_factory=asyncio.Event)
    ended: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self, *, reset: bool = False) -> None:
        """End both ends at once.

        Args:
            reset: Let both peers see a reset, instead of what the system chooses.
        """
        for writer in (self.to_client, self.to_server):
            raw = writer.get_extra_info("socket")
            if reset and raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class TcpProxy:
    """See the module.

    Args:
        host: Where the server is.
        port: Likewise.

    Attributes:
        accepts: While False, new connections are closed at once.
        delay: Seconds by which each chunk comes later, both ways.
        bytes_per_second: How fast each direction of each connection is; None for as fast as it goes.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.accepts = True
        self.delay = 0.0
        self.bytes_per_second: float | None = None

    @classmethod
    @asynccontextmanager
    async def running(cls, host: str, port: int) -> AsyncIterator[tuple[Self, int]]:
        """A proxy before `host:port`, and the port on loopback where it listens."""
        proxy = cls(host, port)
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        try:
            yield proxy, server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await proxy.close()
            await server.wait_closed()

    def stall(self) -> None:
        """Pass nothing on, and keep every connection."""
        self._flows.clear()

    def flow(self) -> None:
        """Pass on what was held, and what comes."""
        self._flows.set()

    def cut_all(self, *, reset: bool = False) -> None:
        """Cut every connection that there is."""
        for link in list(self._links):
            link.cut(reset=reset)

    def lose_all(self) -> None:
        """Let the connections that there are pass nothing on, and tell neither end: as after a sleep."""
        for link in self._links:
            link.ended |= {link.to_client, link.to_server}

    def half_close(self, *, towards_client: bool) -> None:
        """Tell one end of every connection that the other one has no more to say; the way back stays.

        What the other one still says is discarded, so that this lasts until an end does something about it.
        """
        for link in list(self._links):
            writer = link.to_client if towards_client else link.to_server
            link.ended.add(writer)
            if not writer.transport.is_closing() and writer.can_write_eof():
                writer.write_eof()

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
        link = Link(to_client, to_server)
        self._links.add(link)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(client, link))
                group.create_task(self._backward(server, link))
        except* OSError:
            pass  # Cut.
        finally:
            link.cut()
            self._links.discard(link)
            if task is not None:
                self._tasks.discard(task)

    async def _forward(self, client: asyncio.StreamReader, link: Link) -> None:
        while chunk := await client.read(_CHUNK):
            await self._pass_on(chunk, link, link.to_server)
        link.cut()

    async def _backward(self, server: asyncio.StreamReader, link: Link) -> None:
        while chunk := await server.read(_CHUNK):
            await self._pass_on(chunk, link, link.to_client)
        link.cut()

    async def _pass_on(self, chunk: bytes, link: Link, writer: asyncio.StreamWriter) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._flows.wait()
        while self.bytes_per_second is not None and chunk and writer not in link.ended:
            step = max(1, int(self.bytes_per_second / 20))
            writer.write(chunk[:step])
            chunk = chunk[step:]
            await asyncio.sleep(step / self.bytes_per_second)
        if writer not in link.ended:
            writer.write(chunk)
            await writer.drain()

    async def close(self) -> None:
        """Cut everything and wait until it is over."""
        self.accepts = False
        self._flows.set()
        self.cut_all()
        if self._tasks:
            await asyncio.wait(self._tasks)
