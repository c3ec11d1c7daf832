"""How a connection to Postgres is opened and cut inside an event loop, by every service and by our own check.

What does not belong here: what a connection is for, hence its settings, its pool, and when it is tried again.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.rows import TupleRow

_T = TypeVar("_T")


async def connect(dsn: str, **parameters: Any) -> psycopg.AsyncConnection[TupleRow]:
    """As `psycopg.AsyncConnection.connect`, but what is cancelled leaves nothing open.

    The driver drops a connect that is cancelled half-way and leaves its socket to the collector, and the
    server waiting on it for a minute: whoever then waits for its connections to end, hangs. A connect is
    bounded, so it is waited for, and closed.

    Args:
        dsn: A libpq URL.
        parameters: As there; `connect_timeout` bounds the wait.

    Raises:
        psycopg.Error: The connection cannot be had.
    """
    connecting = asyncio.create_task(psycopg.AsyncConnection.connect(dsn, **parameters))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        connecting.add_done_callback(_close)
        # Cancelled once more, this ends; the callback stays.
        await asyncio.wait({connecting})
        raise


def cut(connection: psycopg.AsyncConnection[Any]) -> None:
    """End a connection under whoever waits on it: the wait fails as if the server had gone.

    Cancelling the wait instead would ask the stuck server to cancel, and wait for its answer.
    """
    if connection.closed:
        return
    # A duplicate: the descriptor itself stays the driver's to close.
    with socket.socket(fileno=os.dup(connection.fileno())) as duplicate, suppress(OSError):
        duplicate.shutdown(socket.SHUT_RDWR)


async def limited(connection: psycopg.AsyncConnection[Any], work: Awaitable[_T], seconds: float) -> _T:
    """Await `work` on `connection`, which is cut when that takes longer than `seconds`.

    Raises:
        psycopg.Error: It was cut, or what `work` raises.
    """
    timer = asyncio.get_running_loop().call_later(seconds, cut, connection)
    try:
        return await work
    finally:
        timer.cancel()


def _close(connecting: asyncio.Task[psycopg.AsyncConnection[TupleRow]]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().pgconn.finish()
