"""The other pure rules of the query-service: times, ids, sums, origins."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_query_service.domain.counts import DayCount, ReplicaStats, summarise, unite
from harkara_query_service.domain.events import is_event_id, is_user_id
from harkara_query_service.domain.windows import utc_text

DAY = date(2026, 1, 27)
NOW = datetime(2026, 1, 27, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW, "2026-01-27T10:30:00Z"),
        (NOW.replace(microsecond=123456), "2026-01-27T10:30:00.123456Z"),
        (NOW.replace(microsecond=120000), "2026-01-27T10:30:00.120000Z"),
        (NOW.astimezone(timezone(timedelta(hours=5, minutes=30))), "2026-01-27T10:30:00Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (datetime.max.replace(tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_is_spelt_in_utc_with_a_fraction_only_where_there_is_one(moment: datetime, text: str) -> None:
    assert utc_text(moment) == text


@given(st.datetimes(timezones=st.just(UTC)))
def test_no_time_is_changed_by_being_spelt(moment: datetime) -> None:
    assert datetime.fromisoformat(utc_text(moment)) == moment


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("evt_01KG0A5XQ8ZJ3N5R7T9VWXYZ01", True),
        ("evt_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", True),
        ("evt_8ZZZZZZZZZZZZZZZZZZZZZZZZZ", False),
        ("evt_01kg0a5xq8zj3n5r7t9vwxyz01", False),
        ("evt_01KG0A5XQ8ZJ3N5R7T9VWXYZ0I", False),
        ("evt_01KG0A5XQ8ZJ3N5R7T9VWXYZ0", False),
        ("evt_01KG0A5XQ8ZJ3N5R7T9VWXYZ01\n", False),
        ("evt_abc123", False),
        ("user", False),
        ("", False),
    ],
)
def test_an_event_id_is_evt_and_an_upper_case_ulid(text: str, valid: bool) -> None:
    assert is_event_id(text) is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [("user_123", True), ("a", True), ("A-_9" * 16, True), ("A" * 65, False), ("", False), ("a\n", False),
     ("a b", False), ("a/b", False), ("ü", False), ("٣", False), ("a\x00", False)],
)  # fmt: skip
def test_a_user_id_is_1_to_64_plain_characters(text: str, valid: bool) -> None:
    assert is_user_id(text) is valid


def test_a_day_without_events_is_all_zeros_with_every_level_named() -> None:
    summary = summarise(DAY, [])
    assert (summary.total_events, summary.critical_events) == (0, 0)
    assert (summary.by_event_type, summary.by_source) == ({}, {})
    assert summary.by_level == {"critical": 0, "high": 0, "medium": 0, "low": 0}


counts = st.lists(
    st.builds(
        DayCount,
        event_type=st.sampled_from(["order_created", "payment_failed", "eta_updated"]),
        source=st.sampled_from(["orders", "payments"]),
        event_level=st.sampled_from(["critical", "high", "medium", "low"]),
        events=st.integers(0, 2**40),
    )
)


@given(counts)
def test_every_event_of_a_day_counts_once_in_each_breakdown(rows: list[DayCount]) -> None:
    summary = summarise(DAY, rows)
    total = sum(row.events for row in rows)
    assert summary.total_events == total
    for breakdown in (summary.by_event_type, summary.by_source, summary.by_level):
        assert sum(breakdown.values()) == total
    assert summary.critical_events == sum(r.events for r in rows if r.event_level == "critical")
    assert list(summary.by_level) == ["critical", "high", "medium", "low"]


def test_a_user_on_two_replicas_is_one_user() -> None:
    united = unite(
        [
            ReplicaStats("a", 3, frozenset({1, 2}), 5, 10),
            ReplicaStats("b", 4, frozenset({2, 3}), 6, 20),
        ],
        NOW,
    )
    assert united is not None
    assert (united.total_connections, united.total_users) == (7, 3)
    assert (united.queued_events, united.active_subscriptions) == (11, 30)


def test_a_replica_that_answered_twice_leaves_no_sum() -> None:
    one = ReplicaStats("a", 3, frozenset({1}), 0, 0)
    assert unite([one, one], NOW) is None


@given(st.lists(st.frozensets(st.integers(0, 2**64 - 1)), max_size=5))
def test_users_are_united_whatever_their_spread(spread: list[frozenset[int]]) -> None:
    united = unite([ReplicaStats(str(n), 0, users, 0, 0) for n, users in enumerate(spread)], NOW)
    assert united is not None
    assert united.total_users == len({user for users in spread for user in users})
