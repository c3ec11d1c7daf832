"""The wheel of deadlines."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harkara_edge.domain.commands import Moment
from harkara_edge.domain.deadlines import SLOT_SECONDS, Wheel
from harkara_edge.domain.session import Rules, Session
from harkara_edge.settings import EdgeSettings
from tests.support.edge_sessions import text, verify

WIDTH = 0.25


class Item:
    def __init__(self) -> None:
        self.due_slot = 0


def test_an_item_comes_up_once_and_not_before_its_time() -> None:
    wheel: Wheel[Item] = Wheel(WIDTH)
    item = Item()
    wheel.schedule(item, 10.1)
    assert list(wheel.expire(10.0)) == []
    assert list(wheel.expire(10.25)) == [item]
    assert list(wheel.expire(99.0)) == []


def test_scheduled_again_an_item_forgets_the_time_before() -> None:
    wheel: Wheel[Item] = Wheel(WIDTH)
    item = Item()
    wheel.schedule(item, 5.0)
    wheel.schedule(item, 9.0)
    assert list(wheel.expire(8.9)) == []
    assert list(wheel.expire(9.0)) == [item]
    wheel.schedule(item, 12.0)
    wheel.schedule(item, 10.0)
    assert list(wheel.expire(10.0)) == [item]
    assert list(wheel.expire(12.0)) == []


def test_a_cancelled_item_does_not_come_up_and_may_be_scheduled_again() -> None:
    wheel: Wheel[Item] = Wheel(WIDTH)
    item = Item()
    wheel.cancel(item)
    wheel.schedule(item, 5.0)
    wheel.cancel(item)
    assert list(wheel.expire(9.0)) == []
    wheel.schedule(item, 9.5)
    assert list(wheel.expire(9.5)) == [item]


def test_a_time_that_has_passed_comes_up_at_the_next_turn() -> None:
    wheel: Wheel[Item] = Wheel(WIDTH)
    list(wheel.expire(100.0))
    item = Item()
    wheel.schedule(item, 3.0)
    assert list(wheel.expire(100.0)) == []
    assert list(wheel.expire(100.25)) == [item]


def test_an_item_may_be_scheduled_while_it_comes_up() -> None:
    wheel: Wheel[Item] = Wheel(WIDTH)
    item = Item()
    wheel.schedule(item, 1.0)
    for found in wheel.expire(1.0):
        wheel.schedule(found, 1.0)
    assert list(wheel.expire(1.25)) == [item]


@given(st.floats(0, 1), st.floats(0, WIDTH, exclude_max=True))
def test_a_newcomer_without_a_stream_is_answered_within_the_seconds_of_the_setting(
    since: float, phase: float
) -> None:
    """The wheel's lateness came on top: it took up to 3.5 s."""
    limits = EdgeSettings(credential_file=Path("a")).limits()
    session = Session(Rules(limits, frozenset()), Moment(since, 0))
    session.receive(text("auth", token="t"), Moment(since, 0))
    verify(session, Moment(since, 0), attached=False)
    wheel: Wheel[Item] = Wheel(SLOT_SECONDS)
    wheel.schedule(Item(), session.next_deadline(Moment(since, 0)))
    turns = (phase + SLOT_SECONDS * number for number in range(100))
    turn = next(turn for turn in turns if turn >= since and wheel.expire(turn))
    assert session.due(Moment(turn, 0))
    assert since + 2 <= turn <= since + 3


@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(0, 20)), max_size=40),
    st.lists(st.floats(0, 2), min_size=1, max_size=40),
)
def test_each_item_comes_up_in_time_for_its_last_schedule(
    schedules: list[tuple[int, float]], steps: list[float]
) -> None:
    wheel: Wheel[Item] = Wheel(WIDTH)
    items = [Item() for _ in range(5)]
    wanted: dict[int, float] = {}
    for number, when in schedules:
        wheel.schedule(items[number], when)
        wanted[number] = when
    now = 0.0
    came: dict[int, float] = {}
    for step in [*steps, 30.0]:
        before, now = now, now + step
        for item in wheel.expire(now):
            number = items.index(item)
            assert number not in came
            came[number] = now
            assert now >= wanted[number]
            assert before < wanted[number] + 2 * WIDTH
    assert came.keys() == wanted.keys()
