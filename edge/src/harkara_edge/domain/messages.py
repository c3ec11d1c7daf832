"""What a client may say. The only parser of untrusted text.

Text becomes one of five typed messages or is refused whole. Refused is: what is not JSON (NaN and
Infinity are not), a key twice in one object, nesting deeper than 32, a lone surrogate or a NUL in any
string, a missing or unknown `type`, a missing field, a field of the wrong type. Fields that the
protocol does not know are ignored. An optional field may be null: a browser without a stored token
sends null.

`resume` and `device_id` alone are read leniently, since no fault in them refuses the `auth`
(docs/protocol.md): they keep the shape of whatever JSON they are until `read_resume` and
`read_device_id`.

What does not belong here: whether a message may come now, and what it does (`session`).
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, NoReturn

import msgspec

from harkara_edge.domain.commands import Resume
from harkara_edge.domain.errors import BadMessageError

MAX_DEPTH: Final = 32
MAX_SEQ: Final = 2**63 - 1
MAX_EPOCH_LENGTH: Final = 128
_DEVICE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")

Seq = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]


class Auth(msgspec.Struct, tag_field="type", tag="auth", frozen=True):
    """Says who the client is: first, and again to stay beyond its token's end."""

    token: str | None = None
    user_id: str | None = None
    user_role: str | None = None
    device_id: Any = None
    resume: Any = None


class Subscribe(msgspec.Struct, tag_field="type", tag="subscribe", frozen=True):
    """Asks for events of these types too."""

    events: list[str]


class Unsubscribe(msgspec.Struct, tag_field="type", tag="unsubscribe", frozen=True):
    """Asks for no more events of these types."""

    events: list[str]


class Heartbeat(msgspec.Struct, tag_field="type", tag="heartbeat", frozen=True):
    """Says that the client is there, and how far it got."""

    timestamp: str | None = None
    ack: Seq | None = None


class Ack(msgspec.Struct, tag_field="type", tag="ack", frozen=True):
    """Says how far the client got."""

    seq: Seq


Message = Auth | Subscribe | Unsubscribe | Heartbeat | Ack


def _refuse_constant(_: str) -> NoReturn:
    raise BadMessageError


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadMessageError
    return found


# The standard library's decoder and not msgspec's: only it shows a key that stands twice.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object_without_repeats, parse_constant=_refuse_constant)
_FORBIDDEN_CHARACTER: Final = re.compile("[\x00\ud800-\udfff]")


def parse(text: str) -> Message:
    """Read one message.

    Args:
        text: Decoded UTF-8 of bounded size.

    Raises:
        BadMessageError: It is none.
    """
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise BadMessageError from None
    # Without that many brackets it cannot be that deep, and without an escape no string holds what
    # raw text may not: nearly every message is spared the walk.
    if text.count("[") + text.count("{") > MAX_DEPTH or "\\u" in text:
        _check(value, 1)
    try:
        message: Message = msgspec.convert(value, Message)
    except msgspec.ValidationError:
        raise BadMessageError from None
    return message


def _check(value: object, depth: int) -> None:
    if isinstance(value, str):
        if _FORBIDDEN_CHARACTER.search(value):
            raise BadMessageError
    elif isinstance(value, (dict, list)):
        if depth > MAX_DEPTH:
            raise BadMessageError
        if isinstance(value, dict):
            for key in value:
                _check(key, depth)
            value = list(value.values())
        for part in value:
            _check(part, depth + 1)


def read_resume(value: object) -> tuple[Resume | None, list[str]]:
    """Read where a client wants to go on from, as far as that can be understood.

    Args:
        value: Whatever JSON stood in `resume`.

    Returns:
        The position, None where it is faulty; then the types asked for, those that are text.
    """
    if not isinstance(value, dict):
        return None, []
    asked = value.get("events")
    events = [name for name in asked if isinstance(name, str)] if isinstance(asked, list) else []
    epoch, seq = value.get("epoch"), value.get("seq")
    if not isinstance(epoch, str) or not epoch or len(epoch) > MAX_EPOCH_LENGTH:
        return None, events
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq <= MAX_SEQ:
        return None, events
    return Resume(epoch, seq), events


def names_no_position(value: object) -> bool:
    """Return whether a `resume` leaves it to the device where to go on from: it has no `seq`.

    Args:
        value: Whatever JSON stood in `resume`.
    """
    return isinstance(value, dict) and value.get("seq") is None


def read_device_id(value: object) -> str:
    """Read a device's name for itself.

    Args:
        value: Whatever JSON stood in `device_id`.

    Returns:
        It; empty where there is none, or a faulty one.
    """
    return value if isinstance(value, str) and _DEVICE_ID.match(value) else ""
