"""Who gets which event: how cursors start, move and are counted. The races stand in test_registry_races."""

from __future__ import annotations

import pytest

from harkara_event_service.domain.cursor import ResumePoint, State, pack
from tests.support.registry_desk import EPOCH, OTHER, USER, WANTED, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


# How a cursor starts.


def test_a_session_without_a_position_starts_at_the_users_last_and_is_live(desk: Desk) -> None:
    session = desk.open(1)

    assert desk.start(session, 7) == (7, False)
    assert desk.state_of(session) is State.LIVE
    assert not desk.registry.has_reads()


def test_nothing_goes_to_a_session_before_its_cursor_stands(desk: Desk) -> None:
    desk.live(1, 7)
    desk.open(2)

    desk.announce(8)

    assert desk.sent == [(1, 8)]


def test_a_resumed_session_reads_what_it_missed_and_then_is_live(desk: Desk) -> None:
    session = desk.open(1)

    assert desk.start(session, 10, after=7) == (7, True)
    assert desk.state_of(session) is State.BEHIND
    assert desk.reads() == {USER: 7}
    desk.page(8, 10)

    assert desk.seqs_of(1) == [8, 9, 10]
    assert desk.state_of(session) is State.LIVE
    assert desk.reads() == {}


@pytest.mark.parametrize(
    ("case", "epoch", "after", "floor"),
    [
        ("another epoch", "second-life", 7, 0),
        ("under the floor", EPOCH, 4, 5),
        ("beyond the last", EPOCH, 11, 0),
        ("before the first", EPOCH, -1, 0),
    ],
)
def test_a_resume_outside_of_the_kept_range_starts_at_the_last_and_says_so(
    desk: Desk, case: str, epoch: str, after: int, floor: int
) -> None:
    session = desk.open(1)

    started = desk.registry.start(session, 10, floor, EPOCH, ResumePoint(epoch, after))

    assert (started.seq, started.recovered) == (10, False), case
    assert desk.state_of(session) is State.LIVE


@pytest.mark.parametrize(("after", "floor"), [(5, 5), (10, 0), (0, 0)])
def test_a_resume_at_the_very_end_of_the_kept_range_is_recovered(desk: Desk, after: int, floor: int) -> None:
    session = desk.open(1)

    assert desk.start(session, 10, after=after, floor=floor) == (after, True)


def test_a_resume_beyond_a_stale_read_of_heads_is_recovered_where_this_replica_knows_the_event(
    desk: Desk,
) -> None:
    desk.live(1, 10)
    session = desk.open(2)
    desk.announce(11)

    assert desk.start(session, 10, after=11) == (11, True)

    assert desk.state_of(session) is State.LIVE
    desk.announce(12)
    assert desk.seqs_of(2) == [12]


def test_an_event_that_commits_between_open_and_the_answer_of_heads_is_read_from_the_log(desk: Desk) -> None:
    session = desk.open(1)
    desk.announce(11)

    desk.start(session, 10)

    assert desk.sent == []
    assert desk.reads() == {USER: 10}
    desk.page(11, 11)
    assert desk.seqs_of(1) == [11]
    assert desk.state_of(session) is State.LIVE


def test_a_session_ahead_of_the_head_waits_for_it_and_gets_nothing_twice(desk: Desk) -> None:
    first = desk.live(1, 10)
    ahead = desk.open(2)

    # It read 11 and 12 elsewhere; their hints have not come here yet.
    desk.start(ahead, 12, after=12)

    assert desk.state_of(ahead) is State.BEHIND
    desk.announce(11)
    desk.announce(12)
    assert (desk.state_of(first), desk.state_of(ahead)) == (State.LIVE, State.LIVE)
    desk.announce(13)
    assert desk.seqs_of(1) == [11, 12, 13]
    assert desk.seqs_of(2) == [13]


def test_a_session_ahead_of_the_head_goes_live_by_a_read_where_the_hints_are_lost(desk: Desk) -> None:
    desk.live(1, 10)
    ahead = desk.open(2)

    desk.start(ahead, 12, after=12)

    assert desk.reads() == {USER: 10}
    desk.page(11, 12)
    assert desk.state_of(ahead) is State.LIVE
    assert desk.sent == [(1, 11), (1, 12)]


# The head.


def test_the_next_event_goes_to_every_live_session_that_is_subscribed(desk: Desk) -> None:
    desk.live(1, 3, ["*"])
    desk.live(2, 3, [WANTED])
    desk.live(3, 3, [OTHER])
    desk.live(4, 3, [])

    desk.announce(4)

    assert sorted(desk.sent) == [(1, 4), (2, 4)]


def test_a_session_that_is_not_subscribed_stays_at_the_head(desk: Desk) -> None:
    session = desk.live(1, 3, [OTHER])

    desk.announce(4, WANTED)
    desk.announce(5, OTHER)

    assert desk.sent == [(1, 5)]
    assert desk.state_of(session) is State.LIVE


def test_an_event_announced_twice_goes_out_once(desk: Desk) -> None:
    desk.live(1, 3)

    desk.announce(4)
    desk.announce(4)
    desk.announce(2)

    assert desk.sent == [(1, 4)]


def test_a_gap_causes_one_read_and_the_late_event_goes_out_once(desk: Desk) -> None:
    desk.live(1, 3)

    desk.announce(5)
    desk.announce(6)

    assert desk.sent == []
    assert desk.reads() == {USER: 3}
    assert desk.reads() == {}
    desk.announce(4)
    desk.page(4, 6)
    desk.announce(5)
    assert desk.seqs_of(1) == [4, 5, 6]
    assert desk.reads() == {}


def test_events_announced_while_the_gap_is_read_are_not_missed(desk: Desk) -> None:
    desk.live(1, 3)
    desk.announce(5)
    assert desk.reads() == {USER: 3}

    # Committed after the read's snapshot: the page does not have it.
    desk.announce(6)
    desk.page(4, 5)

    assert desk.seqs_of(1) == [4, 5]
    assert desk.reads() == {USER: 5}
    desk.page(6, 6)
    assert desk.seqs_of(1) == [4, 5, 6]


def test_a_lost_hint_is_made_good_by_the_next_one(desk: Desk) -> None:
    desk.live(1, 3)

    desk.announce(5)  # 4's hint was lost.

    assert desk.reads() == {USER: 3}
    desk.page(4, 5)
    assert desk.seqs_of(1) == [4, 5]


def test_an_event_of_a_user_without_sessions_is_nothing_to_remember(desk: Desk) -> None:
    desk.announce(4)

    assert list(desk.registry.users()) == []
    assert desk.reads() == {}


# Subscriptions.


def test_a_type_subscribed_live_comes_from_the_very_next_event(desk: Desk) -> None:
    session = desk.live(1, 3, [])
    desk.announce(4)

    assert desk.registry.subscribe(session, [WANTED], 1)
    desk.announce(5)

    assert desk.sent == [(1, 5)]


def test_nothing_of_a_type_comes_after_it_was_unsubscribed(desk: Desk) -> None:
    session = desk.live(1, 3, [WANTED, OTHER])
    desk.announce(4)

    assert desk.registry.unsubscribe(session, [WANTED], 1)
    desk.announce(5, WANTED)
    desk.announce(6, OTHER)

    assert desk.sent == [(1, 4), (1, 6)]


def test_everything_is_one_entry_beside_the_types(desk: Desk) -> None:
    session = desk.live(1, 3, [WANTED, "*"])

    desk.registry.unsubscribe(session, [WANTED], 1)
    desk.announce(4)
    desk.registry.unsubscribe(session, ["*"], 2)
    desk.announce(5)

    assert desk.sent == [(1, 4)]


def test_a_change_before_the_cursor_stands_is_confirmed_behind_opened(desk: Desk) -> None:
    session = desk.open(1, [])

    assert not desk.registry.subscribe(session, [WANTED], 7)
    assert not desk.registry.unsubscribe(session, [OTHER], 8)
    started = desk.registry.start(session, 3, 0, EPOCH, None)

    assert started.changes == [7, 8]
    desk.announce(4)
    assert desk.sent == [(1, 4)]


def test_a_change_waiting_when_the_session_is_opened_again_is_confirmed_once(desk: Desk) -> None:
    session = desk.open(1, [])
    desk.registry.subscribe(session, [WANTED], 7)
    desk.open(1, [WANTED], is_new=False)

    assert desk.registry.start(session, 3, 0, EPOCH, None).changes == [7]
    desk.open(1, [WANTED], is_new=False)
    assert list(desk.registry.start(session, 3, 0, EPOCH, None).changes) == []


def test_a_change_applies_to_a_session_that_catches_up_from_where_it_stands(desk: Desk) -> None:
    session = desk.open(1, [OTHER])
    desk.start(session, 10, after=0)
    desk.reads()
    desk.page(1, 5)

    desk.registry.subscribe(session, [WANTED], 1)
    desk.reads()
    desk.page(6, 10)

    assert desk.seqs_of(1) == list(range(6, 11))


# How many.


def test_a_user_has_no_more_sessions_than_allowed() -> None:
    few = Desk(most=2)
    few.live(1, 0)
    few.live(2, 0)

    refused = few.registry.open(few.edge, 3, 1, USER, (), is_new=True, stopped=False)

    assert refused is None
    assert few.registry.session_count == 2
    assert few.open(1, is_new=False) is not None
    few.registry.close(few.edge.sessions[2])
    assert few.open(3) is not None


def test_a_session_that_exists_already_is_taken_over_the_limit() -> None:
    """Its connection was let in long ago; a re-attach must not end it."""
    few = Desk(most=1)
    few.live(1, 0)

    assert few.open(2, is_new=False) is not None


# Positions that rose unseen, and counts.


def test_a_position_that_rose_past_unwanted_events_is_told_once(desk: Desk) -> None:
    desk.live(1, 3, [OTHER])
    desk.registry.take_advanced()
    desk.announce(4)
    desk.announce(5)

    assert desk.registry.take_advanced() == {desk.edge: [(1, 5)]}
    assert desk.registry.take_advanced() == {}


def test_a_cursor_that_does_not_stand_has_no_position_to_tell(desk: Desk) -> None:
    desk.live(1, 3, [OTHER])
    desk.announce(4)
    desk.open(1, [OTHER], is_new=False)

    assert desk.registry.take_advanced() == {}


def test_the_position_told_of_one_who_fell_behind_is_before_what_it_missed(desk: Desk) -> None:
    desk.live(1, 3)
    desk.live(2, 3, [OTHER])
    desk.announce(4)
    desk.registry.fall_behind(desk.edge, pack(1), 3)

    assert desk.registry.take_advanced() == {desk.edge: [(2, 4)]}


def test_queued_events_are_the_distances_to_what_was_heard(desk: Desk) -> None:
    desk.live(1, 10)
    desk.start(desk.open(2, stopped=True), 10, after=4)
    desk.announce(13)

    assert desk.registry.queued_events() == 13 - 4


def test_active_subscriptions_count_everything_as_the_whole_catalogue(desk: Desk) -> None:
    desk.live(1, 3, ["*", WANTED])
    desk.live(2, 3, [WANTED, OTHER])
    desk.open(3, [WANTED])

    assert desk.registry.active_subscriptions() == 17 + 2 + 1


def test_all_is_forgotten_when_everybody_left(desk: Desk) -> None:
    for number in range(1, 6):
        desk.start(desk.open(number), 10, after=number)
    desk.live(6, 10)
    desk.announce(12)

    desk.registry.detach(desk.edge)

    registry = desk.registry
    assert (registry.session_count, list(registry.users()), registry.queued_events()) == (0, [], 0)
    assert not registry.has_reads()
    assert registry.take_advanced() == {}
