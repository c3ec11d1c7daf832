"""The file of revoked credentials: read at the start, and again each second if it changed.

A file that cannot be read any more changes nothing: who is revoked stays revoked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from harkara_auth_service.adapters.watched_file import WatchedFile
from harkara_auth_service.domain.credentials import MAX_LIST_BYTES, read_revoked_names

LOOK_SECONDS: Final = 1.0

_log = structlog.get_logger()


class RevokedList:
    """Tells who is revoked.

    Args:
        path: the file.
        revoke: is told all revoked names, at first and at each change.
    """

    def __init__(self, path: Path, revoke: Callable[[frozenset[str]], None]) -> None:
        self._file = WatchedFile(path, MAX_LIST_BYTES)
        self._revoke = revoke
        self._failing = False

    def read(self) -> None:
        """Read the file if it changed.

        Raises:
            OSError: it cannot be read.
        """
        content = self._file.read_if_changed()
        if content is None:
            return
        revoked = read_revoked_names(content)
        if revoked.odd_lines:
            _log.warning("revoked_list_odd_lines", lines=revoked.odd_lines[:10])
        _log.info("revoked_list_read", names=len(revoked.names))
        self._revoke(revoked.names)

    async def run(self) -> None:
        """Read on, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                self.read()
                self._failing = False
            except OSError as error:
                if not self._failing:
                    _log.warning("revoked_list_unreadable", reason=error.strerror)
                self._failing = True
