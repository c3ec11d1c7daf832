"""One wheel for the deadlines of all connections, in place of a timer for each.

An item stands in one slot or in none. What does not belong here: what a deadline means, and the clock.
"""

from __future__ import annotations

import math
from typing import Final, Generic, Protocol, TypeVar

SLOT_SECONDS: Final = 0.25
"""How wide a slot is, and how often the wheel is turned."""

LATEST_SECONDS: Final = 3 * SLOT_SECONDS
"""How late a deadline may be acted on: by one slot because it is rounded up to the next, by one more because
the wheel is turned at any moment of a slot, and by a third where the loop is busy."""


class Scheduled(Protocol):
    """What stands on a wheel. The field is the wheel's: 0 for not scheduled."""

    due_slot: int


T = TypeVar("T", bound=Scheduled)


class Wheel(Generic[T]):
    """Deadlines in slots.

    Args:
        slot_seconds: A slot's width: no item comes early, and none more than this late where it is turned
            all the time.
    """

    def __init__(self, slot_seconds: float) -> None:
        self._width = slot_seconds
        self._slots: dict[int, set[T]] = {}
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
        self.cancel(item)
        item.due_slot = slot
        self._slots.setdefault(slot, set()).add(item)

    def cancel(self, item: T) -> None:
        """Let the item not come up; the wheel then knows nothing of it."""
        slot, item.due_slot = item.due_slot, 0
        items = self._slots.get(slot)
        if items is not None:
            items.discard(item)
            if not items:
                del self._slots[slot]

    def expire(self, now: float) -> list[T]:
        """Return the items whose time has come; they are then no longer scheduled.

        Args:
            now: Seconds; not before the last call's.
        """
        until = math.floor(now / self._width)
        due: list[T] = []
        # Not slot by slot: after a long sleep there may be more slots than items.
        for slot in sorted(slot for slot in self._slots if slot <= until):
            due += self._slots.pop(slot)
        for item in due:
            item.due_slot = 0
        self._turned = max(self._turned, until)
        return due
