"""The city's clock: so many of its seconds pass in one of ours."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Pace:
    """Turns our time into the city's, and back.

    Args:
        speed: Seconds of the city in one of ours, above 0.
        monotonic: Seconds that never go back.
        now: The time of day, in seconds since 1970.
    """

    def __init__(self, speed: float, monotonic: Callable[[], float], now: Callable[[], float]) -> None:
        self._speed = speed
        self._monotonic = monotonic
        self._now = now
        self._base = 0.0
        self._since = monotonic()
        self._epoch = now()

    def seconds(self) -> float:
        """How late it is in the city."""
        return self._base + (self._monotonic() - self._since) * self._speed

    def wait_until(self, seconds: float) -> float:
        """How many of our seconds there are until then; less than 0 where that has passed."""
        return (seconds - self.seconds()) / self._speed

    def time_at(self, seconds: float) -> datetime:
        """What our clocks show at a second of the city, in UTC."""
        return datetime.fromtimestamp(self._epoch, UTC) + timedelta(
            seconds=(seconds - self._base) / self._speed
        )

    def turn_back(self, seconds: float) -> None:
        """Makes it so late in the city now: it waited meanwhile."""
        self._base = seconds
        self._since = self._monotonic()
        self._epoch = self._now()
