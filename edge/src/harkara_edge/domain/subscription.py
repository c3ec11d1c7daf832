"""What a client subscribed to, and the changes of it that are not in force yet.

A change is in force when the event-service says so: by its number, or because a cursor was opened that
carried it. Until then it waits, with the answer that its client will get. A change that changes nothing
waits with the last one that did, or for nothing, so that answers keep the order of the questions.

What does not belong here: which types there are, and how many one may have (`session`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from harkara_edge.domain.commands import AddTypes, RemoveTypes

Types = tuple[str, ...]


class Subscription:
    """One session's."""

    __slots__ = ("_carried", "_last", "_waiting", "types")

    def __init__(self) -> None:
        self.types: Types = ()
        """What the client wants, in the order first asked; in force or about to be."""
        self._waiting: deque[tuple[int, Types]] | None = None
        self._last = 0
        self._carried = 0

    @property
    def unanswered(self) -> int:
        """How many changes wait."""
        return len(self._waiting) if self._waiting else 0

    def with_added(self, types: Iterable[str]) -> Types:
        """Return what would be wanted if these were added."""
        return tuple(dict.fromkeys((*self.types, *types)))

    def add(self, types: Iterable[str]) -> tuple[AddTypes | None, list[Types]]:
        """Want these too.

        Returns:
            The command for the cursor, None where nothing is new; the answers to give at once.
        """
        wanted = self.with_added(types)
        added = wanted[len(self.types) :]
        self.types = wanted
        answers = self._wait(changed=bool(added))
        return AddTypes(self._last, added) if added else None, answers

    def remove(self, types: Iterable[str]) -> tuple[RemoveTypes | None, list[Types]]:
        """Want these no more.

        Returns:
            The command for the cursor, None where none was wanted; the answers to give at once.
        """
        gone = frozenset(types)
        removed = tuple(name for name in self.types if name in gone)
        self.types = tuple(name for name in self.types if name not in gone)
        answers = self._wait(changed=bool(removed))
        return RemoveTypes(self._last, removed) if removed else None, answers

    def _wait(self, *, changed: bool) -> list[Types]:
        if self._waiting is None:
            if not changed:
                return [self.types]
            self._waiting = deque()
        self._last += changed
        self._waiting.append((self._last, self.types))
        return []

    def carry(self) -> Types:
        """Return all that is wanted, for a cursor that is about to be opened with it."""
        self._carried = self._last
        return self.types

    def carried(self) -> list[Types]:
        """Take that this cursor stands; return the answers to what it carried, in order."""
        return self.in_force(self._carried)

    def in_force(self, change: int) -> list[Types]:
        """Take that a change, and all before it, are in force; return their answers, in order."""
        answers: list[Types] = []
        waiting = self._waiting
        while waiting and waiting[0][0] <= change:
            answers.append(waiting.popleft()[1])
        if not waiting:
            self._waiting = None
        return answers

    def forget(self) -> None:
        """Answer nothing any more."""
        self._waiting = None
