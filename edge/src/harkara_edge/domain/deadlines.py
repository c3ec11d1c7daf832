"""One wheel for the deadlines of all connections, in place of a timer for each.

An item has one entry that counts; scheduling it again leaves the old one behind, which is skipped
when its turn comes. What does not belong here: what a deadline means, and the clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Scheduled(Protocol):
    """What stands on a wheel. The field is the wheel's: 0 for not scheduled."""

    due_slot: int


T = TypeVar("T", bound=Scheduled)


class Wheel(Generic[T]):
    """Deadlines in slots.

    Args:
        slot_seconds: A slot's width: no item comes early, and none more than this late.
    """

    def __init__(self, slot_seconds: float) -> None:
        self._width = slot_seconds
        self._slots: dict[int, list[T]] = {}
        self._turned = 0

    def schedule(self, item: T, when: float) -> None:
        """Let the item come up at a time, and at no other one asked for before.

        Args:
            item: What is to come up.
            when: Seconds of the wheel's clock; one that has passed comes up at the next turn.
        """
        slot = max(math.ceil(when / self._width), self._turned + 1)
        if item.due_slot == slot:
            return
        item.due_slot = slot
        self._slots.setdefault(slot, []).append(item)

    def expire(self, now: float) -> Iterator[T]:
        """Yield each item whose time has come, once; it is then no longer scheduled.

        Args:
            now: Seconds; not before the last call's.
        """
        until = math.floor(now / self._width)
        # Not slot by slot: after a long sleep there may be more slots than entries.
        for slot in sorted(slot for slot in self._slots if slot <= until):
            self._turned = max(self._turned, slot)
            for item in self._slots.pop(slot):
                if item.due_slot == slot:
                    item.due_slot = 0
                    yield item
        self._turned = max(self._turned, until)
