"""The tables of the docs, written from the catalogue and the codes.

Who keeps the docs puts these texts into them, and CI compares.

What does not belong here: prose around the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from harkara_catalogue.codes import CLOSE_CODES, ERROR_CODES, ErrorCode
from harkara_catalogue.event_types import Catalogue
from harkara_catalogue.shapes import known_fields


def codes_markdown() -> str:
    """Return two tables: how connections end, and how each error is told on each way out.

    Returns:
        Markdown that ends with a line end.
    """
    closes = _table(
        ("close", "code", "when", "client"),
        (
            (str(close.close_code), _code(close.error_code), close.when, close.client.value)
            for close in CLOSE_CODES.values()
        ),
    )
    errors = _table(
        ("code", "meaning", "WebSocket", "gRPC", "HTTP"),
        (
            (
                _code(error.code),
                error.meaning,
                _on_websocket(error),
                error.grpc_status,
                _text(error.http_status),
            )
            for error in ERROR_CODES.values()
        ),
    )
    return f"{closes}\n{errors}"


def catalogue_markdown(catalogue: Catalogue) -> str:
    """Return the event types: for each group a heading, for each type when it comes and what it holds.

    Args:
        catalogue: The event types.

    Returns:
        Markdown that ends with a line end; its headings are of the third and fourth order.
    """
    parts: list[str] = []
    # A deployment may add types to a group that stands further up: gather them there.
    order = list(dict.fromkeys(event_type.group for event_type in catalogue.types.values()))
    types = sorted(catalogue.types.values(), key=lambda event_type: order.index(event_type.group))
    for group, members in groupby(types, key=lambda event_type: event_type.group):
        parts.append(f"### {_escaped(group)}\n")
        for event_type in members:
            when = f" {_escaped(event_type.when)}." if event_type.when else ""
            parts.append(f"#### {event_type.name}\n")
            parts.append(f"Level {event_type.default_level}.{when}\n")
            rows = [(_code(place), kind) for place, kind in known_fields(event_type.data)]
            if rows:
                parts.append(_table(("field", "type"), rows))
    return "\n".join(parts)


def _on_websocket(error: ErrorCode) -> str:
    if error.close_code is None:
        return "stays open" if error.stays_open else ""
    return f"stays open, or {error.close_code}" if error.stays_open else str(error.close_code)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str | None]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|\n" for line in lines)


def _text(value: int | None) -> str:
    return "" if value is None else str(value)


def _code(word: str | None) -> str:
    return f"`{_escaped(word)}`" if word else ""


def _escaped(text: str) -> str:
    # A bar would end the cell, also within code.
    return text.replace("|", "\\|")
