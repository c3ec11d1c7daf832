"""The ops port of every service: `/livez`, `/readyz`, `/metrics`.

Live says that the process should be left alone; ready, that it should be sent work. Both are asked
of the service at each request: a health check that always says yes is worth nothing.

Three paths want no web framework, which takes a sixth of a service's start to import: one request a
connection, GET or HEAD, no body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from harkara_servicekit.listening import joined, listen
from harkara_servicekit.settings import split_address

MAX_HEAD_BYTES: Final = 16 * 1024
REQUEST_SECONDS: Final = 5.0
"""How long a request may take to come, and its answer to go."""

_TEXT: Final = "text/plain; charset=utf-8"


class OpsServer:
    """Serves a service's health and metrics.

    Args:
        address: `host:port` to listen on.
        registry: whose metrics are shown.
        live: whether the process works at all.
        ready: whether it can take work now.
    """

    def __init__(
        self,
        address: str,
        registry: CollectorRegistry,
        *,
        live: Callable[[], bool],
        ready: Callable[[], bool],
    ) -> None:
        self._host, self._port = split_address(address)
        self._registry = registry
        self._live = live
        self._ready = ready
        self._server: asyncio.Server | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """Listen, and return the bound `host:port`.

        Raises:
            OSError: the address cannot be had.
        """
        listener = listen(self._host, self._port)
        port: int = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=listener, limit=MAX_HEAD_BYTES)
        return joined(self._host, port)

    async def stop(self) -> None:
        """Stop listening; who is being answered is cut off."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            # Where all was sent nothing is lost by it; a side that does not read is not waited for.
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method not in {"GET", "HEAD"}:
            status, kind, body = HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"only GET\n"
        elif path == "/livez":
            status, kind, body = _verdict(self._live())
        elif path == "/readyz":
            status, kind, body = _verdict(self._live() and self._ready())
        elif path == "/metrics":
            status, kind, body = HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self._registry)
        else:
            status, kind, body = HTTPStatus.NOT_FOUND, _TEXT, b"no such path\n"
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Connection: close",
            "\r\n",
        )
        return "\r\n".join(lines).encode() + (b"" if method == "HEAD" else body)


def _verdict(good: bool) -> tuple[HTTPStatus, str, bytes]:
    return (HTTPStatus.OK, _TEXT, b"ok\n") if good else (HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"not ok\n")
