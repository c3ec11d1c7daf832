"""Events for tests that need some: sound ones, with ids of their own."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import strategies as st

from harkara_event_service.domain.event import Event, NumberedEvent
from harkara_schema.partitions import ALPHABET, event_id_floor, to_ms

_ID_TIME_CHARS = len("evt_") + 10


class MovableClock:
    """The real time, and as far from it as a test wants."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def fresh_event_id(at: datetime | None = None) -> str:
    """An id of a moment (now), never given before."""
    time_part = event_id_floor(to_ms(at or datetime.now(UTC)))[:_ID_TIME_CHARS]
    return time_part + "".join([secrets.choice(ALPHABET) for _ in range(16)])


def make_event(user_id: str = "user_1", data: str = "{}", **fields: object) -> Event:
    """An event; what is not given is the same for all, but for the id."""
    now = datetime.now(UTC)
    event = Event(
        event_id=fresh_event_id(),
        user_id=user_id,
        event_type="order_created",
        level="high",
        timestamp=now,
        source="orders_service",
        data=data,
        accept_time=now,
    )
    return msgspec.structs.replace(event, **fields)


def make_events(count: int, user_id: str = "user_1") -> list[Event]:
    """Several events of one user."""
    return [make_event(user_id, f'{{"number":{number}}}') for number in range(count)]


def told(events: Sequence[NumberedEvent]) -> list[tuple[str, int]]:
    """Which events with which numbers, for a comparison that reads well."""
    return [(numbered.event.event_id, numbered.seq) for numbered in events]


def stored_form(event: Event) -> Event:
    """`event` as the log knows it: what its emitter named and what not is no part of that."""
    return msgspec.structs.replace(event, level_given=False, timestamp_given=False)


# JSON texts as emitters write them: what an encoder would never write, too.

_SPACE = st.text(" \t\n\r", max_size=2)
_PLAIN = st.characters(exclude_characters='"\\', exclude_categories=["Cs"], min_codepoint=0x20)
_ESCAPED = st.sampled_from(
    [*(f"\\{char}" for char in '"\\/bfnrt'), "\\u0041", "\\u00e9", "\\u000a", "\\uD83D\\uDE00"]
)
_STRING = st.lists(_PLAIN | _ESCAPED, max_size=8).map(lambda parts: '"' + "".join(parts) + '"')
_NUMBER = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
_LEAF = _STRING | _NUMBER | st.sampled_from(["true", "false", "null"])


def _list_of(item: st.SearchStrategy[str], marks: str) -> st.SearchStrategy[str]:
    spaced = st.tuples(_SPACE, item, _SPACE).map("".join)
    return st.tuples(_SPACE, st.lists(spaced, max_size=4)).map(
        lambda parts: marks[0] + parts[0] + ",".join(parts[1]) + marks[1]
    )


def _object_of(value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return _list_of(st.tuples(_STRING, _SPACE, st.just(":"), _SPACE, value).map("".join), "{}")


JSON_OBJECTS = st.recursive(
    _LEAF, lambda value: _list_of(value, "[]") | _object_of(value), max_leaves=8
).flatmap(lambda value: _object_of(st.just(value) | _LEAF))
"""The texts of JSON objects: any escape, any space, every plane of Unicode."""
