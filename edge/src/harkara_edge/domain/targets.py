"""Which event-service a worker attaches to: the order in which it tries them.

All of them serve alike. A worker begins with one of its own, so that workers spread over them. Where it had
to go to another, it comes back to its own after a while, so that they spread again. One that it had to leave
is its last choice for a few seconds: it is stopping, or dead, or about to die again.

What does not belong here: trying one (`adapters.attaching`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final
from zlib import crc32

AVOID_SECONDS: Final = 5.0


class Targets:
    """The event-services of one worker.

    Args:
        names: Each `host:port`, once.
        worker: The worker's name. Where it ends with a number, the next number begins with the next one.
    """

    def __init__(self, names: Sequence[str], worker: str) -> None:
        self._names = tuple(names)
        number = re.search(r"\d+\Z", worker)
        place = int(number.group()) - 1 if number else crc32(worker.encode())
        self.own = self._names[place % len(self._names)]
        self._left_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._names)

    def in_order(self, now: float, chance: Callable[[], float]) -> list[str]:
        """Return all of them, in the order to try.

        Args:
            now: Seconds of a clock that never goes back.
            chance: Returns a number of 0 to 1: who has to leave one must not go where all others go.
        """
        usual = sorted(self._names, key=lambda name: (name != self.own, chance()))
        return sorted(usual, key=lambda name: self._avoided_since(name, now))

    def _avoided_since(self, name: str, now: float) -> float:
        left_at = self._left_at.get(name)
        return float("-inf") if left_at is None or now - left_at >= AVOID_SECONDS else left_at

    def leave(self, name: str, now: float) -> None:
        """Take that one had to be left, or could not be had."""
        self._left_at[name] = now
