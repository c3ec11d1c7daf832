"""What waits to go out on a backplane: bounded in number and in bytes, the newest is turned away.

What does not belong here: where it goes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from harkara_event_service.ports import Topic


@dataclass(frozen=True, slots=True)
class OutgoingLimits:
    """How much may wait.

    Args:
        messages: how many.
        size: how long they are together, in bytes.
    """

    messages: int = 1_000
    size: int = 16 << 20


class Outgoing:
    """The queue.

    Args:
        limits: see there.

    Attributes:
        filled: set while there is something.
    """

    def __init__(self, limits: OutgoingLimits) -> None:
        self._limits = limits
        self._messages: deque[tuple[Topic, bytes]] = deque()
        self._size = 0
        self.filled = asyncio.Event()

    def put(self, topic: Topic, message: bytes) -> bool:
        """Queue a message; False where there is no room for it."""
        if len(self._messages) >= self._limits.messages or self._size + len(message) > self._limits.size:
            return False
        self._messages.append((topic, message))
        self._size += len(message)
        self.filled.set()
        return True

    def take(self) -> tuple[Topic, bytes] | None:
        """The next message; None where there is none."""
        if not self._messages:
            self.filled.clear()
            return None
        topic, message = self._messages.popleft()
        self._size -= len(message)
        return topic, message

    def clear(self) -> int:
        """Forget everything; returns how many messages that were."""
        count = len(self._messages)
        self._messages.clear()
        self._size = 0
        self.filled.clear()
        return count
