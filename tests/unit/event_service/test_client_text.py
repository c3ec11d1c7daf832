"""The text that clients receive for an event."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_event_service.domain.event import NumberedEvent, client_text, iso_utc
from tests.support.events import JSON_OBJECTS, make_event


def test_the_fields_stand_in_the_references_order_and_then_seq() -> None:
    event = make_event(
        "user_123",
        '{"amount": 500, "delivery_id": "del_123"}',
        event_id="evt_01KG0000000000000000000000",
        event_type="earning_recorded",
        level="medium",
        timestamp=datetime(2026, 1, 27, 10, 30, tzinfo=UTC),
        source="earnings_service",
    )

    assert client_text(NumberedEvent(event, 42)).decode() == (
        '{"event_type":"earning_recorded","event_level":"medium","event_id":"evt_01KG0000000000000000000000",'
        '"timestamp":"2026-01-27T10:30:00Z","user_id":"user_123",'
        '"data":{"amount": 500, "delivery_id": "del_123"},"source":"earnings_service","seq":42}'
    )


def test_an_event_without_a_number_has_no_seq() -> None:
    text = client_text(NumberedEvent(make_event(data='{"a":1}'), 0))

    assert text.endswith(b'"data":{"a":1},"source":"orders_service"}')
    assert "seq" not in json.loads(text)


@given(data=JSON_OBJECTS)
def test_data_goes_in_byte_for_byte(data: str) -> None:
    text = client_text(NumberedEvent(make_event(data=data), 1))

    assert b'"data":' + data.encode() + b',"source":' in text
    assert json.loads(text)["data"] == json.loads(data)


@given(data=JSON_OBJECTS, seq=st.integers(1, 2**63 - 1), event_type=st.text(min_size=1))
def test_it_is_json_whatever_a_deployment_names_its_types(data: str, seq: int, event_type: str) -> None:
    text = client_text(NumberedEvent(make_event(data=data, event_type=event_type), seq)).decode()

    read = json.loads(text)
    assert list(read) == [
        "event_type",
        "event_level",
        "event_id",
        "timestamp",
        "user_id",
        "data",
        "source",
        "seq",
    ]
    assert (read["event_type"], read["seq"]) == (event_type, seq)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 27, 10, 30, tzinfo=UTC), "2026-01-27T10:30:00Z"),
        (datetime(2026, 1, 27, 10, 30, 0, 500_000, tzinfo=UTC), "2026-01-27T10:30:00.500000Z"),
        (datetime(2026, 1, 27, 10, 30, 0, 1, tzinfo=UTC), "2026-01-27T10:30:00.000001Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
        (datetime(2026, 1, 27, 16, 0, tzinfo=timezone(timedelta(hours=5.5))), "2026-01-27T10:30:00Z"),
    ],
)
def test_a_time_is_iso_8601_in_utc_and_has_a_fraction_only_where_it_must(moment: datetime, text: str) -> None:
    assert iso_utc(moment) == text


@given(moment=st.datetimes(timezones=st.just(UTC)))
def test_a_time_comes_back_as_the_same_moment(moment: datetime) -> None:
    assert datetime.fromisoformat(iso_utc(moment)) == moment
