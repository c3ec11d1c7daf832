"""Acknowledgements that wait: joined, bounded, and gone only once they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from harkara_event_service.domain.acknowledgements import MAX_DEVICES, Acknowledged, Acknowledgements
from harkara_event_service.domain.cursor import Device, ResumePoint

START = datetime(2026, 1, 27, 10, 30, tzinfo=UTC)
PHONE, TABLET = Device("ada", "phone"), Device("ada", "tablet")


def acked(device: Device, seq: int, after: float = 0) -> Acknowledged:
    return Acknowledged(device, seq, START + timedelta(seconds=after))


def test_of_a_device_only_the_highest_waits() -> None:
    waiting = Acknowledgements(10)
    for after, seq in enumerate((5, 9, 3)):
        waiting.add("e", acked(PHONE, seq, after))

    assert waiting.take(10) == [acked(PHONE, 9, 2)]
    assert waiting.point_of(PHONE) == ResumePoint("e", 9)
    assert waiting.point_of(TABLET) is None


def test_what_is_taken_is_sorted_by_user_and_device() -> None:
    waiting = Acknowledgements(10)
    for device in (Device("bob", "a"), TABLET, PHONE):
        waiting.add("e", acked(device, 1))

    assert [each.device for each in waiting.take(10)] == [PHONE, TABLET, Device("bob", "a")]


def test_what_is_taken_waits_until_it_is_written() -> None:
    waiting = Acknowledgements(10)
    waiting.add("e", acked(PHONE, 5))
    taken = waiting.take(10)
    assert waiting.point_of(PHONE) == ResumePoint("e", 5)

    waiting.wrote("e", taken)

    assert len(waiting) == 0


def test_what_was_raised_while_it_was_written_goes_on_waiting() -> None:
    waiting = Acknowledgements(10)
    waiting.add("e", acked(PHONE, 5))
    taken = waiting.take(10)
    waiting.add("e", acked(PHONE, 6))

    waiting.wrote("e", taken)

    assert waiting.point_of(PHONE) == ResumePoint("e", 6)


def test_a_new_life_of_the_log_forgets_those_of_the_former() -> None:
    waiting = Acknowledgements(10)
    waiting.add("e", acked(PHONE, 5))
    waiting.add("e", acked(TABLET, 5))
    taken = waiting.take(10)

    waiting.add("f", acked(PHONE, 5))
    waiting.wrote("e", taken)

    assert waiting.epoch == "f"
    assert waiting.point_of(PHONE) == ResumePoint("f", 5)
    assert waiting.point_of(TABLET) is None


def test_past_the_bound_the_one_that_waits_longest_is_forgotten() -> None:
    waiting = Acknowledgements(2)
    for number in range(3):
        waiting.add("e", acked(Device("ada", f"d{number}"), 1, number))

    assert [each.device.device_id for each in waiting.take(10)] == ["d1", "d2"]


def test_of_one_user_no_more_are_taken_than_are_kept() -> None:
    waiting = Acknowledgements(100)
    for number in range(MAX_DEVICES + 3):
        waiting.add("e", acked(Device("ada", f"d{number:02}"), 1, -number))
    waiting.add("e", acked(Device("bob", "phone"), 1))

    taken = waiting.take(100)

    assert [each.device.device_id for each in taken] == [*(f"d{n:02}" for n in range(MAX_DEVICES)), "phone"]
    assert len(waiting) == MAX_DEVICES + 1


def test_some_are_taken_by_name() -> None:
    waiting = Acknowledgements(10)
    for device in (PHONE, TABLET):
        waiting.add("e", acked(device, 1))

    assert [each.device for each in waiting.take(10, [Device("bob", "x"), TABLET])] == [TABLET]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 4), st.integers(1, 9)),
            st.tuples(st.just("write"), st.integers(1, 5), st.booleans()),
        )
    )
)
def test_what_is_written_in_the_end_is_the_highest_of_each(steps: list[tuple[str, int, int]]) -> None:
    waiting = Acknowledgements(100)
    highest: dict[Device, int] = {}
    written: dict[Device, int] = {}

    def write(most: int, *, succeeds: bool) -> None:
        taken = waiting.take(most)
        if succeeds:
            written.update({each.device: max(each.seq, written.get(each.device, 0)) for each in taken})
            waiting.wrote("e", taken)

    for at, (what, number, how) in enumerate(steps):
        if what == "add":
            device = Device("ada", f"d{number}")
            highest[device] = max(how, highest.get(device, 0))
            waiting.add("e", acked(device, how, at))
        else:
            write(number, succeeds=bool(how))
    write(100, succeeds=True)

    assert written == highest
    assert len(waiting) == 0
