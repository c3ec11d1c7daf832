"""Which commits of all writers this replica has heard of, and which it must still read.

Each writer numbers its commits 1, 2, 3 … without a gap, and stores each number with the users it wrote
for. Of most commits a replica hears from their writer; the rest it finds by asking for the numbers that
it lacks. So a lost hint costs a read, and nothing else.

Pure. Not here: how hints travel, how rows are read, what is done about a user.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

WRITERS = 64
"""Writers are 0 to `WRITERS` - 1: the slots that they lease (`event_count` is kept by them too)."""

_MOST_RANGES = 1_000


class BatchId(NamedTuple):
    """One commit.

    Args:
        writer: who committed, 0 to `WRITERS` - 1.
        number: its number among that writer's commits, from 1 without a gap.
    """

    writer: int
    number: int


class CommitBatch(NamedTuple):
    """What is stored of a commit, for whoever did not hear of it.

    Args:
        id: which.
        users: whose streams it added to, each once.
        last_seqs: for each of `users` the last number it gave.
    """

    id: BatchId
    users: Sequence[str]
    last_seqs: Sequence[int]


class _Range:
    """Numbers from `first` to `last`."""

    __slots__ = ("first", "last")

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last


class _Writer:
    """One writer's commits: all up to `top` were heard, but for `missing`, which rises."""

    __slots__ = ("missing", "top")

    def __init__(self, top: int) -> None:
        self.top = top
        self.missing: list[_Range] = []

    def hear(self, number: int) -> int:
        if number > self.top:
            skipped = number - self.top - 1
            if skipped:
                self.missing.append(_Range(self.top + 1, number - 1))
                if len(self.missing) > _MOST_RANGES:
                    # What was heard in between is read again, and known then: a read, and nothing else.
                    self.missing = [_Range(self.missing[0].first, self.missing[-1].last)]
            self.top = number
            return skipped
        for index, lacking in enumerate(self.missing):
            if lacking.first <= number <= lacking.last:
                rest = [_Range(lacking.first, number - 1), _Range(number + 1, lacking.last)]
                self.missing[index : index + 1] = [each for each in rest if each.first <= each.last]
                break
        return 0

    def is_heard(self, number: int) -> bool:
        return number <= self.top and not any(
            lacking.first <= number <= lacking.last for lacking in self.missing
        )

    def after(self) -> int:
        return self.missing[0].first - 1 if self.missing else self.top

    def give_up_before(self, number: int) -> bool:
        """Count everything below `number` as heard; returns whether anything was not."""
        is_any = self.after() < number - 1
        while self.missing and self.missing[0].last < number:
            del self.missing[0]
        if self.missing and self.missing[0].first < number:
            self.missing[0].first = number
        self.top = max(self.top, number - 1)
        return is_any


class HeardBatches:
    """What was heard of each writer.

    Args:
        highest: for each writer, from 0, the number of its last commit now, 0 where there is none:
            everything up to there counts as heard.
    """

    def __init__(self, highest: Sequence[int]) -> None:
        self._writers = [_Writer(number) for number in highest]

    def hear(self, batch: BatchId) -> int:
        """Take note of a commit that was heard of, from its writer or as one's own.

        Returns:
            How many commits before it were not heard of, and were not known to be missing until now.
        """
        return self._writers[batch.writer].hear(batch.number)

    def after(self) -> list[int]:
        """For each writer, the number after which to read."""
        return [writer.after() for writer in self._writers]

    def take(self, batches: Sequence[CommitBatch]) -> tuple[list[CommitBatch], bool]:
        """Take note of commits that were read after `after`.

        Args:
            batches: for each writer without a gap in the rows there are, by rising number.

        Returns:
            Those that had not been heard of, and whether there were others, whose rows have gone: of
            whom they were for nothing is known.
        """
        news: list[CommitBatch] = []
        is_incomplete = False
        for batch in batches:
            writer = self._writers[batch.id.writer]
            if writer.give_up_before(batch.id.number):
                is_incomplete = True
            if not writer.is_heard(batch.id.number):
                writer.hear(batch.id.number)
                news.append(batch)
        return news, is_incomplete
