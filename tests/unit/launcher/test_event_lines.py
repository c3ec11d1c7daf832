"""Events as lines for people."""

import json
import time
from collections.abc import Iterator
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_cli.console import CONTROLS
from harkara_cli.event_lines import Event, LineStyle, as_line

TODAY = date(2026, 1, 27)
PLAIN = LineStyle()


@pytest.fixture(autouse=True)
def _in_delhi(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def event(data: str = '{"note":"süß"}', **fields: object) -> Event:
    given = {
        "event_type": "order_created",
        "event_level": "high",
        "timestamp": "2026-01-27T10:30:00Z",
        "user_id": "anna",
        "source": "orders",
        "seq": 7,
        **fields,
    }
    return msgspec.json.decode(json.dumps(given)[:-1] + f', "data": {data}}}', type=Event)


def shown(data: str) -> str:
    """What is behind the source."""
    return as_line(event(data), PLAIN, TODAY).partition("orders")[2].removeprefix("  ")


def test_an_event_is_one_line_in_local_time_with_its_data_as_pairs() -> None:
    assert as_line(event(), PLAIN, TODAY) == "16:00:00      7  order_created        high     orders  note=süß"


def test_an_event_of_another_day_has_its_date() -> None:
    assert as_line(event(), PLAIN, date(2026, 1, 28)).startswith("2026-01-27 16:00:00 ")
    # 20:00 UTC is tomorrow there.
    late = event(timestamp="2026-01-27T20:00:00Z")
    assert as_line(late, PLAIN, date(2026, 1, 28)).startswith("01:30:00 ")


def test_a_line_has_its_date_where_that_is_asked_for() -> None:
    assert as_line(event(), LineStyle(dated=True), TODAY).startswith("2026-01-27 16:00:00 ")


def test_a_time_that_is_none_is_no_fault() -> None:
    assert as_line(event(timestamp="soon"), PLAIN, TODAY).startswith("--:--:-- ")


def test_where_several_are_followed_each_line_says_whose_it_is() -> None:
    line = as_line(event(), LineStyle(user_width=6), TODAY)
    assert line == "16:00:00      7  anna    order_created        high     orders  note=süß"


def test_a_line_shows_where_a_seq_is_missing() -> None:
    assert as_line(event(seq=None), PLAIN, TODAY).split()[1:3] == ["-", "order_created"]


@pytest.mark.parametrize(
    ("data", "pairs"),
    [
        ("{}", ""),
        ('{"order_id":"ord_1","total_amount":130}', "order_id=ord_1 total_amount=130"),
        ('{"a":{"b":{"c":1}, "d":"x"}}', "a.b.c=1 a.d=x"),
        ('{"a":{}, "b":[], "c":null, "d":true}', "a={} b=[] c=null d=true"),
        ('{"items":[{"name":"Milk","price":6.50}]}', 'items=[{"name":"Milk","price":6.50}]'),
        ('{"to":"Apt 123, Delhi"}', 'to="Apt 123, Delhi"'),
        ('{"a":"1","b":"true","c":"","d":"x=y","e":"null"}', 'a="1" b="true" c="" d="x=y" e="null"'),
        ('{"at":"2026-01-27T10:30:00Z","card":"****1234"}', "at=2026-01-27T10:30:00Z card=****1234"),
        ('{"a b":1}', '"a b"=1'),
        ('{"a":1,"a":2}', "a=1 a=2"),
        ('{"x":1e999,"y":-0.10,"z":12345678901234567890}', "x=1e999 y=-0.10 z=12345678901234567890"),
        ('{"a":"\\u00fc\\n"}', 'a="ü\\n"'),
    ],
)
def test_data_is_shown_as_pairs_that_cannot_be_mistaken(data: str, pairs: str) -> None:
    assert shown(data) == pairs


def test_data_is_shown_as_the_json_it_is_where_that_is_asked_for() -> None:
    line = as_line(event('{"order_id": "ord_1",\n"x": 1e999}'), LineStyle(full=True), TODAY)
    assert line.endswith('orders  {"order_id": "ord_1", "x": 1e999}')


def test_an_events_level_shows_in_its_colour() -> None:
    line = as_line(event(event_level="critical"), LineStyle(colour=True), TODAY)
    assert "\033[1;31morder_created" in line
    assert "\033" not in as_line(event(event_level="critical"), PLAIN, TODAY)


@pytest.mark.parametrize("style", [PLAIN, LineStyle(full=True), LineStyle(user_width=4)])
@pytest.mark.parametrize("control", ["\x1b", "\x9b", "\x7f", "\n"])
def test_no_control_character_of_an_event_reaches_the_terminal(control: str, style: LineStyle) -> None:
    nasty = f"x{control}y"
    data = json.dumps({nasty: nasty, "list": [nasty], "deep": {nasty: nasty}}, ensure_ascii=False)
    line = as_line(
        event(data, source=nasty, user_id=nasty, event_type=nasty, event_level=nasty), style, TODAY
    )
    assert control not in line


json_values: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values), st.booleans())
def test_whatever_the_data_is_no_character_of_it_moves_the_terminal(
    data: dict[str, object], full: bool
) -> None:
    raw = msgspec.Raw(json.dumps(data, ensure_ascii=False, indent=1).encode())
    line = as_line(Event(data=raw), LineStyle(full=full), TODAY)
    assert not {ord(character) for character in line} & CONTROLS.keys()
