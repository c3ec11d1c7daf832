"""How long to wait before the next try: full jitter, so that many clients do not come back together."""

from __future__ import annotations

import random


class Backoff:
    """A random time between 0 and a bound that doubles with every failure.

    Args:
        first: The first bound, in seconds.
        longest: The last one.
        rng: Where chance comes from.
    """

    def __init__(self, first: float = 1.0, longest: float = 60.0, rng: random.Random | None = None) -> None:
        self._first = first
        self._longest = longest
        self._random = rng or random.Random()  # noqa: S311 - no secret.
        self._bound = first

    def reset(self) -> None:
        """Something went well: begin anew."""
        self._bound = self._first

    def next_wait(self) -> float:
        """The seconds to wait before the next try."""
        bound, self._bound = self._bound, min(self._bound * 2, self._longest)
        return self._random.uniform(0, bound)

    def spread(self, seconds: float) -> float:
        """A random time up to so many seconds, which is no failure."""
        return self._random.uniform(0, seconds)
