"""How a connection to Postgres is opened from inside an event loop, by every service and by our own check.

What does not belong here: what a connection is for, hence its settings, its pool, and when it is tried again.
"""

import asyncio
from typing import Any

import psycopg
from psycopg.rows import TupleRow


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


def _close(connecting: asyncio.Task[psycopg.AsyncConnection[TupleRow]]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().pgconn.finish()
