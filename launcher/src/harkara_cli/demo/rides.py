"""A ride along a route: where a rider is at each moment, and how long the rest will take.

Streets are slower and faster by chance, and some crossings have a red light. The estimate knows nothing of
that, as a real one does not: so it changes on the way.
"""

import itertools
from bisect import bisect_right
from dataclasses import dataclass
from random import Random

from harkara_cli.demo.streets import Point, Route

USUAL_METRES_PER_SECOND = 5.0
"""18 km/h: what an estimate reckons with."""

_SLOWEST, _FASTEST = 0.75, 1.3
_RED_LIGHT_CHANCE = 0.05
_RED_LIGHT_SECONDS = (8.0, 35.0)


@dataclass(frozen=True)
class Sight:
    """What a rider's phone knows of a moment.

    Attributes:
        point: Where they are.
        heading: Compass heading, in degrees.
        metres_per_second: How fast; 0 at a red light.
        metres_left: Of this ride.
    """

    point: Point
    heading: float
    metres_per_second: float
    metres_left: float


class Ride:
    """One ride.

    Args:
        route: Where along.
        chance: Of traffic and lights.
    """

    def __init__(self, route: Route, chance: Random) -> None:
        self.route = route
        self._seconds = [0.0]
        self._metres = [0.0]
        for start, end in itertools.pairwise(route.marks):
            if start and chance.random() < _RED_LIGHT_CHANCE:
                self._seconds.append(self._seconds[-1] + chance.uniform(*_RED_LIGHT_SECONDS))
                self._metres.append(start)
            speed = USUAL_METRES_PER_SECOND * chance.uniform(_SLOWEST, _FASTEST)
            self._seconds.append(self._seconds[-1] + (end - start) / speed)
            self._metres.append(end)

    @property
    def seconds(self) -> float:
        """How long it really takes."""
        return self._seconds[-1]

    def at(self, seconds: float) -> Sight:
        """What there is to see so long after the start; what is beyond the end counts as that."""
        if seconds >= self.seconds or len(self._seconds) == 1:
            point, heading = self.route.at(self.route.metres)
            return Sight(point, heading, 0.0, 0.0)
        after = max(bisect_right(self._seconds, seconds), 1)
        lasting = self._seconds[after] - self._seconds[after - 1]
        covered = self._metres[after] - self._metres[after - 1]
        speed = covered / lasting if lasting else 0.0
        metres = self._metres[after - 1] + speed * max(seconds - self._seconds[after - 1], 0.0)
        point, heading = self.route.at(metres)
        return Sight(point, heading, speed, max(self.route.metres - metres, 0.0))


def estimated_seconds(metres: float) -> float:
    """How long a ride of that length usually takes."""
    return metres / USUAL_METRES_PER_SECOND
