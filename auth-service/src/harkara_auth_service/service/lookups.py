"""Looks users up for Authenticate: those asked for at the same time together, and for seconds from memory.

One statement is in flight at a time. What arrives meanwhile goes into the next, so a lone look-up waits for
nothing and a thousand clients that reconnect at once cost a few statements.

An answer is never older than it seems. A look-up that starts after a change was made here joins no
statement that was under way before; and what a statement read before a change that we have heard of since
is given to those who waited for it, with its version, but not remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from harkara_auth_service.domain.cache import BoundedCache
from harkara_auth_service.domain.errors import DirectoryUnavailableError
from harkara_auth_service.domain.users import User
from harkara_auth_service.metrics import Metrics
from harkara_auth_service.ports import UserDirectory

MAX_BATCH: Final = 1_000
MAX_WAITING: Final = 50_000
CACHE_ENTRIES: Final = 50_000
CACHE_SECONDS: Final = 2.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Known:
    """What the directory says about one user: its entry, or None; and which changes that knows of."""

    user: User | None
    version: int


class UserLookups:
    """Joins and remembers look-ups of users.

    Args:
        directory: where the users are.
        monotonic: seconds that never go back.
        metrics: what is counted.
    """

    def __init__(
        self,
        directory: UserDirectory,
        monotonic: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._directory = directory
        self._monotonic = monotonic
        self._metrics = metrics
        self._cache: BoundedCache[str, Known] = BoundedCache(CACHE_ENTRIES, CACHE_SECONDS)
        self._heard_of = 0
        # A future's result, not its exception, tells of a failure: nobody may be waiting any more.
        self._waiting: dict[str, asyncio.Future[Known | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def find(self, user_id: str) -> Known:
        """What the directory says about a user, read seconds ago at most.

        Cancelling it leaves the look-up to the others that wait for it.

        Raises:
            DirectoryUnavailableError: the directory did not answer, or too many wait for it already.
        """
        known = self._cache.get(user_id, self._monotonic())
        if known is not None:
            self._metrics.lookup_cache_hits.inc()
            return known
        future = self._waiting.get(user_id)
        if future is None:
            if len(self._waiting) >= MAX_WAITING:
                raise DirectoryUnavailableError
            future = self._waiting[user_id] = asyncio.get_running_loop().create_future()
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
        known = await asyncio.shield(future)
        if known is None:
            raise DirectoryUnavailableError
        return known

    def forget(self, user_ids: Iterable[str], version: int) -> None:
        """These users changed, the last of them as change `version`: what was known of them is void."""
        self._heard_of = max(self._heard_of, version)
        for user_id in user_ids:
            self._cache.drop(user_id)

    def forget_all(self, version: int) -> None:
        """The history of changes is another one, of which `version` is the last."""
        self._heard_of = version
        self._cache.clear()

    async def close(self) -> None:
        """Wait for the statement that is in flight; to be called once nobody looks anything up."""
        if self._reading is not None:
            await self._reading

    async def _read(self) -> None:
        try:
            while self._waiting:
                await self._read_batch()
        finally:
            self._reading = None

    async def _read_batch(self) -> None:
        batch = {user_id: self._waiting.pop(user_id) for user_id in [*self._waiting][:MAX_BATCH]}
        self._metrics.lookup_statements.inc()
        self._metrics.lookup_users.inc(len(batch))
        started = self._monotonic()
        try:
            snapshot = await self._directory.find(list(batch))
        except Exception as error:  # noqa: BLE001 - whoever waits must be answered, whatever it is.
            if not isinstance(error, DirectoryUnavailableError):
                _log.error("lookup_failed", exc_info=error)
            for future in batch.values():
                future.set_result(None)
            return
        for user_id, future in batch.items():
            known = Known(snapshot.users.get(user_id), snapshot.version)
            if snapshot.version >= self._heard_of:
                self._cache.put(user_id, known, started)
            future.set_result(known)
