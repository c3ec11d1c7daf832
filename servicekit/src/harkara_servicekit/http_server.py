"""An ASGI application served inside a loop that we own: no signals, no logging of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn


class _Server(uvicorn.Server):
    """uvicorn's server without its hold on SIGINT and SIGTERM, which are the runner's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves an ASGI application.

    Args:
        app: the application.
        host: the address to listen on.
        port: the port; 0 lets the system choose.
        close_seconds: how long `stop` waits for requests that are under way.
    """

    def __init__(self, app: Any, host: str, port: int, *, close_seconds: float = 5.0) -> None:
        self._host = host
        self._port = port
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=True,
                lifespan="off",
                ws="none",
                timeout_keep_alive=30,
                timeout_graceful_shutdown=max(1, round(close_seconds)),
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen, and return the bound `host:port`.

        Raises:
            OSError: the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # The protocol is named because asyncio sets TCP_NODELAY only where it is; without, an answer in
        # two pieces waits 40 ms for the client's acknowledgement of the first.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            # Not SO_REUSEPORT: a second process on this port is a mistake to be told.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._port))
            listener.settimeout(0)
        except OSError as error:
            listener.close()
            message = f"cannot listen on {self._address(self._port)}: {error.strerror}"
            raise OSError(error.errno, message) from error
        port: int = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._task.done():
                await self._task
                break
            await asyncio.sleep(0.005)
        return self._address(port)

    async def stop(self) -> None:
        """Stop listening, let requests under way finish within their limit, and return."""
        if self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._task = None

    def _address(self, port: int) -> str:
        return f"[{self._host}]:{port}" if ":" in self._host else f"{self._host}:{port}"
