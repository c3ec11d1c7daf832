"""A file that is read again when it changed."""

from __future__ import annotations

import os
from pathlib import Path


class FileTooLargeError(OSError):
    """The file is larger than anything it may hold."""


class WatchedFile:
    """Knows whether a file changed since it was last read: by time, size and inode.

    A writer should replace the file in one stroke (write beside it, rename). One that does not is read
    half-written at worst until it is done, for then the time changes again.

    Args:
        path: the file.
        max_bytes: how large it may be.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._seen: tuple[int, int, int] | None = None

    def read_if_changed(self) -> bytes | None:
        """The content if it was never read or changed since; else None.

        Raises:
            OSError: it cannot be read, or is too large. It counts as changed until it can be.
        """
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._seen:
                return None
            content = file.read(self._max_bytes + 1)
        if len(content) > self._max_bytes:
            message = "too large"
            raise FileTooLargeError(0, message)
        self._seen = stamp
        return content
