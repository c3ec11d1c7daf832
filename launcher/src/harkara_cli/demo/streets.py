"""A map of streets: crossings, ways between them, and places along a way.

The map itself is data: `streets.json` in the console of query-service, which draws the same streets.
"""

import heapq
import itertools
import json
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

_METRES_PER_DEGREE = 111_195.0


@dataclass(frozen=True)
class Point:
    """A place on earth, in degrees."""

    latitude: float
    longitude: float

    def metres_to(self, other: "Point") -> float:
        """The distance as the crow flies; the map is small enough to be flat."""
        return math.hypot(*self._offset(other))

    def heading_to(self, other: "Point") -> float:
        """The compass heading in degrees from 0 (north) up to 360; 0 where both are one place."""
        east, north = self._offset(other)
        return math.degrees(math.atan2(east, north)) % 360

    def towards(self, other: "Point", share: float) -> "Point":
        """The place after a share (0 to 1) of the straight way to another."""
        return Point(
            self.latitude + (other.latitude - self.latitude) * share,
            self.longitude + (other.longitude - self.longitude) * share,
        )

    def _offset(self, other: "Point") -> tuple[float, float]:
        """How far the other is to the east and to the north, in metres."""
        shrink = math.cos(math.radians((self.latitude + other.latitude) / 2))
        east = (other.longitude - self.longitude) * shrink * _METRES_PER_DEGREE
        return east, (other.latitude - self.latitude) * _METRES_PER_DEGREE


class Route:
    """A way along streets.

    Args:
        points: From its start to its end, at least one.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = tuple(points)
        steps = (one.metres_to(next_one) for one, next_one in itertools.pairwise(self.points))
        self.marks = tuple(itertools.accumulate(steps, initial=0.0))
        """How many metres from the start each point is."""

    @property
    def metres(self) -> float:
        """How long it is."""
        return self.marks[-1]

    def at(self, metres: float) -> tuple[Point, float]:
        """The place so far along the way, and the heading there.

        Args:
            metres: From the start; what is before it or beyond the end counts as that.
        """
        if len(self.points) == 1:
            return self.points[0], 0.0
        after = min(max(bisect_right(self.marks, metres), 1), len(self.points) - 1)
        before, ahead = self.points[after - 1], self.points[after]
        length = self.marks[after] - self.marks[after - 1]
        share = (metres - self.marks[after - 1]) / length if length else 1.0
        return before.towards(ahead, min(max(share, 0.0), 1.0)), before.heading_to(ahead)


class Streets:
    """The map.

    Args:
        crossings: Where each is, by id.
        names: Of those crossings that have one; the others are bends.
        streets: Crossings one after the other; each street leads both ways.
    """

    def __init__(
        self, crossings: Mapping[str, Point], names: Mapping[str, str], streets: Sequence[Sequence[str]]
    ) -> None:
        self.crossings = dict(crossings)
        self.names = dict(names)
        self._beside: dict[str, dict[str, float]] = {crossing: {} for crossing in crossings}
        for street in streets:
            for one, other in itertools.pairwise(street):
                metres = self.crossings[one].metres_to(self.crossings[other])
                self._beside[one][other] = self._beside[other][one] = metres

    @classmethod
    def from_json(cls, text: str) -> "Streets":
        """From the file's text.

        Raises:
            KeyError: A field is missing, or a street names a crossing that is not there.
        """
        described: dict[str, Any] = json.loads(text)
        crossings = described["crossings"]
        return cls(
            {crossing["id"]: Point(crossing["latitude"], crossing["longitude"]) for crossing in crossings},
            {crossing["id"]: crossing["name"] for crossing in crossings if "name" in crossing},
            [street["crossings"] for street in described["streets"]],
        )

    def route(self, start: str, end: str) -> Route:
        """The shortest way between two crossings.

        Raises:
            KeyError: There is no such crossing, or no way.
        """
        came_from: dict[str, str] = {}
        best = {start: 0.0}
        ahead = [(0.0, start)]
        while ahead:
            metres, here = heapq.heappop(ahead)
            if here == end:
                break
            if metres > best[here]:
                continue
            for there, more in self._beside[here].items():
                if metres + more < best.get(there, math.inf):
                    best[there] = metres + more
                    came_from[there] = here
                    heapq.heappush(ahead, (metres + more, there))
        way = [end]
        while way[-1] != start:
            way.append(came_from[way[-1]])
        return Route([self.crossings[crossing] for crossing in reversed(way)])


def load_streets() -> Streets:
    """The streets that the console draws too."""
    file = files("harkara_query_service") / "console" / "streets.json"
    return Streets.from_json(file.read_text(encoding="utf-8"))
