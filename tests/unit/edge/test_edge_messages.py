"""The parser of untrusted text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_edge.domain import messages
from harkara_edge.domain.commands import Resume
from harkara_edge.domain.errors import BadMessageError

REFUSED = {
    "nothing": "",
    "white space": "  ",
    "no JSON": "hello",
    "two values": '{"type":"heartbeat"} {"type":"heartbeat"}',
    "a trailing comma": '{"type":"heartbeat",}',
    "a byte order mark": '\ufeff{"type":"heartbeat"}',
    "a list": '[{"type":"heartbeat"}]',
    "a string": '"heartbeat"',
    "null": "null",
    "no type": '{"timestamp":"2026-01-27T10:30:00Z"}',
    "a type that is no string": '{"type":1}',
    "an unknown type": '{"type":"hello"}',
    "NaN": '{"type":"heartbeat","x":NaN}',
    "Infinity": '{"type":"heartbeat","x":-Infinity}',
    "a key twice": '{"type":"heartbeat","type":"ack","seq":1}',
    "a key twice, once escaped": '{"type":"heartbeat","t\\u0079pe":"ack","seq":1}',
    "a key twice in an unknown field": '{"type":"heartbeat","x":{"a":1,"a":2}}',
    "a lone surrogate": '{"type":"heartbeat","timestamp":"\\ud800"}',
    "a lone surrogate in an unknown field": '{"type":"heartbeat","x":["\\udfff"]}',
    "a lone surrogate in a key": '{"type":"heartbeat","\\ud800":1}',
    "a NUL": '{"type":"heartbeat","timestamp":"\\u0000"}',
    "a raw control character": '{"type":"heartbeat","timestamp":"\n"}',
    "too deep": '{"type":"heartbeat","x":' + "[" * 32 + "]" * 32 + "}",
    "deep enough to end the interpreter": "[" * 60_000,
    "a number too long to read": '{"type":"ack","seq":' + "1" * 5_000 + "}",
    "events missing": '{"type":"subscribe"}',
    "events null": '{"type":"subscribe","events":null}',
    "events no list": '{"type":"subscribe","events":"order_created"}',
    "events not text": '{"type":"subscribe","events":[1]}',
    "events of unsubscribe no list": '{"type":"unsubscribe","events":{}}',
    "a token that is no text": '{"type":"auth","token":5}',
    "a user_id that is no text": '{"type":"auth","token":"t","user_id":["u"]}',
    "a timestamp that is no text": '{"type":"heartbeat","timestamp":1769509800}',
    "seq missing": '{"type":"ack"}',
    "seq null": '{"type":"ack","seq":null}',
    "seq a float": '{"type":"ack","seq":1.0}',
    "seq true": '{"type":"ack","seq":true}',
    "seq a string": '{"type":"ack","seq":"1"}',
    "seq negative": '{"type":"ack","seq":-1}',
    "seq past 63 bits": '{"type":"ack","seq":9223372036854775808}',
    "ack of a heartbeat a float": '{"type":"heartbeat","ack":1.5}',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_text_that_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(BadMessageError):
        messages.parse(text)


ACCEPTED: dict[str, tuple[str, messages.Message]] = {
    "auth": (
        '{"type":"auth","token":"eyJ","user_id":"user_123","user_role":"customer"}',
        messages.Auth("eyJ", "user_123", "customer"),
    ),
    "auth of a browser with an empty store": (
        '{"type":"auth","token":null,"user_id":null}',
        messages.Auth(),
    ),
    "subscribe": ('{"type":"subscribe","events":["a","*"]}', messages.Subscribe(["a", "*"])),
    "unsubscribe": ('{"type":"unsubscribe","events":[]}', messages.Unsubscribe([])),
    "heartbeat": (
        '{"type":"heartbeat","timestamp":"2026-01-27T10:30:00Z"}',
        messages.Heartbeat("2026-01-27T10:30:00Z"),
    ),
    "heartbeat with an ack": ('{"ack":7,"type":"heartbeat"}', messages.Heartbeat(None, 7)),
    "ack": (' {"type" : "ack", "seq" : 9223372036854775807}\n', messages.Ack(2**63 - 1)),
    "unknown fields": ('{"type":"ack","seq":0,"x":{"y":[1.5,null,1e999]}}', messages.Ack(0)),
    "a field at the greatest depth": (
        '{"type":"heartbeat","x":' + "[" * 31 + "]" * 31 + "}",
        messages.Heartbeat(),
    ),
    "brackets that are only text": (
        '{"type":"heartbeat","timestamp":"' + "[" * 99 + '"}',
        messages.Heartbeat("[" * 99),
    ),
    "an escaped pair": ('{"type":"heartbeat","timestamp":"\\ud83d\\ude00"}', messages.Heartbeat("😀")),
}


@pytest.mark.parametrize(("text", "message"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_message_is_read_with_its_fields(text: str, message: messages.Message) -> None:
    assert messages.parse(text) == message


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_field_names = st.sampled_from(
    ["type", "token", "user_id", "events", "seq", "ack", "timestamp", "resume", "x"]
)


@given(st.text() | _json.map(json.dumps))
def test_any_text_is_a_message_or_a_bad_message_and_nothing_else(text: str) -> None:
    try:
        message = messages.parse(text)
    except BadMessageError:
        return
    assert isinstance(message, messages.Message)


@given(
    st.sampled_from(["auth", "subscribe", "unsubscribe", "heartbeat", "ack"]),
    st.dictionaries(_field_names, _json, max_size=5),
)
def test_any_fields_make_a_well_typed_message_or_a_bad_one(kind: str, fields: dict[str, Any]) -> None:
    try:
        message = messages.parse(json.dumps({**fields, "type": kind}))
    except BadMessageError:
        return
    for name in ("token", "user_id", "user_role", "timestamp"):
        assert isinstance(getattr(message, name, None), str | None)
    for name in ("seq", "ack"):
        number = getattr(message, name, None)
        assert number is None or (type(number) is int and 0 <= number < 2**63)


@given(_json)
def test_whatever_stands_in_resume_does_not_refuse_the_auth(resume: Any) -> None:
    text = json.dumps({"type": "auth", "token": "t", "resume": resume})
    try:
        message = messages.parse(text)
    except BadMessageError:
        # Only as any text with a NUL, a surrogate or such a depth is refused.
        assert "\\u0000" in text or "\\ud" in text
        return
    assert isinstance(message, messages.Auth)
    position, events = messages.read_resume(message.resume)
    assert position is None or (position.epoch and position.seq >= 0)
    assert all(isinstance(name, str) for name in events)


@pytest.mark.parametrize(
    ("value", "position", "events"),
    [
        ({"epoch": "e", "seq": 5, "events": ["a", "b"]}, Resume("e", 5), ["a", "b"]),
        ({"epoch": "e", "seq": 0}, Resume("e", 0), []),
        ({"epoch": "e", "seq": "5", "events": ["a"]}, None, ["a"]),
        ({"epoch": "e", "seq": True, "events": ["a"]}, None, ["a"]),
        ({"epoch": "e", "seq": 5.0}, None, []),
        ({"epoch": "e", "seq": -1}, None, []),
        ({"epoch": "e", "seq": 2**63}, None, []),
        ({"epoch": "", "seq": 5}, None, []),
        ({"epoch": 5, "seq": 5}, None, []),
        ({"epoch": "e" * 129, "seq": 5}, None, []),
        ({"seq": 5, "events": ["a", 5, None, "b"]}, None, ["a", "b"]),
        ({"epoch": "e", "seq": 5, "events": "a"}, Resume("e", 5), []),
        ("resume", None, []),
        ([], None, []),
    ],
)
def test_of_a_faulty_resume_what_can_be_understood_is_kept(
    value: object, position: Resume | None, events: list[str]
) -> None:
    assert messages.read_resume(value) == (position, events)
