"""Events that a later one supersedes: which goes at once, which is held, and when it goes.

The key of all events here is of type `eta_updated`; a window is a second long.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_event_service.domain import fan_out
from harkara_event_service.domain.cursor import State, pack
from tests.support.registry_desk import OTHER, USER, WANTED, Desk, event


@pytest.fixture
def desk() -> Desk:
    return Desk(collapse_seconds=1.0)


def announce(desk: Desk, *seqs: int, key: str = "a") -> None:
    """Low events of one key are heard of."""
    for seq in seqs:
        desk.announce(seq, OTHER, key=key)


def test_the_first_of_a_key_goes_at_once_and_then_the_newest_when_the_interval_ends(desk: Desk) -> None:
    desk.live(1, 3)

    announce(desk, 4, 5, 6, 7)
    assert desk.seqs_of(1) == [4]

    desk.let_go(0.99)
    assert desk.seqs_of(1) == [4]
    desk.let_go(0.01)
    assert desk.seqs_of(1) == [4, 7]


def test_a_key_is_sent_once_an_interval_for_as_long_as_it_goes_on(desk: Desk) -> None:
    desk.live(1, 0)

    for seq in range(1, 31):
        announce(desk, seq)
        desk.let_go(0.1)

    assert desk.seqs_of(1) == [1, 11, 21]


def test_after_a_quiet_interval_the_next_one_goes_at_once(desk: Desk) -> None:
    desk.live(1, 3)
    announce(desk, 4)
    desk.let_go(1.0)

    announce(desk, 5)

    assert desk.seqs_of(1) == [4, 5]


def test_keys_do_not_wait_for_each_other(desk: Desk) -> None:
    desk.live(1, 3)

    announce(desk, 4, key="a")
    announce(desk, 5, key="b")
    desk.announce(6, WANTED, key="a")

    assert desk.seqs_of(1) == [4, 5, 6]


def test_all_that_is_held_goes_in_order_when_the_first_interval_ends(desk: Desk) -> None:
    desk.live(1, 3)
    announce(desk, 4, key="a")
    desk.let_go(0.5)
    announce(desk, 5, key="b")
    announce(desk, 6, key="b")
    announce(desk, 7, key="a")
    announce(desk, 8, key="b")

    desk.let_go(0.5)

    assert desk.seqs_of(1) == [4, 5, 7, 8]


@pytest.mark.parametrize("lives", [None, 60.0])
def test_what_is_held_goes_before_any_newer_event(desk: Desk, lives: float | None) -> None:
    desk.live(1, 3)
    announce(desk, 4, 5, 6)

    desk.announce(7, WANTED, lives=lives)

    assert desk.seqs_of(1) == [4, 6, 7]


def test_an_event_that_nobody_is_subscribed_to_pushes_on_what_is_held(desk: Desk) -> None:
    desk.live(1, 3, [OTHER])
    announce(desk, 4, 5)

    desk.announce(6, WANTED)

    assert desk.seqs_of(1) == [4, 5]
    assert desk.registry.take_advanced() == {desk.edge: [(1, 6)]}


def test_no_position_passes_what_is_held(desk: Desk) -> None:
    desk.live(1, 3)
    desk.live(2, 3, [WANTED])
    announce(desk, 4, 5, 6)

    assert desk.registry.take_advanced() == {desk.edge: [(1, 4), (2, 4)]}
    assert desk.registry.queued_events() == 2 * (6 - 4)

    desk.let_go(1.0)
    assert desk.registry.take_advanced() == {desk.edge: [(1, 6), (2, 6)]}
    assert desk.registry.queued_events() == 0


def test_nothing_is_held_where_nobody_live_wants_it(desk: Desk) -> None:
    desk.live(1, 3, [WANTED])

    announce(desk, 4, 5, 6)

    assert desk.registry.take_advanced() == {desk.edge: [(1, 6)]}


def test_nothing_is_read_from_the_log_while_something_is_held(desk: Desk) -> None:
    desk.live(1, 3)

    announce(desk, 4, 5, 6)

    assert not desk.registry.has_reads()


def test_a_repeat_of_what_is_held_or_superseded_changes_nothing(desk: Desk) -> None:
    desk.live(1, 3)
    announce(desk, 4, 5, 6)

    announce(desk, 4, 5, 6)
    desk.let_go(1.0)

    assert desk.seqs_of(1) == [4, 6]


def test_a_gap_behind_what_is_held_is_read_from_there(desk: Desk) -> None:
    desk.live(1, 3)
    announce(desk, 4, 5)
    desk.announce(7)  # 6's hint was lost.

    assert desk.reads() == {USER: 5}
    desk.page(6, 7)

    assert desk.seqs_of(1) == [4, 5, 6, 7]


def test_a_session_opened_meanwhile_starts_behind_what_is_held(desk: Desk) -> None:
    desk.live(1, 3)
    announce(desk, 4, 5)

    session = desk.open(2)
    assert desk.start(session, 5) == (5, False)
    assert not desk.registry.has_reads()
    desk.let_go(1.0)
    desk.announce(6)

    assert desk.seqs_of(1) == [4, 5, 6]
    assert desk.seqs_of(2) == [6]


def test_a_session_that_stands_between_two_held_events_reads_the_second_from_the_log(desk: Desk) -> None:
    """Made live when the first of them went, it never got the second."""
    desk.live(1, 3)
    announce(desk, 4, key="a")
    announce(desk, 5, key="b")
    announce(desk, 6, key="a")
    session = desk.open(2)
    desk.start(session, 6)
    announce(desk, 7, key="b")

    desk.let_go(1.0)

    assert desk.seqs_of(1) == [4, 5, 6, 7]
    assert desk.seqs_of(2) == []
    assert desk.reads() == {USER: 6}
    desk.page_of([event(7, OTHER, key="b")])
    assert desk.seqs_of(2) == [7]
    assert desk.state_of(session) is State.LIVE


def test_a_session_that_read_past_what_is_held_does_not_get_it_again(desk: Desk) -> None:
    desk.live(1, 3)
    announce(desk, 4, 5)
    session = desk.open(2)
    desk.start(session, 5, after=2)

    assert desk.reads() == {USER: 2}
    desk.page_of([event(3), event(4, OTHER, key="a"), event(5, OTHER, key="a")])
    desk.let_go(1.0)
    desk.announce(6)

    assert desk.seqs_of(2) == [3, 5, 6]
    assert desk.seqs_of(1) == [4, 5, 6]


def test_a_session_that_comes_to_the_head_meanwhile_gets_what_is_held_with_the_others(desk: Desk) -> None:
    desk.live(1, 3)
    announce(desk, 4, 5)
    session = desk.open(2)
    desk.start(session, 5, after=4)
    assert desk.state_of(session) is State.LIVE

    desk.let_go(1.0)

    assert desk.seqs_of(2) == [5]


def test_a_session_paused_meanwhile_gets_it_from_the_log(desk: Desk) -> None:
    desk.live(1, 3)
    announce(desk, 4, 5)
    desk.start(desk.open(1, is_new=False, stopped=True), 5, after=4)
    desk.let_go(1.0)
    assert desk.seqs_of(1) == [4]

    desk.start(desk.open(1, is_new=False), 5, after=4)
    assert desk.reads() == {USER: 4}
    desk.page_of([event(5, OTHER, key="a")])

    assert desk.seqs_of(1) == [4, 5]


def test_who_falls_behind_when_it_goes_gets_it_from_the_log(desk: Desk) -> None:
    session = desk.live(1, 3)
    announce(desk, 4, 5, 6)
    desk.let_go(1.0)
    desk.sent.remove((1, 6))  # The edge's queue was full.
    desk.registry.fall_behind(desk.edge, pack(1), 5)

    desk.registry.has_room(desk.edge)
    assert desk.reads() == {USER: 5}
    desk.page_of([event(6, OTHER, key="a")])

    assert desk.seqs_of(1) == [4, 6]
    assert desk.state_of(session) is State.LIVE


def test_who_subscribes_meanwhile_may_get_it_and_who_unsubscribes_does_not(desk: Desk) -> None:
    first = desk.live(1, 3, [OTHER])
    second = desk.live(2, 3, [WANTED])
    announce(desk, 4, 5)

    desk.registry.unsubscribe(first, [OTHER], 1)
    desk.registry.subscribe(second, [OTHER], 1)
    desk.let_go(1.0)

    assert (desk.seqs_of(1), desk.seqs_of(2)) == ([4], [5])


def test_a_stream_forgotten_meanwhile_begins_anew(desk: Desk) -> None:
    desk.live(1, 3)
    announce(desk, 4, 5)
    desk.registry.detach(desk.edge)

    desk.live(2, 5)
    announce(desk, 6)
    desk.let_go(1.0)

    assert desk.sent == [(1, 4), (2, 6)]


def test_a_hole_before_what_is_heard_ends_those_for_whom_something_is_held(desk: Desk) -> None:
    session = desk.live(1, 3)
    announce(desk, 4, 5)
    desk.announce(9)
    assert desk.reads() == {USER: 5}

    assert desk.registry.take_lost(USER, 5, 8) == [session]
    desk.registry.close(session)
    desk.let_go(1.0)

    assert desk.seqs_of(1) == [4]


def test_a_new_life_of_the_log_forgets_what_is_held(desk: Desk) -> None:
    desk.live(1, 3)
    announce(desk, 4, 5)

    desk.registry.leave_life()
    desk.let_go(1.0)

    assert desk.seqs_of(1) == [4]


def test_of_a_page_only_the_newest_of_a_key_is_sent(desk: Desk) -> None:
    desk.start(desk.open(1), 9, after=3)
    kinds = [("a", OTHER), ("b", OTHER), (None, OTHER), ("a", OTHER), ("a", WANTED), (None, OTHER)]

    desk.page_of([event(seq, kind, key=key) for seq, (key, kind) in enumerate(kinds, 4)])

    assert desk.seqs_of(1) == [5, 6, 7, 8, 9]


def test_a_page_that_moves_the_head_leaves_out_the_same(desk: Desk) -> None:
    desk.live(1, 3)
    desk.announce(9)

    desk.page_of([*(event(seq, OTHER, key="a") for seq in range(4, 9)), event(9)])

    assert desk.seqs_of(1) == [8, 9]


def test_without_an_interval_nothing_is_held() -> None:
    desk = Desk()
    desk.live(1, 3)

    announce(desk, 4, 5, 6)

    assert desk.seqs_of(1) == [4, 5, 6]
    assert desk.registry.next_due() is None


@pytest.mark.parametrize("bound", ["MOST_OF_A_STREAM", "MOST_WINDOWS"])
def test_a_key_past_the_bound_is_not_held_and_pushes_on_what_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """A key of its own for each event made what is remembered grow with their number."""
    monkeypatch.setattr(fan_out, bound, 2)
    session = desk.live(1, 3)
    announce(desk, 4, key="a")
    announce(desk, 5, key="b")
    announce(desk, 6, key="a")
    assert desk.seqs_of(1) == [4, 5]

    for seq in range(7, 20):
        announce(desk, seq, key="c")
    assert desk.seqs_of(1) == list(range(4, 20))
    assert session.stream.collapsing is not None
    assert len(session.stream.collapsing.windows) <= 2

    desk.let_go(1.0)
    announce(desk, 20, 21, key="c")
    assert desk.seqs_of(1) == list(range(4, 21))


def test_windows_are_forgotten_when_they_end(desk: Desk) -> None:
    session = desk.live(1, 0)
    for seq in range(1, 101):
        announce(desk, seq, key=f"key-{seq}")
    assert desk.registry.next_due() == 1.0

    desk.let_go(1.0)

    assert desk.registry.next_due() is None
    assert session.stream.collapsing is None


# Expiry.


def test_an_expired_event_is_passed_and_not_sent(desk: Desk) -> None:
    desk.live(1, 3)
    desk.seconds = 5.0

    desk.announce(4, lives=5.0)
    desk.announce(5, lives=5.1)

    assert desk.seqs_of(1) == [5]


def test_a_position_passes_an_expired_event(desk: Desk) -> None:
    desk.live(1, 3)
    desk.seconds = 5.0

    desk.announce(4, lives=5.0)

    assert desk.registry.take_advanced() == {desk.edge: [(1, 4)]}


def test_of_a_page_what_has_expired_is_passed_and_not_sent(desk: Desk) -> None:
    session = desk.open(1)
    desk.start(session, 6, after=3)
    desk.seconds = 5.0

    desk.page_of([event(4, lives=1.0), event(5, lives=6.0), event(6, lives=5.0)])

    assert desk.seqs_of(1) == [5]
    assert desk.state_of(session) is State.LIVE


def test_an_event_that_expires_while_it_is_held_is_not_sent(desk: Desk) -> None:
    desk.live(1, 3)
    announce(desk, 4)
    desk.announce(5, OTHER, key="a", lives=0.5)

    desk.let_go(1.0)

    assert desk.seqs_of(1) == [4]
    assert desk.registry.take_advanced() == {desk.edge: [(1, 5)]}


# Events that are kept nowhere.


def test_an_ephemeral_event_goes_to_live_sessions_and_moves_no_position(desk: Desk) -> None:
    desk.live(1, 3)
    desk.live(2, 3, [WANTED])
    desk.start(desk.open(3, stopped=True), 3)
    desk.registry.take_advanced()

    desk.announce(0, OTHER)

    assert desk.sent == [(1, 0)]
    assert desk.registry.take_advanced() == {}
    desk.announce(4)
    assert desk.seqs_of(1) == [0, 4]


def test_an_ephemeral_event_for_nobody_is_gone(desk: Desk) -> None:
    desk.announce(0, OTHER)
    desk.start(desk.open(1), 3)

    assert desk.sent == []


def test_ephemeral_events_of_a_key_are_collapsed_alike(desk: Desk) -> None:
    desk.live(1, 3)
    for _ in range(5):
        desk.announce(0, OTHER, key="a")
    assert desk.seqs_of(1) == [0]

    desk.let_go(1.0)

    assert desk.seqs_of(1) == [0, 0]


def test_an_ephemeral_event_supersedes_no_stored_one_nor_the_other_way_round(desk: Desk) -> None:
    desk.live(1, 3)
    announce(desk, 4, 5)
    desk.announce(0, OTHER, key="a")
    desk.announce(0, OTHER, key="a")
    announce(desk, 6)

    desk.let_go(1.0)

    assert desk.seqs_of(1) == [4, 0, 0, 6]


def test_an_expired_ephemeral_event_is_dropped(desk: Desk) -> None:
    desk.live(1, 3)
    desk.seconds = 5.0

    desk.announce(0, OTHER, lives=5.0)

    assert desk.sent == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", None]), st.floats(0, 1.5), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
def test_what_is_sent_rises_and_ends_with_the_newest_of_each_key(
    steps: list[tuple[str | None, float, bool]],
) -> None:
    desk = Desk(collapse_seconds=1.0)
    desk.live(1, 0)
    newest: dict[str | None, int] = {}
    plain: list[int] = []
    for seq, (key, pause, looks) in enumerate(steps, 1):
        desk.seconds += pause
        if looks:
            desk.let_go(0)
        desk.announce(seq, OTHER, key=key)
        newest[key] = seq
        plain += [seq] if key is None else []
    desk.let_go(1.0)

    sent = desk.seqs_of(1)
    assert sent == sorted(set(sent))
    assert set(newest.values()) | set(plain) <= set(sent)
    assert desk.registry.queued_events() == 0
