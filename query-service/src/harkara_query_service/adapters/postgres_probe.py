"""Whether questions can be answered now: what `/readyz` says, and one log record at each change."""

import asyncio

import structlog
from sqlalchemy.exc import DBAPIError

from harkara_query_service.adapters.postgres_history import PostgresHistory
from harkara_query_service.domain.errors import UnavailableError

_EVERY_SECONDS = 1.0

_log = structlog.get_logger()


class PostgresProbe:
    """Asks Postgres once a second.

    Args:
        history: Through which pool.
    """

    def __init__(self, history: PostgresHistory) -> None:
        self._history = history
        self._task: asyncio.Task[None] | None = None
        self.good = False
        """Whether Postgres answered the last time."""

    async def start(self) -> None:
        """Ask a first time, whatever comes of it, and go on asking."""
        await self._ask(first=True)
        self._task = asyncio.create_task(self._keep_asking())

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_asking(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self._ask()

    async def _ask(self, *, first: bool = False) -> None:
        was_good = self.good or first
        try:
            await self._history.probe()
        except (UnavailableError, DBAPIError) as error:
            self.good = False
            if was_good:
                # The class of the driver's error says enough; its text may name hosts and users.
                cause = error.__cause__ if isinstance(error, UnavailableError) else error
                cause = cause.orig if isinstance(cause, DBAPIError) else cause
                _log.warning("postgres_not_readable", reason=type(cause).__name__)
        else:
            self.good = True
            if not was_good:
                _log.info("postgres_readable")
