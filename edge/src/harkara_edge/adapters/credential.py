"""This worker's own credential, read again when its file changes.

Sent as metadata of each call and not by an interceptor: grpc.aio wraps a stream that has one, and every
message on it then costs a queue and a task switch more.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from harkara_servicekit.settings import SettingsError, read_secret_file

LOOK_SECONDS: Final = 1.0
"""How often the file is looked at, at most: a storm of clients asks for the credential each time."""


class Credential:
    """An internal token in a file.

    Args:
        path: The file; mode 0600.

    Raises:
        SettingsError: It cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = read_secret_file(path)
        self._stamp = self._read_stamp()
        self._looked_at = time.monotonic()

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what to send with a call; the old token where the file cannot be read any more."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._look()
        return (("authorization", f"Bearer {self._token}"),)

    def _look(self) -> None:
        stamp = self._read_stamp()
        if stamp != self._stamp:
            try:
                self._token = read_secret_file(self._path)
            except SettingsError:
                return
            self._stamp = stamp

    def _read_stamp(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino
