"""Waiting for processes of the operating system that are not our children."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

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


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The process and all its descendants do nothing for a while, and are there all the same."""
    family = family_of(pid)
    for member in family:
        os.kill(member, signal.SIGSTOP)
    try:
        yield
    finally:
        for member in family:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGCONT)


def family_of(pid: int) -> set[int]:
    """The process and all its descendants."""
    return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
