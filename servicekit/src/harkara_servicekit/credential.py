"""A service's own credential, read again when its file changes.

Sent as metadata of each call and not by an interceptor: grpc.aio wraps a stream that has one, and every
message on it then costs a queue and a task switch more.
"""

from __future__ import annotations

from pathlib import Path

from harkara_servicekit.settings import SettingsError, read_secret_file


class Credential:
    """An internal token in a file.

    Args:
        path: The file; mode 0600.

    Raises:
        SettingsError: It cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Before the file is read: one that is replaced meanwhile is read again.
        self._stamp = self._read_stamp()
        self._token = read_secret_file(path)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what to send with a call; the old token where the file cannot be read any more."""
        stamp = self._read_stamp()
        if stamp != self._stamp:
            try:
                self._token = read_secret_file(self._path)
            except SettingsError:
                pass
            else:
                self._stamp = stamp
        return (("authorization", f"Bearer {self._token}"),)

    def _read_stamp(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino
