"""One event in full, as people read it."""

import contextlib
from datetime import UTC, datetime

import msgspec

from harkara_cli.console import CONTROLS, LEVEL_COLOURS, paint, put, use_colour
from harkara_cli.event_lines import Event, indented

_WIDTH = 10


class _Stored(Event):
    created_at: str = ""


def show_event(text: bytes) -> None:
    """Prints an event to standard output.

    Args:
        text: Its JSON, as the history has it.
    """
    event = msgspec.json.decode(text, type=_Stored)
    colour = use_colour(1)
    tone = LEVEL_COLOURS.get(event.event_level, "0")
    put(paint(_plain(f"{event.event_type}  {event.event_level}"), tone, when=colour))
    rows = (
        ("id", event.event_id),
        ("user", event.user_id),
        ("seq", str(event.seq)),
        ("source", event.source),
        ("happened", _time(event.timestamp)),
        ("accepted", _time(event.created_at)),
    )
    for name, value in rows:
        put(f"{paint(f'{name:<{_WIDTH}}', '2', when=colour)}{_plain(value)}")
    put(paint("data", "2", when=colour))
    for line in indented(bytes(event.data)).splitlines():
        put(f"  {_plain(line)}")


def _time(text: str) -> str:
    """A time, and what the clock on the wall said then, where that differs."""
    with contextlib.suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        local = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone()
        if local.utcoffset():
            return f"{text}  ({local:%Y-%m-%d %H:%M:%S} here)"
    return text


def _plain(text: str) -> str:
    return text.translate(CONTROLS)
