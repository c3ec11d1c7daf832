"""The JSON Schemas say what the check says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harkara_catalogue import Catalogue, EventType, check_data, data_schema, event_schema, events_schema
from harkara_catalogue.shapes import ANY, BOOLEAN, NUMBER, STRING, ArrayShape, Shape, fields

CATALOGUE = Catalogue.reference()

FRAME = {
    "event_type": "order_ready",
    "event_level": "high",
    "event_id": "evt_01KG0000000000000000000000",
    "timestamp": "2026-01-27T14:25:00Z",
    "user_id": "cust_123",
    "data": {"order_id": "ord_123"},
    "source": "order_service",
    "seq": 7,
}


def is_valid(schema: dict[str, Any], instance: object) -> bool:
    checker = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(schema, format_checker=checker).is_valid(instance)


@pytest.mark.parametrize("name", CATALOGUE.types)
def test_every_schema_is_one(name: str) -> None:
    for schema in (data_schema(CATALOGUE.types[name]), event_schema(CATALOGUE, name)):
        Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
        assert json.loads(json.dumps(schema)) == schema


def test_a_frame_fits_with_and_without_the_added_field() -> None:
    schema = event_schema(CATALOGUE, "order_ready")
    assert is_valid(schema, FRAME)
    assert is_valid(schema, {name: value for name, value in FRAME.items() if name != "seq"})
    assert is_valid(schema, {**FRAME, "event_level": "critical", "added_later": 1})


@pytest.mark.parametrize("name", [name for name in FRAME if name != "seq"])
def test_a_frame_without_one_of_the_seven_fields_does_not_fit(name: str) -> None:
    schema = event_schema(CATALOGUE, "order_ready")
    assert not is_valid(schema, {other: value for other, value in FRAME.items() if other != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event_type", "order_created"),
        ("event_level", "urgent"),
        ("event_id", "ord_1"),
        ("timestamp", "yesterday"),
        ("user_id", "no spaces"),
        ("data", None),
        ("data", {"order_id": 7}),
        ("source", None),
        ("seq", 0),
        ("seq", 1.5),
    ],
)
def test_a_frame_with_a_wrong_field_does_not_fit(name: str, value: object) -> None:
    assert not is_valid(event_schema(CATALOGUE, "order_ready"), {**FRAME, name: value})


def test_a_type_has_no_schema_where_the_catalogue_does_not_know_it() -> None:
    with pytest.raises(KeyError):
        event_schema(CATALOGUE, "order_eaten")


def test_one_schema_takes_an_event_of_any_type_and_no_other() -> None:
    schema = events_schema(CATALOGUE)
    Draft202012Validator.check_schema(schema)
    assert is_valid(schema, FRAME)
    assert is_valid(schema, {**FRAME, "event_type": "order_confirmed"})
    assert not is_valid(schema, {**FRAME, "event_type": "order_eaten"})
    assert not is_valid(schema, {**FRAME, "event_type": "payment_failed", "data": {"order_id": 7}})


def test_a_schema_is_the_caller_s_to_change() -> None:
    data_schema(CATALOGUE.types["order_ready"])["properties"].clear()
    assert not is_valid(data_schema(CATALOGUE.types["order_ready"]), {"order_id": 7})


NAMES = st.sampled_from(["a", "b", "ab"])
shapes: st.SearchStrategy[Shape] = st.recursive(
    st.sampled_from([STRING, NUMBER, BOOLEAN, ANY]),
    lambda part: (
        part.map(ArrayShape) | st.dictionaries(NAMES, part, max_size=3).map(lambda known: fields(**known))
    ),
    max_leaves=5,
)
values: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just("a"),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(NAMES, part, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(NAMES, shapes), st.dictionaries(NAMES, values))
def test_the_schema_and_the_check_agree(known: dict[str, Shape], data: dict[str, object]) -> None:
    event_type = EventType("sample", "low", "Tests", "", fields(**known))
    passes = check_data(Catalogue.of([event_type]), "sample", json.dumps(data)) is None
    assert is_valid(data_schema(event_type), data) is passes
