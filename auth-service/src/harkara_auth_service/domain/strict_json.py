"""JSON from strangers: one object, every name once at any depth, no NaN, bounded depth.

The json module takes the last of two equal names, `NaN`, and bytes in UTF-16; each of those lets two
readers of one token see different claims.
"""

from __future__ import annotations

import json
from typing import NoReturn


class NotStrictJsonError(ValueError):
    """The text is not one JSON object in UTF-8."""


class DuplicateNameError(NotStrictJsonError):
    """An object holds a name twice."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DuplicateNameError
    return members


def _no_constant(_: str) -> NoReturn:
    raise NotStrictJsonError


def read_object(text: bytes) -> dict[str, object]:
    """Read one JSON object.

    Args:
        text: UTF-8, without a byte order mark; bounded in size by the caller.

    Raises:
        DuplicateNameError: a name stands twice in one object, at any depth.
        NotStrictJsonError: it is anything else but one JSON object.
    """
    try:
        value = json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except NotStrictJsonError:
        raise
    except (ValueError, RecursionError):
        # ValueError also covers bytes that are not UTF-8 and integers of thousands of digits.
        raise NotStrictJsonError from None
    if not isinstance(value, dict):
        raise NotStrictJsonError
    return value
