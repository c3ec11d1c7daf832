"""Which of the events that come are wanted: by type, by level, by a text in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harkara_catalogue import LEVELS
from harkara_cli.event_lines import Event

ALL = "*"
_GLOB = frozenset("*?[")


@dataclass(frozen=True)
class EventFilter:
    """What somebody wants to see.

    Attributes:
        types: Names of event types, and globs such as `payment_*`.
        least_level: Only this level, and what is more urgent; None is every level.
        text: Only events in which this stands, in upper or lower case; None is all.
    """

    types: Sequence[str] = (ALL,)
    least_level: str | None = None
    text: str | None = None

    @property
    def subscription(self) -> list[str]:
        """What to ask the server for: it knows names and `*`, no globs; so `passes` does the rest."""
        names = [name for name in self.types if not _GLOB & set(name)]
        return names if len(names) == len(self.types) else [*names, ALL]

    def passes(self, event: Event, frame: str, line: str) -> bool:
        """Whether an event is wanted.

        Args:
            event: The event.
            frame: Its JSON, as it came.
            line: As people would see it; without colours.
        """
        if ALL not in self.types and not any(fnmatchcase(event.event_type, name) for name in self.types):
            return False
        if self.least_level is not None and _urgency(event.event_level) < _urgency(self.least_level):
            return False
        if self.text is None:
            return True
        # An escaped letter stands in the one and not in the other; a name of a field likewise.
        wanted = self.text.casefold()
        return wanted in line.casefold() or wanted in frame.casefold()


def _urgency(level: str) -> int:
    # A level that is not known here must not hide an event.
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)
