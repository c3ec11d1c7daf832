"""Bodies: the stored text of `data` leaves as it came, and each error has one status."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_catalogue.codes import ERROR_CODES
from harkara_query_service.adapters import answers
from harkara_query_service.domain import errors
from harkara_query_service.domain.counts import summarise
from harkara_query_service.domain.events import StoredEvent
from harkara_query_service.domain.paging import HistoryPage
from harkara_query_service.service import History

EVENT = StoredEvent(
    event_id="evt_01KG0A5XQ8ZJ3N5R7T9VWXYZ01",
    event_type="earning_recorded",
    event_level="medium",
    user_id="user_123",
    timestamp=datetime(2026, 1, 27, 10, 30, tzinfo=UTC),
    source="earnings_service",
    data='{"amount": 500}',
    created_at=datetime(2026, 1, 27, 10, 30, 0, 5, tzinfo=UTC),
    seq=7,
)


def test_an_event_has_the_fields_of_the_reference_in_its_order_and_seq() -> None:
    assert answers.event_answer(EVENT).body == (
        b'{"status":"success","data":{"_id":"evt_01KG0A5XQ8ZJ3N5R7T9VWXYZ01",'
        b'"event_id":"evt_01KG0A5XQ8ZJ3N5R7T9VWXYZ01","event_type":"earning_recorded",'
        b'"event_level":"medium","user_id":"user_123","timestamp":"2026-01-27T10:30:00Z",'
        b'"source":"earnings_service","data":{"amount": 500},'
        b'"created_at":"2026-01-27T10:30:00.000005Z","seq":7}}'
    )


@pytest.mark.parametrize(
    "data",
    [
        '{"big":123456789012345678901234567890,"huge":1e400,"tiny":-0.0,"exact":1.10}',
        '{ "spaced" :\t1 ,\n"escaped":"\\u00e9\\/\\n" }',
        '{"plain":"é\u2028\U0001f6f5"}',
        '{"same":1,"same":2}',
    ],
)
def test_data_leaves_byte_for_byte_as_it_is_stored(data: str) -> None:
    body = bytes(answers.event_answer(EVENT._replace(data=data)).body)
    assert data.encode() in body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc\n\t"), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.lists(st.dictionaries(st.text("xyz"), json_values, max_size=3), max_size=4), st.booleans())
def test_a_page_of_any_events_is_json_with_each_data_as_it_came(
    contents: list[dict[str, object]], escape: bool
) -> None:
    texts = [json.dumps(content, ensure_ascii=escape, indent=1) for content in contents]
    page = HistoryPage(limit=50, skip=0, before_seq=None, event_type=None)
    body = bytes(answers.history_answer(History(page, [EVENT._replace(data=t) for t in texts])).body)
    decoded = json.loads(body)
    assert [row["data"] for row in decoded["data"]] == contents
    assert decoded["count"] == len(contents)
    position = 0
    for text in texts:
        position = body.index(text.encode(), position) + 1


def test_a_summary_of_nothing_has_all_its_fields() -> None:
    assert json.loads(bytes(answers.summary_answer(summarise(date(2026, 1, 27), [])).body)) == {
        "status": "success",
        "data": {
            "date": "2026-01-27",
            "total_events": 0,
            "critical_events": 0,
            "by_event_type": {},
            "by_source": {},
            "by_level": {"critical": 0, "high": 0, "medium": 0, "low": 0},
        },
    }


def all_errors(base: type[errors.QueryError]) -> list[type[errors.QueryError]]:
    return [base, *(error for child in base.__subclasses__() for error in all_errors(child))]


def test_every_error_that_can_be_raised_has_a_code_with_an_http_status() -> None:
    raised = set(all_errors(errors.QueryError)) - {errors.QueryError, errors.CallerError}
    assert set(answers.CODES) == raised
    assert all(ERROR_CODES[code].http_status is not None for code in answers.CODES.values())


@pytest.mark.parametrize(
    ("error", "status", "code", "header"),
    [
        (errors.UnauthenticatedError(), 401, "unauthenticated", ("www-authenticate", "Bearer")),
        (errors.ForbiddenError(), 403, "forbidden", None),
        (errors.NotFoundError("event"), 404, "not_found", None),
        (errors.BadParameterError("limit", "an integer"), 422, "invalid_argument", None),
        (errors.UnknownTypeError(), 422, "unknown_event_type", None),
        (errors.UnavailableError("postgres"), 503, "try_again_later", ("retry-after", "1")),
        (errors.OverloadedError("postgres"), 503, "overloaded", ("retry-after", "1")),
    ],
)
def test_a_failure_has_one_shape_and_the_status_of_its_code(
    error: errors.QueryError, status: int, code: str, header: tuple[str, str] | None
) -> None:
    answer = answers.query_failure(error)
    body = json.loads(bytes(answer.body))
    assert answer.status_code == status
    assert body == {"status": "error", "error": {"code": code, "message": body["error"]["message"]}}
    if header is not None:
        assert answer.headers[header[0]] == header[1]


def test_what_is_away_is_not_told() -> None:
    assert b"postgres" not in bytes(answers.query_failure(errors.UnavailableError("postgres")).body)


def test_times_with_other_offsets_leave_in_utc() -> None:
    moment = EVENT.timestamp.astimezone(tz=None) + timedelta(microseconds=1)
    body = json.loads(bytes(answers.event_answer(EVENT._replace(timestamp=moment)).body))
    assert body["data"]["timestamp"] == "2026-01-27T10:30:00.000001Z"
