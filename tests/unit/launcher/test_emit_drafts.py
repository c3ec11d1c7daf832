"""Events as the command line takes them: from options, and from JSON lines."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara.event.v1 import event_pb2
from harkara_cli.emit import BATCH, draft, drafts_in
from harkara_cli.errors import MisuseError

json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)


def drafts(text: str, **defaults: Any) -> list[event_pb2.EventDraft]:
    return [made for batch in drafts_in(io.BytesIO(text.encode()), defaults) for made in batch]


def test_a_draft_has_the_fields_given_and_no_others() -> None:
    made = draft(
        {
            "user_id": "anna",
            "event_type": "order_ready",
            "data": '{"a": 1}',
            "event_level": "critical",
            "timestamp": "2026-01-27T10:30:00.5Z",
        }
    )
    assert (made.user_id, made.event_type, made.data) == ("anna", "order_ready", '{"a": 1}')
    assert made.event_level == event_pb2.EVENT_LEVEL_CRITICAL
    assert made.timestamp.ToDatetime(UTC) == datetime(2026, 1, 27, 10, 30, 0, 500_000, UTC)
    assert (made.event_id, made.source, made.collapse_key) == ("", "", "")
    assert not draft({"data": "{}"}).HasField("timestamp")


@pytest.mark.parametrize(("seconds", "ttl"), [(1, 1.0), (0.25, 0.25), (-3, -3.0), (10**9, 1e9)])
def test_a_ttl_is_a_number_of_seconds_and_whether_it_is_sound_the_server_says(
    seconds: float, ttl: float
) -> None:
    assert draft({"ttl": seconds}).ttl.ToTimedelta().total_seconds() == ttl
    assert not draft({}).HasField("ttl")


def test_an_event_is_stored_unless_it_says_otherwise() -> None:
    assert draft({}).storage == event_pb2.STORAGE_UNSPECIFIED
    assert draft({"storage": "stored"}).storage == event_pb2.STORAGE_STORED
    assert draft({"storage": "ephemeral"}).storage == event_pb2.STORAGE_EPHEMERAL


@given(st.text())
def test_data_that_is_text_is_passed_on_as_it_is(text: str) -> None:
    assert draft({"data": text}).data == text


@given(st.dictionaries(st.text(), json_values), st.booleans(), st.sampled_from([None, 1]))
def test_data_of_a_line_is_the_same_as_text_and_as_an_object(
    data: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(data, ensure_ascii=ascii_only, indent=indent).replace("\n", " ")
    as_text, as_object = drafts(f'{{"data":{json.dumps(text)}}}\n{{"data":{text}}}')
    assert as_text.data == as_object.data == text


def test_numbers_of_a_line_keep_their_digits() -> None:
    """They were parsed and printed again: a price of 1.10 became 1.1, a long number another one."""
    data = '{"x":12345678901234567.89,"y":1.10, "z":1E400}'
    assert [made.data for made in drafts(f'{{"data": {data} }}')] == [data]


def test_of_two_members_of_one_name_the_last_counts() -> None:
    assert [made.data for made in drafts('{"data":{"n":1},"data":{"n":2}}')] == ['{"n":2}']


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"usr_id": "anna"}, "unknown field usr_id: there are collapse_key, data, event_id"),
        ({"user_id": 7}, "user_id is not text"),
        ({"event_level": "urgent"}, "event_level urgent is none of low, medium, high, critical"),
        ({"data": {}}, "data is not text"),
        ({"ttl": "1"}, "ttl 1 is no number of seconds"),
        ({"ttl": True}, "ttl True is no number of seconds"),
        ({"ttl": float("nan")}, "ttl nan is no number of seconds"),
        ({"ttl": 10**20}, "ttl 100000000000000000000 is no number of seconds"),
        ({"storage": "nowhere"}, "storage nowhere is none of stored, ephemeral"),
        ({"storage": 7}, "storage 7 is none of stored, ephemeral"),
        ({"timestamp": "yesterday"}, "timestamp yesterday is not ISO 8601"),
    ],
)
def test_a_field_at_fault_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(MisuseError) as told:
        draft(fields)
    assert str(told.value).startswith(said)


def test_lines_become_drafts_in_order_and_leave_out_what_the_options_say() -> None:
    made = drafts('{"data":{"n":1}}\n\n  \n{"data":{"n":2},"user_id":"bert"}', user_id="anna", event_type="x")
    assert [(one.user_id, one.event_type, one.data) for one in made] == [
        ("anna", "x", '{"n":1}'),
        ("bert", "x", '{"n":2}'),
    ]


def test_many_lines_come_in_batches() -> None:
    file = io.BytesIO(b'{"user_id":"anna"}\n' * (2 * BATCH + 1))
    sizes = [len(batch) for batch in drafts_in(file, {})]
    assert sum(sizes) == 2 * BATCH + 1
    assert max(sizes) <= BATCH


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="array"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b'{"event_level":"urgent"}', id="unknown level"),
        pytest.param(rb'{"user_id":"\ud800"}', id="lone surrogate in a field"),
        pytest.param(rb'{"data":{"a":"\ud800"}}', id="lone surrogate in data"),
        pytest.param(rb'{"data":"\ud800"}', id="lone surrogate in data as text"),
        pytest.param(b'{"user_id":"\xff"}', id="no UTF-8 in a field"),
        pytest.param(b'{"data":{"a":"\xff"}}', id="no UTF-8 in data"),
        pytest.param(b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep data"),
        pytest.param(b'{"user_id":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep field"),
        pytest.param(b'{"data":{"a":NaN}}', id="no number"),
    ],
)
def test_a_line_at_fault_is_named_by_its_number_after_those_before_it(line: bytes) -> None:
    batches = drafts_in(io.BytesIO(b'{"user_id":"anna"}\n\n' + line + b"\n"), {})
    assert [made.user_id for made in next(batches)] == ["anna"]
    with pytest.raises(MisuseError, match=r"^line 3: "):
        next(batches)
