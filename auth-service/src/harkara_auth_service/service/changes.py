"""Reads on in the history of users' changes, and tells those who watch what no longer holds.

One reader for the process: once a second, or at once when it is woken (Postgres notifies). Whoever watches
is a cursor on the history, as everything in Harkara is: it has a position and no queue, reads what follows
from the changes kept in memory or, further back, from the directory, and then waits for the reader to move.

Changes that end nothing ('added', 'enabled') move the version, and drop what was remembered of the user.
Revoked credentials have no version. A watcher that goes on from one is told all of them again; one that
starts is told those that are revoked from then on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from harkara_auth_service.domain.errors import DirectoryUnavailableError, StoppingError
from harkara_auth_service.domain.users import REVOKING, UserChange
from harkara_auth_service.metrics import Metrics
from harkara_auth_service.ports import UserDirectory
from harkara_auth_service.service.lookups import UserLookups

READ_SECONDS: Final = 1.0
TICK_SECONDS: Final = 1.0
STALE_SECONDS: Final = 3.0
PAGE: Final = 1_000
KEPT: Final = 10_000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Revocations:
    """What a watcher is told at once.

    Args:
        changes: of users, those that end what tokens were good for, in rising version.
        names: whose credentials were revoked.
        version: up to which the watcher now knows every change.
    """

    changes: tuple[UserChange, ...]
    names: tuple[str, ...]
    version: int


class ChangeFeed:
    """The history's reader, and its watchers.

    Args:
        directory: where the history is.
        lookups: what forgets users that changed.
        monotonic: seconds that never go back.
        metrics: what is counted.
    """

    def __init__(
        self,
        directory: UserDirectory,
        lookups: UserLookups,
        monotonic: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._directory = directory
        self._lookups = lookups
        self._monotonic = monotonic
        self._metrics = metrics
        self._version: int | None = None
        self._kept: deque[UserChange] = deque(maxlen=KEPT)
        self._lives = 0
        self._revoked: frozenset[str] = frozenset()
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._closed = False
        self._read_at: float | None = None
        self._failing = False

    @property
    def in_step(self) -> bool:
        """Whether the history was read within the last seconds: Postgres answers and the reader runs."""
        return self._read_at is not None and self._monotonic() - self._read_at < STALE_SECONDS

    def wake(self) -> None:
        """Something changed, perhaps: read now rather than at the next second."""
        self._wake.set()

    def revoke(self, names: frozenset[str]) -> None:
        """From now on exactly these names' credentials are revoked."""
        self._revoked = names
        self._metrics.revoked_names.set(len(names))
        self._move()

    def is_revoked(self, name: str) -> bool:
        """Whether the credentials of a service or an internal part are revoked."""
        return name in self._revoked

    def close(self) -> None:
        """End every watch, now and from now on."""
        self._closed = True
        self._move()

    async def run(self) -> None:
        """Read on, for ever; a directory that is away is asked again each second."""
        while True:
            self._wake.clear()
            await self._read_on()
            await _set_within(self._wake, READ_SECONDS)

    async def watch(self, since: int | None) -> AsyncGenerator[Revocations, None]:
        """All that ends something from a version on, then each as it happens, and a tick each second.

        The first answer comes at once. While the directory is away there are only ticks. A position beyond
        the history's end, after a restore, falls back to that end: `version` then goes down.

        Args:
            since: the version up to which everything is known; None: the present.

        Raises:
            StoppingError: the process ends.
            DirectoryUnavailableError: the history was not read yet.
        """
        if self._version is None:
            raise DirectoryUnavailableError
        told = self._revoked if since is None else frozenset()
        lives = self._lives
        position = self._version if since is None else await self._within_history(since)
        self._metrics.watchers.inc()
        try:
            while True:
                # Taken before looking, so that what happens from here on is seen.
                moved = self._moved
                if self._closed:
                    raise StoppingError
                if lives != self._lives:
                    lives, position = self._lives, self._version
                changes, position, is_end = await self._read_from(position)
                names = tuple(sorted(self._revoked - told))
                told = self._revoked
                revoking = tuple(change for change in changes if change.reason in REVOKING)
                yield Revocations(revoking, names, position)
                if is_end:
                    await _set_within(moved, TICK_SECONDS)
        finally:
            self._metrics.watchers.dec()

    def _move(self) -> None:
        """Wake all who wait for a move, and let the next one be waited for."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _read_on(self) -> None:
        try:
            if self._version is None:
                await self._start()
            while await self._read_page():
                pass
        except DirectoryUnavailableError:
            if not self._failing:
                _log.warning("changes_unreadable")
            self._failing = True
            return
        if self._failing:
            _log.info("changes_readable_again", version=self._version)
        self._failing = False
        self._read_at = self._monotonic()

    async def _start(self) -> None:
        version = (await self._directory.find(())).version
        self._lookups.forget_all(version)
        self._version = version
        self._metrics.change_version.set(version)

    async def _read_page(self) -> bool:
        """Read what follows; whether more may."""
        assert self._version is not None  # noqa: S101 - for the type checker: _start came first.
        page = await self._directory.changes_after(self._version, PAGE)
        if page.last_version < self._version:
            # A restored database: what we remember happened in a life of it that is gone.
            _log.warning("changes_went_back", known=self._version, found=page.last_version)
            self._lives += 1
            self._kept.clear()
            self._lookups.forget_all(page.last_version)
            self._version = page.last_version
            self._move()
        elif page.changes:
            self._kept.extend(page.changes)
            self._version = page.changes[-1].version
            self._lookups.forget((change.user_id for change in page.changes), self._version)
            for change in page.changes:
                self._metrics.user_changes.labels(change.reason).inc()
            self._move()
        self._metrics.change_version.set(self._version)
        return len(page.changes) == PAGE

    async def _within_history(self, since: int) -> int:
        """`since`, or the history's end where it lies beyond it."""
        if self._version is not None and since <= self._version:
            return since
        # Another process may have told of a change that our reader comes to within the second.
        return min(since, (await self._directory.find(())).version)

    async def _read_from(self, position: int) -> tuple[list[UserChange], int, bool]:
        """Some changes after `position`, the position after them, and whether that is the end for now."""
        assert self._version is not None  # noqa: S101 - for the type checker: watch() looked.
        if position >= self._version:
            return [], position, True
        kept_after = self._kept[0].version - 1 if self._kept else self._version
        if position >= kept_after:
            later: list[UserChange] = []
            for change in reversed(self._kept):
                if change.version <= position:
                    break
                later.append(change)
            changes = later[: -PAGE - 1 : -1]
            return changes, changes[-1].version, len(later) <= PAGE
        try:
            page = await self._directory.changes_after(position, PAGE)
        except DirectoryUnavailableError:
            return [], position, True
        changes = list(page.changes)
        return changes, changes[-1].version if changes else page.last_version, len(changes) < PAGE


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait until `event` is set, but not for longer than that."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
