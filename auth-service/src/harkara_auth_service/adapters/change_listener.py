"""Hears of users' changes as they are committed, by LISTEN. It only makes things sooner.

Who misses a notification (a lost connection, a pool in between that cannot LISTEN) reads the change within
the second anyway. So nothing here is retried with care, and nothing is reported but in the debug log.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

import psycopg
import structlog
from psycopg import sql

from harkara_auth_service.adapters.postgres_session import KEEPALIVES, READ_SECONDS, TCP_SETTINGS
from harkara_auth_service.adapters.postgres_users import CHANGES_CHANNEL
from harkara_schema.connections import connect, limited

RECONNECT_SECONDS: Final = 1.0
"""The longest pause before connecting again; full jitter."""

_LISTEN: Final = sql.SQL("LISTEN {}").format(sql.Identifier(CHANGES_CHANNEL))
_log = structlog.get_logger()


async def listen(dsn: str, wake: Callable[[], None]) -> None:
    """Call `wake` whenever users changed; for ever. Cancelling it closes the connection.

    Args:
        dsn: a libpq URL.
        wake: cheap, and harmless when called once too often.
    """
    while True:
        try:
            async with await connect(dsn, autocommit=True, options=KEEPALIVES, **TCP_SETTINGS) as connection:
                await limited(connection, connection.execute(_LISTEN), READ_SECONDS)
                # What changed before we listened was not told.
                wake()
                async for _ in connection.notifies():
                    wake()
        except psycopg.Error as error:
            _log.debug("listen_failed", error=type(error).__name__, sqlstate=error.sqlstate)
        await asyncio.sleep(random.uniform(0, RECONNECT_SECONDS))  # noqa: S311 - jitter, not a secret.
