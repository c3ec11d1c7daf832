"""The arithmetic between times, event ids and weeks."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from harkara_schema.partitions import (
    ALPHABET,
    LAST_MS,
    Week,
    create_partition_sql,
    event_id_floor,
    to_ms,
    ulid_time_ms,
    week_of,
    week_of_partition,
    weeks_between,
    weeks_needed,
)

WEEK_MS = 7 * 86_400_000
moments = st.integers(0, LAST_MS)
ulid_times = st.integers(0, (1 << 48) - 1)
random_parts = st.text(ALPHABET, min_size=16, max_size=16)
# Hypothesis takes its bounds without a zone. A zone may move one by a day; up to fifteen are added below.
datetimes = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001 - see above.
    datetime(9999, 11, 30),  # noqa: DTZ001 - see above.
    timezones=st.timezones(),
)


def event_id_at(ms: int, random_part: str) -> str:
    return event_id_floor(ms)[:14] + random_part


# Event ids


def test_the_ulid_specifications_example_is_read() -> None:
    assert ulid_time_ms("evt_01ARYZ6S41TSV4RRFFQ69G5FAV") == 1_469_918_176_385


def test_the_smallest_id_of_a_millisecond_has_no_randomness() -> None:
    assert event_id_floor(1_469_918_176_385) == "evt_01ARYZ6S410000000000000000"
    assert event_id_floor(0) == "evt_" + "0" * 26
    assert event_id_floor((1 << 48) - 1) == "evt_7ZZZZZZZZZ0000000000000000"


@given(ulid_times, random_parts)
def test_a_time_put_into_an_id_comes_back(ms: int, random_part: str) -> None:
    assert ulid_time_ms(event_id_at(ms, random_part)) == ms


@given(ulid_times, ulid_times, random_parts, random_parts)
def test_ids_sort_as_bytes_as_their_times_do(first: int, second: int, one: str, other: str) -> None:
    assume(first < second)
    assert event_id_at(first, one).encode() < event_id_at(second, other).encode()


@pytest.mark.parametrize("ms", [-1, 1 << 48])
def test_a_time_that_no_ulid_can_hold_is_refused(ms: int) -> None:
    with pytest.raises(ValueError, match="ULID"):
        event_id_floor(ms)


@pytest.mark.parametrize(
    "event_id",
    [
        "",
        "01ARYZ6S41TSV4RRFFQ69G5FAV",
        "evt_01ARYZ6S41TSV4RRFFQ69G5FA",
        "evt_01ARYZ6S41TSV4RRFFQ69G5FAVX",
        "evt_01aryz6s41tsv4rrffq69g5fav",
        "evt_81ARYZ6S41TSV4RRFFQ69G5FAV",
        "evt_01ARYZ6S41TSV4RRFFQ69G5FAI",
        "evt_01ARYZ6S41TSV4RRFFQ69G5FAV\n",
        "evt_٠1ARYZ6S41TSV4RRFFQ69G5FAV",
    ],
)
def test_what_is_no_event_id_has_no_time(event_id: str) -> None:
    with pytest.raises(ValueError, match="event id"):
        ulid_time_ms(event_id)


# Weeks


@pytest.mark.parametrize(
    ("when", "week"),
    [
        (datetime(2026, 1, 27, 10, 30, tzinfo=UTC), Week(2026, 5)),
        # The ISO year is the one of the week's Thursday.
        (datetime(2025, 12, 28, 23, 59, 59, 999_999, tzinfo=UTC), Week(2025, 52)),
        (datetime(2025, 12, 29, tzinfo=UTC), Week(2026, 1)),
        (datetime(2027, 1, 3, 23, 59, tzinfo=UTC), Week(2026, 53)),
        (datetime(1970, 1, 1, tzinfo=UTC), Week(1970, 1)),
        # Sunday evening in New York is Monday in UTC.
        (datetime(2026, 2, 1, 20, 0, tzinfo=timezone(timedelta(hours=-5))), Week(2026, 6)),
    ],
)
def test_a_moment_is_in_the_iso_week_of_its_utc_day(when: datetime, week: Week) -> None:
    assert week_of(when) == week


def test_a_week_tells_its_bounds_and_its_partition() -> None:
    week = Week(2026, 5)
    assert week.start == datetime(2026, 1, 26, tzinfo=UTC)
    assert week.end == datetime(2026, 2, 2, tzinfo=UTC)
    assert week.lower_id == event_id_floor(1_769_385_600_000)
    assert week.upper_id == event_id_floor(1_769_990_400_000)
    assert week.partition == "event_log_2026w05"


def test_the_first_week_begins_with_the_first_ulid() -> None:
    assert Week(1970, 1).lower_id == "evt_" + "0" * 26
    assert Week(1970, 1).start == datetime(1969, 12, 29, tzinfo=UTC)


@given(moments)
@example(0)
@example(LAST_MS)
def test_a_moment_is_within_its_weeks_bounds(ms: int) -> None:
    week = week_of(ms)
    assert week.start_ms <= ms < week.end_ms == week.start_ms + WEEK_MS


@given(moments, random_parts)
def test_an_id_is_in_the_partition_of_its_time(ms: int, random_part: str) -> None:
    week = week_of(ms)
    assert week.lower_id <= event_id_at(ms, random_part) < week.upper_id


@given(moments)
def test_weeks_follow_each_other_without_a_gap_and_in_order(ms: int) -> None:
    assume(ms <= LAST_MS - WEEK_MS)
    week = week_of(ms)
    after = week.next()
    assert week.upper_id == after.lower_id
    assert week < after
    assert week.partition < after.partition
    assert after.start.weekday() == 0


@given(moments)
def test_a_partitions_name_tells_its_week(ms: int) -> None:
    week = week_of(ms)
    assert week_of_partition(week.partition) == week


@pytest.mark.parametrize(
    "name",
    ["event_log", "event_log_2026w00", "event_log_2025w53", "event_log_2026w5", "event_log_٢٠٢٦w05", "x"],
)
def test_a_name_of_no_week_is_no_partition_of_ours(name: str) -> None:
    assert week_of_partition(name) is None


@given(datetimes)
def test_a_datetime_of_any_zone_is_within_its_weeks_bounds(when: datetime) -> None:
    week = week_of(when)
    assert week.start <= when < week.end


def test_the_last_microsecond_of_a_week_is_not_rounded_into_the_next() -> None:
    assert to_ms(datetime(2026, 2, 1, 23, 59, 59, 999_999, tzinfo=UTC)) == Week(2026, 5).end_ms - 1


def test_a_datetime_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        week_of(datetime(2026, 1, 27))  # noqa: DTZ001 - that is what is refused.


@pytest.mark.parametrize("ms", [-1, LAST_MS + 1])
def test_a_moment_outside_of_the_calendar_is_refused(ms: int) -> None:
    with pytest.raises(ValueError, match="1970 to 9999"):
        week_of(ms)


@pytest.mark.parametrize(("year", "number"), [(1969, 52), (2025, 53), (2026, 0), (9999, 52), (10_000, 1)])
def test_a_week_that_does_not_exist_cannot_be_made(year: int, number: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the calendar's text or ours.
        Week(year, number)


# Which weeks are needed


def test_weeks_are_needed_from_eight_days_ago_to_fifteen_days_ahead() -> None:
    now = datetime(2026, 1, 27, 10, 30, tzinfo=UTC)
    assert weeks_needed(now) == [Week(2026, 4), Week(2026, 5), Week(2026, 6), Week(2026, 7)]
    assert weeks_needed(now, timedelta(0), timedelta(0)) == [Week(2026, 5)]


@example(datetime(1999, 3, 14, 1, 0, tzinfo=ZoneInfo("Europe/Belgrade")))  # Two weeks before summer time.
@given(datetimes)
def test_every_id_that_may_be_stored_soon_has_its_partition(now: datetime) -> None:
    weeks = weeks_needed(now)
    assert weeks == sorted(set(weeks))
    for days in range(-8, 16):
        assert week_of(now.astimezone(UTC) + timedelta(days=days)) in weeks


def test_the_very_last_week_can_be_listed() -> None:
    assert list(weeks_between(LAST_MS, LAST_MS)) == [Week(9999, 51)]


def test_no_week_lies_between_a_moment_and_an_earlier_week() -> None:
    assert list(weeks_between(WEEK_MS, 0)) == []


def test_a_partition_is_attached_and_never_made_under_its_parents_lock() -> None:
    create, owner, attach = create_partition_sql(Week(2026, 5))
    assert "PARTITION OF" not in create
    assert owner.endswith("OWNER TO harkara_event_service")
    assert attach.endswith(f"FOR VALUES FROM ('{Week(2026, 5).lower_id}') TO ('{Week(2026, 6).lower_id}')")
