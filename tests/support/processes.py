"""Waiting for processes of the operating system that are not our children."""

import time
from collections.abc import Iterable

import psutil


def is_gone(pid: int) -> bool:
    """Whether the process has ended; one that only waits to be reaped by its parent has."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(pids: Iterable[int], seconds: float = 10) -> None:
    """Returns when all of them have ended."""
    deadline = time.monotonic() + seconds
    left = set(pids)
    while left := {pid for pid in left if not is_gone(pid)}:
        assert time.monotonic() < deadline, f"still there: {[psutil.Process(pid) for pid in left]}"
        time.sleep(0.01)


def family_of(pid: int) -> set[int]:
    """The process and all its descendants."""
    return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
