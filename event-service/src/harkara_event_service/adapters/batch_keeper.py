"""Drops what is kept of commits once every replica has had minutes to learn of them.

Every replica does it, for all writers: those that are gone, too.
"""

from __future__ import annotations

import asyncio
import random

import psycopg
import structlog

from harkara_event_service.adapters import log_statements, sqlstates
from harkara_event_service.adapters.connections import WRITER_SETTINGS, connect, limited
from harkara_event_service.adapters.log_metrics import LogMetrics

_log = structlog.get_logger()

KEPT_SECONDS = 600.0
"""How long what is kept of a commit stays at least. A replica that slept longer compares heads."""

ROUND_SECONDS = 60.0
_ROWS_AT_ONCE = 5_000
# A first round after a long time without replicas has much to walk over.
_SETTINGS = {**WRITER_SETTINGS, "statement_timeout": "4s"}


class BatchKeeper:
    """Drops old rows of commit_batch.

    Args:
        dsn: a libpq URL of a login that is a member of `harkara_event_service`.
        metrics: where it counts.
    """

    def __init__(self, dsn: str, metrics: LogMetrics) -> None:
        self._dsn = dsn
        self._metrics = metrics

    async def run(self) -> None:
        """Drop now and then, until cancelled."""
        while True:
            # Not all replicas at once.
            await asyncio.sleep(random.uniform(0.5, 1.5) * ROUND_SECONDS)  # noqa: S311 - jitter, not a secret.
            try:
                await self.drop()
            except psycopg.Error as error:
                self._metrics.upkeep_failures.inc()
                _log.warning("log_batches_not_dropped", error=sqlstates.told(error))
            except Exception:  # noqa: BLE001 - whatever it is, the next round may succeed.
                self._metrics.upkeep_failures.inc()
                _log.exception("log_batches_not_dropped")

    async def drop(self) -> None:
        """Drop what is old.

        Raises:
            psycopg.Error: not now; the next round does it.
        """
        async with await connect(self._dsn, "harkara-log-batch-keeper", _SETTINGS) as connection:
            cursor = psycopg.AsyncRawCursor(connection)
            dropped = _ROWS_AT_ONCE
            while dropped == _ROWS_AT_ONCE:
                statement = cursor.execute(log_statements.DROP_BATCHES, (KEPT_SECONDS, _ROWS_AT_ONCE))
                await limited(connection, statement)
                dropped = cursor.rowcount
