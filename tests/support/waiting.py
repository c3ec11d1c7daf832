"""Waiting for what tells nobody when it happens: ask often, and give up in time.

For such things only. Where there is an event, an answer or a callback, wait for that.
"""

import asyncio
import time
from collections.abc import Callable

_PAUSE_SECONDS = 0.005


def wait_until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    """Blocks until a condition holds.

    Args:
        is_so: The condition; its docstring or name is shown when it never holds.
        seconds: When to give up.

    Raises:
        TimeoutError: It did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise _too_late(is_so, seconds)
        time.sleep(_PAUSE_SECONDS)


async def wait_until_async(is_so: Callable[[], bool], seconds: float = 20) -> None:
    """As `wait_until`, and lets the event loop run meanwhile.

    Raises:
        TimeoutError: It did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise _too_late(is_so, seconds)
        await asyncio.sleep(_PAUSE_SECONDS)


def _too_late(is_so: Callable[[], bool], seconds: float) -> TimeoutError:
    return TimeoutError(f"not so after {seconds} s: {is_so.__doc__ or is_so}")
