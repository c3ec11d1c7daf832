"""An ASGI application served inside a loop that we own: no signals, no logging of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import uvicorn

from harkara_servicekit.listening import joined, listen


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
        listener = listen(self._host, self._port)
        port: int = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._task.done():
                await self._task
                break
            await asyncio.sleep(0.005)
        return joined(self._host, port)

    async def stop(self) -> None:
        """Stop listening, let requests under way finish within their limit, and return."""
        if self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._task = None
