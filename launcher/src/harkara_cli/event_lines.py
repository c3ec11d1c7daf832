"""Events as people read them: one line each, whatever is in them.

`data` is shown as `key=value` pairs, nested keys with dots, or as the JSON that it is. Numbers keep every
digit that was emitted. What a terminal would obey is shown, not sent.

What does not belong here: where events come from, and which of them are wanted.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from harkara_cli.console import CONTROLS, LEVEL_COLOURS, paint

_DIM = "2"
_TYPE_WIDTH = 20
_LEVEL_WIDTH = 8
_SEQ_WIDTH = 6


class Event(msgspec.Struct):
    """An event as a client or a reader of the history gets it; what is not there is empty.

    Attributes:
        data: Its JSON, byte for byte.
        seq: None where it is not stored.
    """

    event_type: str = ""
    event_level: str = ""
    event_id: str = ""
    timestamp: str = ""
    user_id: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    source: str = ""
    seq: int | None = None


@dataclass(frozen=True)
class LineStyle:
    """How lines look.

    Attributes:
        colour: By level.
        full: `data` as its JSON instead of `key=value`.
        user_width: How wide the column of user ids is; 0 is without one.
        dated: Whether each line has its date; else those of other days.
    """

    colour: bool = False
    full: bool = False
    user_width: int = 0
    dated: bool = False


def as_line(event: Event, style: LineStyle, today: date) -> str:
    """An event as a line for people.

    Args:
        event: The event.
        style: How it shall look.
        today: The local date. Times are shown in the local zone.
    """
    level = event.event_level
    tone = LEVEL_COLOURS.get(level, "0")
    user = f"{_plain(event.user_id):<{style.user_width}}  " if style.user_width else ""
    number = "-" if event.seq is None else str(event.seq)
    kind = f"{_plain(event.event_type):<{_TYPE_WIDTH}} {_plain(level):<{_LEVEL_WIDTH}}"
    parts = (
        paint(
            f"{_when(event.timestamp, today, dated=style.dated)} {number:>{_SEQ_WIDTH}}",
            _DIM,
            when=style.colour,
        ),
        f"{user}{paint(kind, tone, when=style.colour)} {_plain(event.source)}",
        _as_json(event.data) if style.full else _pairs(event.data, colour=style.colour),
    )
    return "  ".join(part for part in parts if part)


def numbers_kept(text: bytes | str) -> Any:
    """The value of a JSON text: objects as lists of pairs, numbers as the text they are.

    Raises:
        ValueError: It is no JSON.
    """
    return _DECODER.decode(text if isinstance(text, str) else text.decode())


class _Number(str):
    """A number's text: read as a value it would lose digits, or be beyond what a value holds."""

    __slots__ = ()


class _Pairs(list[tuple[str, Any]]):
    """An object, with each name as often as it stands there."""


_DECODER = json.JSONDecoder(object_pairs_hook=_Pairs, parse_float=_Number, parse_int=_Number)
# What stands for itself beside "=": no blank, no quote, no bracket, and not what looks like another type.
_BARE = re.compile(r"(?!(?:true|false|null|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\Z)[^\s\"=\[\]{},\\]+\Z")


def _when(timestamp: str, today: date, *, dated: bool) -> str:
    with contextlib.suppress(ValueError, OverflowError):
        happened = datetime.fromisoformat(timestamp)
        local = happened.replace(tzinfo=happened.tzinfo or UTC).astimezone()
        if not dated and local.date() == today:
            return f"{local:%H:%M:%S}"
        return f"{local:%Y-%m-%d %H:%M:%S}"
    return "--:--:--"


def _pairs(data: msgspec.Raw, *, colour: bool) -> str:
    try:
        value = numbers_kept(bytes(data))
    except (ValueError, RecursionError):
        return _as_json(data)
    if not isinstance(value, _Pairs):
        return _as_json(data)
    return " ".join(
        f"{paint(_plain(f'{_bare(path)}='), _DIM, when=colour)}{_plain(text)}"
        for path, text in _flat(value, "")
    )


def _flat(pairs: _Pairs, prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in pairs:
        if isinstance(value, _Pairs) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            bare = isinstance(value, str) and not isinstance(value, _Number)
            yield f"{prefix}{name}", _bare(value) if bare else _json(value)


def _bare(text: str) -> str:
    return text if _BARE.match(text) else json.dumps(text, ensure_ascii=False)


def _json(value: Any) -> str:
    if isinstance(value, _Pairs):
        return (
            "{"
            + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{_json(part)}" for name, part in value)
            + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return value if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)


def _as_json(data: msgspec.Raw) -> str:
    # A line break in it can only be white space between tokens.
    return _plain(one_line(bytes(data).decode()))


def indented(data: bytes) -> str:
    """A JSON text on several lines, every digit of its numbers kept."""
    try:
        return _indented(numbers_kept(data), "")
    except (ValueError, RecursionError):
        return data.decode()


def _indented(value: Any, margin: str) -> str:
    inner = f"{margin}  "
    if isinstance(value, _Pairs) and value:
        parts = [f"{json.dumps(name, ensure_ascii=False)}: {_indented(part, inner)}" for name, part in value]
        return "{\n" + ",\n".join(f"{inner}{part}" for part in parts) + f"\n{margin}}}"
    if isinstance(value, list) and not isinstance(value, _Pairs) and value:
        return "[\n" + ",\n".join(f"{inner}{_indented(part, inner)}" for part in value) + f"\n{margin}]"
    return _json(value)


def one_line(text: str) -> str:
    """A JSON text on one line: a line break in it can only be white space between tokens."""
    return text.replace("\n", " ").replace("\r", " ")


def _plain(text: str) -> str:
    return text.translate(CONTROLS)
