"""Tells clients one after the other, over a while, that their server stops.

All at once would have all of them come to the other workers at once.

What does not belong here: what they are told (`edge`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from harkara_edge.domain.states import State
from harkara_edge.service.client import Client

TELLS_IN_A_TURN: Final = 256
_SHORTEST_WAIT_SECONDS: Final = 0.02


async def tell_one_by_one(
    clients: Sequence[Client], tell: Callable[[Client], None], seconds: float, hurry: asyncio.Event
) -> None:
    """Tell each client that is still there, evenly spread; return when none is left.

    Args:
        clients: Whom.
        tell: Tells one.
        seconds: Over how long; 0 is at once.
        hurry: Set to tell the rest at once.
    """
    loop = asyncio.get_running_loop()
    waiting = deque(clients)
    began, total = loop.time(), len(waiting)
    while any(client.state is not State.CLOSED for client in waiting):
        passed = loop.time() - began
        is_over = hurry.is_set() or passed >= seconds
        due = len(waiting) if is_over else 1 + int(total * passed / seconds) - (total - len(waiting))
        for _ in range(min(due, TELLS_IN_A_TURN)):
            client = waiting.popleft()
            if client.state is not State.CLOSED:
                tell(client)
        if due > TELLS_IN_A_TURN:
            await asyncio.sleep(0)
        elif waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(_SHORTEST_WAIT_SECONDS, seconds / total)):
                    await hurry.wait()
