"""Each race of cursors, by name: whatever comes first, every event comes once and in order."""

from __future__ import annotations

import pytest

from harkara_event_service.domain.cursor import WINDOW_BYTES, Attachment, State, pack
from tests.support.registry_desk import OTHER, USER, WANTED, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Pause, un-pause, re-attach.


def test_paused_at_10_with_11_dropped_asking_from_10_a_stale_12_does_not_make_a_hole(desk: Desk) -> None:
    session = desk.live(1, 10)
    desk.announce(11)  # On its way; the edge, paused at 10, drops it.
    desk.announce(12)

    desk.open(1, is_new=False)
    desk.sent.clear()  # The edge's fence: all before Opened is dropped, a stale 12 included.
    desk.announce(13)
    desk.start(session, 13, after=10)

    # Only what comes behind Opened counts, and that is all from 11.
    assert desk.sent == []
    assert desk.reads() == {USER: 10}
    desk.page(11, 13)
    desk.announce(14)
    assert desk.seqs_of(1) == [11, 12, 13, 14]


def test_a_paused_sessions_cursor_stands_still(desk: Desk) -> None:
    session = desk.live(1, 10)
    desk.announce(11)
    desk.open(1, is_new=False, stopped=True)

    assert desk.start(session, 11, after=10) == (10, True)

    desk.announce(12)
    assert desk.reads() == {}
    assert desk.state_of(session) is State.BEHIND
    assert desk.seqs_of(1) == [11]


def test_a_session_paused_at_the_head_gets_nothing_either(desk: Desk) -> None:
    session = desk.live(1, 10)
    desk.open(1, is_new=False, stopped=True)
    desk.start(session, 10, after=10)

    desk.announce(11)

    assert desk.sent == []
    assert desk.state_of(session) is State.BEHIND


def test_another_sessions_page_does_not_move_a_paused_cursor(desk: Desk) -> None:
    paused = desk.live(1, 10)
    desk.open(1, is_new=False, stopped=True)
    desk.start(paused, 10, after=10)
    other = desk.open(2)
    desk.announce(11)
    desk.start(other, 11, after=10)

    assert desk.reads() == {USER: 10}
    desk.page(11, 11)

    assert desk.sent == [(2, 11)]
    assert paused.position == 10


def test_a_session_attached_again_goes_on_after_what_it_was_handed(desk: Desk) -> None:
    desk.live(1, 10)
    desk.announce(11)
    desk.registry.detach(desk.edge)
    desk.announce(12)
    desk.announce(13)

    again = Attachment("edge-1")
    session = desk.open(1, is_new=False, edge=again)
    desk.start(session, 13, after=11)

    assert desk.reads() == {USER: 11}
    desk.page(12, 13)
    assert desk.seqs_of(1) == [11, 12, 13]


def test_sessions_of_another_edge_stay_when_one_detaches(desk: Desk) -> None:
    desk.live(1, 10)
    other = Attachment("edge-2")
    desk.start(desk.open(1, edge=other), 10)

    desk.registry.detach(desk.edge)

    assert desk.registry.session_count == 1
    desk.announce(11)
    assert desk.sent == [(1, 11)]


def test_a_number_opened_for_another_user_belongs_to_that_user(desk: Desk) -> None:
    desk.live(1, 10)

    desk.open(1, user_id="user_2")

    assert list(desk.registry.users()) == ["user_2"]
    assert desk.registry.session_count == 1


# Queues and windows that are full.


def test_a_session_whose_edge_takes_no_more_falls_behind_and_reads_what_it_missed(desk: Desk) -> None:
    session = desk.live(1, 10)
    desk.announce(11)
    desk.registry.fall_behind(desk.edge, pack(1), 10)
    desk.sent.clear()

    desk.announce(12)
    assert desk.state_of(session) is State.BEHIND
    assert desk.reads() == {}, "nothing is read for an edge whose queue is full"
    desk.registry.has_room(desk.edge)

    assert desk.reads() == {USER: 10}
    desk.page(11, 12)
    assert desk.sent == [(1, 11), (1, 12)]
    assert desk.state_of(session) is State.LIVE


def test_a_full_edge_does_not_stop_the_same_users_session_on_another_edge(desk: Desk) -> None:
    desk.live(1, 10)
    other = Attachment("edge-2")
    session = desk.open(2, edge=other)
    desk.start(session, 10)
    desk.announce(11)
    desk.registry.fall_behind(desk.edge, pack(1), 10)

    desk.announce(12)

    assert desk.seqs_of(2) == [11, 12]
    assert desk.state_of(session) is State.LIVE


def test_a_page_read_for_one_edge_does_not_go_to_one_that_is_full(desk: Desk) -> None:
    full = desk.live(1, 10)
    desk.announce(11)
    desk.registry.fall_behind(desk.edge, pack(1), 10)
    other = desk.open(2, edge=Attachment("edge-2"))
    desk.start(other, 11, after=10)
    desk.sent.clear()

    assert desk.reads() == {USER: 10}
    desk.page(11, 11)

    assert desk.sent == [(2, 11)]
    assert full.position == 10


def test_no_more_than_128_kib_of_catch_up_is_under_way(desk: Desk) -> None:
    session = desk.open(1)
    desk.start(session, 100, after=0)
    assert desk.reads() == {USER: 0}

    desk.page(1, 100, size=10_000)

    assert desk.seqs_of(1) == list(range(1, WINDOW_BYTES // 10_000 + 2))
    assert desk.reads() == {}, "the window is closed"
    desk.registry.written(session, 14)
    assert desk.reads() == {USER: 14}
    desk.page(15, 100, size=10_000)
    assert desk.seqs_of(1) == list(range(1, 29))


def test_events_that_nobody_wants_take_no_room_in_the_window(desk: Desk) -> None:
    session = desk.open(1, [OTHER])
    desk.start(session, 100, after=0)
    desk.reads()

    desk.page(1, 100, WANTED, size=10_000)

    assert desk.state_of(session) is State.LIVE
    assert desk.sent == []


def test_a_session_whose_window_is_closed_holds_up_nobody(desk: Desk) -> None:
    slow, quick = desk.open(1), desk.open(2)
    desk.start(slow, 100, after=0)
    desk.start(quick, 100, after=0)
    desk.reads()
    desk.page(1, 100, size=10_000)

    desk.registry.written(quick, 14)

    for after in (14, 28):
        assert desk.reads() == {USER: after}
        desk.page(after + 1, 100, size=10_000)
        desk.registry.written(quick, after + 14)
    assert desk.seqs_of(1) == list(range(1, 15))


# Turns.


def test_two_sessions_that_are_behind_take_turns(desk: Desk) -> None:
    """Each look at what to read once moved the turn on: of two sessions one was never read for."""
    far, near = desk.open(1), desk.open(2)
    desk.start(far, 1000, after=0)
    desk.start(near, 1000, after=500)

    positions = []
    for _ in range(4):
        (position,) = desk.reads().values()
        positions.append(position)
        desk.page(position + 1, position + 10)

    assert sorted(positions) == [0, 10, 500, 510]


def test_a_gap_at_the_head_is_not_held_up_by_a_long_catch_up(desk: Desk) -> None:
    """Whoever stood at the head waited for a lost hint until the other's million rows were through."""
    desk.live(1, 1000)
    far = desk.open(2)
    desk.start(far, 1000, after=0)
    desk.reads()
    desk.announce(1002)  # 1001's hint was lost.
    desk.page(1, 100)

    assert desk.reads() == {USER: 1000}
    desk.page(1001, 1002)

    assert desk.seqs_of(1) == [1001, 1002]
    assert desk.reads() == {USER: 100}


def test_a_head_that_is_always_short_does_not_hold_up_a_catch_up(desk: Desk) -> None:
    desk.live(1, 1000)
    far = desk.open(2)
    desk.start(far, 1000, after=0)
    far_positions = []
    for seq in range(1002, 1010, 2):
        desk.announce(seq)
        (position,) = desk.reads().values()
        desk.page(position + 1, position + 1)
        far_positions.append(position)

    assert 0 in far_positions
    assert 1 in far_positions


# Holes.


def test_a_session_before_what_retention_took_away_is_lost(desk: Desk) -> None:
    session = desk.open(1)
    desk.start(session, 100, after=10)
    assert desk.reads() == {USER: 10}

    # Meanwhile the events up to 50 went.
    assert desk.registry.take_lost(USER, 10, 51) == [session]


def test_sessions_behind_the_hole_go_on(desk: Desk) -> None:
    lost, kept = desk.open(1), desk.open(2)
    desk.start(lost, 100, after=10)
    desk.start(kept, 100, after=60)
    assert desk.reads() == {USER: 10}

    assert desk.registry.take_lost(USER, 10, 51) == [lost]
    desk.registry.close(lost)
    desk.page(51, 60)

    assert desk.reads() == {USER: 60}
    desk.page(61, 100)
    assert desk.seqs_of(2) == list(range(61, 101))
    assert desk.state_of(kept) is State.LIVE


def test_a_gap_at_the_head_that_the_log_no_longer_holds_loses_those_who_stood_there(desk: Desk) -> None:
    session = desk.live(1, 10)
    desk.announce(20)
    assert desk.reads() == {USER: 10}

    assert desk.registry.take_lost(USER, 10, 16) == [session]
    desk.registry.close(session)

    assert desk.reads() == {}


def test_a_log_that_ends_before_what_was_heard_is_not_read_for_ever(desk: Desk) -> None:
    session = desk.live(1, 10)
    desk.start(desk.open(2, stopped=True), 10)
    desk.announce(20)
    assert desk.reads() == {USER: 10}

    lost = desk.registry.take_lost(USER, 10, None)
    for each in lost:
        desk.registry.close(each)
    desk.page(11, 10)

    assert session in lost
    assert desk.reads() == {}


def test_a_read_for_a_user_who_left_is_dropped(desk: Desk) -> None:
    session = desk.open(1)
    desk.start(session, 10, after=0)
    assert desk.reads() == {USER: 0}

    desk.registry.close(session)
    desk.page(1, 10)
    desk.registry.give_back([USER])

    assert desk.sent == []
    assert desk.reads() == {}
    assert list(desk.registry.users()) == []


def test_a_page_for_one_who_left_does_no_harm_to_one_who_came(desk: Desk) -> None:
    session = desk.open(1)
    desk.start(session, 10, after=0)
    desk.reads()
    desk.registry.close(session)
    again = desk.open(2)
    desk.start(again, 10, after=8)

    desk.page(1, 5)

    assert desk.sent == []
    assert desk.reads() == {USER: 8}
    desk.page(9, 10)
    assert desk.seqs_of(2) == [9, 10]


def test_a_failed_read_is_wanted_still(desk: Desk) -> None:
    desk.start(desk.open(1), 10, after=0)
    assert desk.reads() == {USER: 0}

    desk.registry.give_back([USER])

    assert desk.reads() == {USER: 0}


def test_no_more_users_are_read_at_once_than_asked_for(desk: Desk) -> None:
    for number in range(1, 4):
        session = desk.open(number, user_id=f"user_{number}")
        desk.start(session, 10, after=0)

    assert len(desk.registry.take_reads(2)) == 2
    assert len(desk.registry.take_reads(2)) == 1
