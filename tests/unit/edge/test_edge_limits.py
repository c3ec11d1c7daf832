"""What counts rates and unsent bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harkara_edge.domain.limits import Limits, SlidingCount, UnsentTotal

WINDOW = 10.0


def test_a_burst_from_rest_may_be_the_limit_and_not_one_more() -> None:
    count = SlidingCount(1_000.0, WINDOW)
    assert all(count.add(1_000.0, 200) for _ in range(200))
    assert not count.add(1_000.0, 200)
    assert not count.add(1_008.9, 200)
    assert count.add(1_010.0, 200)


def test_what_was_refused_is_not_counted() -> None:
    count = SlidingCount(0.0, WINDOW)
    for _ in range(1_000):
        count.add(0.0, 5)
    assert count.add(10.0, 5)


def test_several_at_once_are_counted_or_refused_together() -> None:
    count = SlidingCount(0.0, WINDOW)
    assert count.add(0.0, 5, amount=3)
    assert not count.add(0.0, 5, amount=3)
    assert count.add(0.0, 5, amount=2)


_gaps = st.lists(st.floats(0, 4) | st.just(0.0) | st.floats(0, 40), max_size=120)


@given(_gaps, st.integers(1, 8))
def test_who_keeps_to_the_limit_in_every_window_is_never_refused(gaps: list[float], limit: int) -> None:
    count = SlidingCount(0.0, WINDOW)
    now = 0.0
    sent: list[float] = []
    for gap in gaps:
        now += gap
        if sum(now - WINDOW <= time for time in sent) < limit:
            sent.append(now)
            assert count.add(now, limit)


@given(_gaps, st.integers(1, 8))
def test_nobody_passes_more_than_the_limit_in_nine_tenths_of_a_window(gaps: list[float], limit: int) -> None:
    count = SlidingCount(0.0, WINDOW)
    now = 0.0
    passed: list[float] = []
    for gap in gaps:
        now += gap
        if count.add(now, limit):
            passed.append(now)
    for start in passed:
        assert sum(start <= time < start + 0.9 * WINDOW for time in passed) <= limit


def test_the_share_of_one_connection_falls_as_all_of_them_fill_up() -> None:
    limits = Limits(max_unsent_bytes=256, max_unsent_bytes_crowded=64, max_unsent_bytes_total=1_000)
    unsent = UnsentTotal(limits)
    assert unsent.limit == 256
    unsent.change(500)
    assert unsent.limit == 256
    unsent.change(1)
    assert unsent.limit == 64
    unsent.change(499)
    assert unsent.limit == 0
    unsent.change(-600)
    assert unsent.limit == 256
