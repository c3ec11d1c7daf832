"""How the events of one transaction get their numbers, before the database says where streams stand.

The database raises each user's counter once, by the number of that user's events, and tells where it
then stands. An event's own number is that end less the events of the same user that come after it:
known beforehand, whatever the counter was. So one statement can raise counters and store rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from harkara_event_service.domain.event import Event

_first = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Numbering:
    """The events of one transaction, sorted as they are written, and what their numbers lack.

    Rows lie by event_id, users by user_id: every writer takes its locks in that order, so that two
    of them never wait for each other.

    Args:
        rows: the events by event_id.
        users: each user once, by user_id.
        counts: for each of `users` how many events there are.
        user_of: for each of `rows` where its user stands in `users`, from 0.
        behind: for each of `rows` how many later events there are of the same user.
    """

    rows: Sequence[Event]
    users: Sequence[str]
    counts: Sequence[int]
    user_of: Sequence[int]
    behind: Sequence[int]

    def seqs(self, last_seqs: Sequence[int]) -> dict[str, int]:
        """Every event's number, by event_id.

        Args:
            last_seqs: for each of `users` where the counter stood after it was raised.
        """
        return {
            event.event_id: last_seqs[user] - behind
            for event, user, behind in zip(self.rows, self.user_of, self.behind, strict=True)
        }


def number(events: Sequence[Event]) -> Numbering:
    """Arrange events for one transaction.

    Args:
        events: no event_id twice; events of one user are numbered in this order.
    """
    later: dict[str, int] = {}
    keyed: list[tuple[str, int, Event]] = []
    for event in reversed(events):
        user_id = event.user_id
        behind = later.get(user_id, 0)
        later[user_id] = behind + 1
        keyed.append((event.event_id, behind, event))
    keyed.sort(key=_first)
    users = sorted(later)
    place = {user_id: index for index, user_id in enumerate(users)}
    rows = [event for _, _, event in keyed]
    return Numbering(
        rows=rows,
        users=users,
        counts=[later[user_id] for user_id in users],
        user_of=[place[event.user_id] for event in rows],
        behind=[behind for _, behind, _ in keyed],
    )
