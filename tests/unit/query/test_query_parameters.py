"""Query strings: what is spelt as documented is taken, everything else refused."""

import contextlib
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_query_service.domain.errors import BadParameterError, UnknownTypeError
from harkara_query_service.domain.paging import LIMIT, HistoryPage, read_history_page
from harkara_query_service.domain.parameters import MAX_INTEGER, split_query
from harkara_query_service.domain.windows import CriticalWindow, read_critical_window, read_day

TYPES = frozenset({"order_created", "payment_failed"})
NOW = datetime(2026, 1, 27, 23, 30, tzinfo=UTC)

ODD_INTEGERS = [
    "", " ", "10.0", " 10", "10 ", "+10", "-1", "-0", "010", "1_0", "1e1", "0x1", "ten", "١٠", "1\x00",
    "10,", "NaN", "true", "null", "[1]", "9" * 19, "9" * 20, "9" * 5000, "�",
]  # fmt: skip


def page(raw: str) -> HistoryPage:
    return read_history_page(split_query(raw.encode()), TYPES)


def test_without_parameters_the_newest_fifty_of_all_types_are_asked_for() -> None:
    assert page("") == HistoryPage(limit=50, skip=0, before_seq=None, event_type=None)


def test_every_parameter_of_a_page_is_read() -> None:
    assert page("event_type=order_created&limit=20&skip=3&before_seq=77") == HistoryPage(
        limit=20, skip=3, before_seq=77, event_type="order_created"
    )


@pytest.mark.parametrize("name", ["limit", "skip", "before_seq"])
@pytest.mark.parametrize("text", ODD_INTEGERS)
def test_an_integer_of_another_spelling_is_refused(name: str, text: str) -> None:
    with pytest.raises(BadParameterError, match=name):
        page(f"{name}={quote(text)}")


@pytest.mark.parametrize(
    ("raw", "taken"),
    [
        ("limit=0", False), ("limit=1", True), ("limit=100", True), ("limit=101", False),
        ("skip=0", True), (f"skip={MAX_INTEGER}", True), (f"skip={MAX_INTEGER + 1}", False),
        ("before_seq=0", False), ("before_seq=1", True), (f"before_seq={MAX_INTEGER}", True),
    ],
)  # fmt: skip
def test_the_bounds_of_a_page_are_as_documented_and_nothing_is_clamped(raw: str, taken: bool) -> None:
    if taken:
        page(raw)
    else:
        with pytest.raises(BadParameterError):
            page(raw)


@given(st.integers(1, 100))
def test_a_limit_in_range_is_taken_as_it_is(limit: int) -> None:
    assert page(f"limit={limit}").limit == limit


@given(st.text())
def test_a_limit_is_either_its_own_plain_spelling_or_refused(text: str) -> None:
    query = split_query(urlencode({"limit": text}).encode())
    try:
        limit = LIMIT.read(query)
    except BadParameterError:
        return
    assert str(limit) == text


@pytest.mark.parametrize("raw", ["limit=1&limit=1", "event_type=order_created&event_type=order_created"])
def test_a_repeated_parameter_is_refused(raw: str) -> None:
    with pytest.raises(BadParameterError):
        page(raw)


@pytest.mark.parametrize("text", ["", "*", "Order_Created", "order_created ", "no_such", "%00", "%ff"])
def test_an_event_type_that_the_catalogue_lacks_is_refused_as_such(text: str) -> None:
    with pytest.raises(UnknownTypeError):
        page(f"event_type={text}")


def test_parameters_that_nobody_documented_are_ignored() -> None:
    assert page("_=17&Limit=7&limit[]=3&event-type=x") == page("")


@given(st.binary())
def test_any_query_string_is_either_read_or_refused(raw: bytes) -> None:
    query = split_query(raw)
    for read in (lambda: read_history_page(query, TYPES), lambda: read_day(query, NOW)):
        with contextlib.suppress(BadParameterError):
            read()


@given(st.dates())
def test_any_day_of_the_calendar_is_read(day: date) -> None:
    assert read_day({"date": [day.isoformat()]}, NOW) == day


@pytest.mark.parametrize(
    "text",
    [
        "0", "", "20260127", "2026-1-27", "2026-02-30", "2026-13-01", "0000-01-01", "2026-W05-2", "26-01-27",
        "2026-01-27T00:00:00Z", " 2026-01-27", "2026-01-27 ", "+2026-01-27", "today",
        "٢٠٢٦-٠١-٢٧", "1769472000",
    ],
)  # fmt: skip
def test_a_date_of_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(BadParameterError, match="date"):
        read_day({"date": [text]}, NOW)


def test_without_a_date_it_is_the_utc_day_of_now() -> None:
    east = NOW.astimezone(tz=datetime.strptime("+0530", "%z").tzinfo)
    assert east.date() == date(2026, 1, 28)
    assert read_day({}, east) == date(2026, 1, 27)


def test_without_parameters_the_last_24_hours_are_asked_for() -> None:
    assert read_critical_window({}, NOW) == CriticalWindow(24, 100, NOW - timedelta(hours=24))


@pytest.mark.parametrize(
    ("raw", "taken"),
    [
        ("hours=0", False), ("hours=1", True), ("hours=168", True), ("hours=169", False),
        ("limit=0", False), ("limit=1", True), ("limit=500", True), ("limit=501", False),
    ],
)  # fmt: skip
def test_the_bounds_of_a_window_are_as_documented_and_nothing_is_clamped(raw: str, taken: bool) -> None:
    query = split_query(raw.encode())
    if taken:
        window = read_critical_window(query, NOW)
        assert window.since == NOW - timedelta(hours=window.hours)
    else:
        with pytest.raises(BadParameterError):
            read_critical_window(query, NOW)
