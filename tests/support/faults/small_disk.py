"""A disk so small that it can be filled: a tmpfs of a given size, without being root.

    python -m tests.support.faults.small_disk FOLDER MEGABYTES COMMAND …

Becomes COMMAND in a user and a mount namespace of its own, in which FOLDER is that disk. What is written
past its end fails with ENOSPC, as on any full disk. Only processes in there see it; from outside it is at
/proc/PID/root/FOLDER.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CLONE_NEWUSER, _CLONE_NEWNS = 0x10000000, 0x00020000
_CHUNK = b"\0" * (1 << 20)


def command(folder: Path, megabytes: int) -> list[str]:
    """What a command is prefixed with to run so."""
    return [sys.executable, "-m", __name__, str(folder), str(megabytes)]


def is_possible() -> bool:
    """Whether this system lets us."""
    if sys.platform != "linux":
        return False
    trial = [sys.executable, "-m", __name__, "/mnt", "1", "true"]
    return subprocess.run(trial, check=False, capture_output=True).returncode == 0  # noqa: S603


@contextmanager
def filled(pid: int, folder: Path) -> Iterator[None]:
    """Fill the disk to its last byte, and make room again in the end.

    Args:
        pid: A process that sees the disk.
        folder: Where.
    """
    filler = Path(f"/proc/{pid}/root{folder}/filler")
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(_CHUNK)
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0")
        yield
    finally:
        filler.unlink()


def _main(folder: str, megabytes: str, *argv: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS):
        sys.exit(f"no namespace: {os.strerror(ctypes.get_errno())}")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        Path("/proc/self", name).write_text(text)
    Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=700".encode()
    if libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, options):
        sys.exit(f"no disk: {os.strerror(ctypes.get_errno())}")
    os.execvp(argv[0], argv)  # noqa: S606


if __name__ == "__main__":
    _main(*sys.argv[1:])
