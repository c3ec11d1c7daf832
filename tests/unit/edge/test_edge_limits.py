"""What counts rates and unsent bytes."""

from __future__ import annotations

from harkara_edge.domain.limits import Limits, SlidingCount, UnsentTotal
from hypothesis import given
from hypothesis import strategies as st


def test_a_burst_from_rest_may_be_the_limit_and_not_one_more() -> None:
    count = SlidingCount(now=1_000.0)
    assert all(count.add(1_000.0, 200, 10.0) for _ in range(200))
    assert not count.add(1_000.0, 200, 10.0)
    assert not count.add(1_009.9, 200, 10.0)


def test_what_was_refused_is_not_counted() -> None:
    count = SlidingCount(now=0.0)
    for _ in range(1_000):
        count.add(0.0, 5, 10.0)
    assert count.add(20.0, 5, 10.0)


@given(st.integers(1, 50), st.integers(1, 400))
def test_a_client_that_keeps_to_the_rate_is_never_refused(per_second: int, messages: int) -> None:
    count = SlidingCount(now=0.0)
    limit = per_second * 10
    assert all(count.add(number / per_second, limit, 10.0) for number in range(messages))


@given(st.lists(st.floats(0, 3), max_size=200), st.integers(1, 20))
def test_no_window_passes_much_more_than_twice_the_limit(gaps: list[float], limit: int) -> None:
    count = SlidingCount(now=0.0)
    now = 0.0
    passed: list[float] = []
    for gap in gaps:
        now += gap
        if count.add(now, limit, 10.0):
            passed.append(now)
    for start in passed:
        assert sum(start <= time < start + 10.0 for time in passed) <= 2 * limit + 1


@given(st.integers(1, 1_000))
def test_a_full_window_of_silence_forgets_everything(windows: int) -> None:
    count = SlidingCount(now=0.0)
    for _ in range(5):
        count.add(9.9, 5, 10.0)
    later = 9.9 + 10.0 * (windows + 1)
    assert all(count.add(later, 5, 10.0) for _ in range(5))


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
