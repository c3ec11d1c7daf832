"""Numbers that are known but for where the users' counters stand."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harkara_event_service.domain.numbering import number
from tests.support.events import make_event

USERS = st.lists(st.sampled_from(["Z", "a", "b", "-", "_", "user_10", "user_9"]), min_size=1, max_size=40)


def test_an_event_counts_the_later_events_of_its_user() -> None:
    first, other, second = make_event("ada"), make_event("bob"), make_event("ada")

    numbering = number([first, other, second])

    assert (numbering.users, numbering.counts) == (["ada", "bob"], [2, 1])
    assert numbering.seqs([12, 5]) == {first.event_id: 11, second.event_id: 12, other.event_id: 5}


@given(users=USERS, data=st.data())
def test_a_users_events_follow_each_other_in_order_up_to_the_counter(
    users: list[str], data: st.DataObject
) -> None:
    events = [make_event(user_id) for user_id in users]
    before = data.draw(st.fixed_dictionaries({user_id: st.integers(0, 1 << 60) for user_id in set(users)}))

    numbering = number(events)
    counts = Counter(users)
    seqs = numbering.seqs([before[user_id] + counts[user_id] for user_id in numbering.users])

    for user_id in before:
        own = [seqs[event.event_id] for event in events if event.user_id == user_id]
        assert own == [before[user_id] + place for place in range(1, counts[user_id] + 1)]


@given(users=USERS)
def test_locks_are_taken_in_the_order_of_bytes(users: list[str]) -> None:
    events = [make_event(user_id) for user_id in users]

    numbering = number(events)

    assert [user.encode() for user in numbering.users] == sorted({user.encode() for user in users})
    assert [event.event_id for event in numbering.rows] == sorted([event.event_id for event in events])
    assert [numbering.users[place] for place in numbering.user_of] == [row.user_id for row in numbering.rows]
