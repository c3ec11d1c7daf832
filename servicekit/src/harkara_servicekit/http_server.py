"""An ASGI application served inside a loop that we own: no signals, no logging of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from harkara_servicekit.listening import joined, listen, sockets_of_clients

MAX_CONNECTIONS: Final = 4_096
HEAD_SECONDS: Final = 10.0

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)


class _Connection(H11Protocol):
    """uvicorn's connection, which waits for ever for a head that does not come, and counts no others.

    Args:
        max_connections: how many there may be at once; one more is told 503.
        head_seconds: how long a head may take, from the connection's start or what first came of it.
            Between requests, while nothing comes, uvicorn's own time counts.
        on_refused: called for each connection that is one too many.
    """

    def __init__(
        self,
        *args: Any,
        max_connections: int,
        head_seconds: float,
        on_refused: Callable[[], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._max_connections = max_connections
        self._on_refused = on_refused
        self._head_seconds = head_seconds
        self._giving_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's.
        super().connection_made(transport)
        if len(self.connections) > self._max_connections:
            self._on_refused()
            transport.write(_FULL)
            transport.close()
        else:
            self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # None at first.
            self._wait_for_head()
        else:
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._giving_up is None:
            self._giving_up = self.loop.call_later(self._head_seconds, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None


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
        max_connections: how many there may be at once; fewer where the process may open fewer files.
        head_seconds: how long a request's head may take.
        on_refused: called for each connection beyond `max_connections`, to count it.
    """

    def __init__(  # noqa: PLR0913 - an address and the limits.
        self,
        app: Any,
        host: str,
        port: int,
        *,
        close_seconds: float = 5.0,
        max_connections: int = MAX_CONNECTIONS,
        head_seconds: float = HEAD_SECONDS,
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._host = host
        self._port = port
        self._server = _Server(
            uvicorn.Config(
                app,
                http=cast(
                    "type[asyncio.Protocol]",
                    partial(
                        _Connection,
                        max_connections=min(max_connections, sockets_of_clients()),
                        head_seconds=head_seconds,
                        on_refused=on_refused,
                    ),
                ),
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
