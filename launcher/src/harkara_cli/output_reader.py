"""Whether anybody reads our output: for commands that may be silent for long."""

import asyncio
import os
import select
import stat
from collections.abc import Coroutine

from harkara_cli.errors import ReaderGoneError


async def while_read(work: Coroutine[None, None, None], descriptor: int = 1) -> None:
    """Does `work`, and ends it as soon as nobody is left to read a descriptor.

    Only writing would show that otherwise: `tail | head -0` stayed until the next event. What is no pipe and
    no socket always has its reader. Cancelling it cancels `work`.

    Args:
        work: What to do; it is cancelled when the reader goes.
        descriptor: Whose reader.

    Raises:
        ReaderGoneError: The reader went.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    has_gone = False

    def look() -> None:
        nonlocal has_gone
        # Once is enough: a socket on which the other end says something would call again and again.
        loop.remove_reader(descriptor)
        if _is_broken(descriptor):
            has_gone = True
            task.cancel()

    mode = os.fstat(descriptor).st_mode
    is_watched = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    if is_watched:
        # The writing end of a pipe is ready for reading when its other end is closed, and never else.
        loop.add_reader(descriptor, look)
    try:
        await task
    except asyncio.CancelledError:
        if has_gone:
            raise ReaderGoneError from None
        raise
    finally:
        if is_watched:
            loop.remove_reader(descriptor)


def _is_broken(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)  # Errors and hang-ups are told unasked.
    return bool(poll.poll(0))
