"""A TCP proxy before a Postgres that cuts connections at a chosen moment.

The moment is named by bytes that the client sends (an event id, a statement).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from urllib.parse import urlsplit, urlunsplit

from tests.support.tcp_proxy import Link, TcpProxy

_READY_FOR_QUERY = b"Z\x00\x00\x00\x05"
_CHUNK = 1 << 16


class Fault(Enum):
    """What happens to the client's message that was named."""

    LOST = "it never reaches the server; the connection is cut"
    UNANSWERED = "the server does it; its answer is lost and the connection is cut"
    SILENT = "the server does it; its answer is lost and the connection stays"


class CuttingProxy(TcpProxy):
    """See the module.

    Args:
        host: where the server is.
        port: likewise.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self._fault: tuple[bytes, Fault] | None = None
        self._happened = asyncio.Event()
        self._cuts_after_answer = False

    def plan(self, message: bytes, fault: Fault) -> None:
        """Let `fault` befall the next message that holds these bytes, once."""
        self._fault = (message, fault)
        self._happened.clear()

    async def happened(self) -> None:
        """Wait until the planned fault came about."""
        await self._happened.wait()

    async def _forward(self, client: asyncio.StreamReader, link: Link) -> None:
        while chunk := await client.read(_CHUNK):
            if self._fault is not None and self._fault[0] in chunk:
                fault = self._fault[1]
                self._fault = None
                if fault is Fault.LOST:
                    link.cut()
                    self._happened.set()
                    return
                link.muted.set()
                self._cuts_after_answer = fault is Fault.UNANSWERED
            await self._pass_on(chunk, link, link.to_server)
        link.cut()

    async def _backward(self, server: asyncio.StreamReader, link: Link) -> None:
        tail = b""
        while chunk := await server.read(_CHUNK):
            if not link.muted.is_set():
                await self._pass_on(chunk, link, link.to_client)
                continue
            tail = tail[-len(_READY_FOR_QUERY) :] + chunk
            if _READY_FOR_QUERY in tail:
                if self._cuts_after_answer:
                    link.cut()
                self._happened.set()
        link.cut()


@asynccontextmanager
async def cutting_proxy(dsn: str) -> AsyncIterator[tuple[CuttingProxy, str]]:
    """A proxy before the server of a libpq URL, and the URL that leads through it."""
    parts = urlsplit(dsn)
    async with CuttingProxy.running(parts.hostname or "127.0.0.1", parts.port or 5432) as (proxy, port):
        yield proxy, through(dsn, port)


def through(dsn: str, port: int) -> str:
    """The libpq URL that leads through a proxy on this port."""
    parts = urlsplit(dsn)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
