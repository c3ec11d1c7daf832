"""Whether a text may be an event's `data`: the one check at Emit.

`data` is stored and delivered byte for byte, so nobody downstream parses it again before a client
does; what a client or a tool would choke on is refused here. A text passes if and only if

- it is one JSON object as RFC 8259 has it: no NaN or Infinity, no byte order mark, nothing behind it;
- it has at most 65,536 bytes in UTF-8, which a lone surrogate in the text does not have at all;
- it nests at most 32 deep, the object itself being depth 1;
- no name and no string in it, at any depth, holds NUL or a lone surrogate, escaped or not;
- every field that the event type knows has its shape (`shapes` has the rules).

A number is checked as text, never as a value: integers of a thousand digits, 1e400 and -0 are JSON
and pass. A name may occur more than once in an object: RFC 8259 leaves open which one a reader sees,
so each of them must have the field's shape.

How: a typed msgspec decoder and three plain scans, a microsecond in all. What these
cannot rule on is asked again of the exact check, which takes the text apart in Python and finds the
place of the fault. So msgspec's yes is trusted and its no is not: it refuses integers and floats out
of its range, and its message does not say which item of an array. Its yes was tried against RFC
8259 for known fields and for those that it skips, and a property test keeps trying; the scans
are for what it lets pass: an escaped NUL, and depth.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import msgspec

from harkara_catalogue.event_types import Catalogue
from harkara_catalogue.shapes import ArrayShape, ObjectShape, Scalar, Shape

MAX_DATA_BYTES: Final = 65_536
"""How many bytes of UTF-8 the text may have."""

MAX_DATA_DEPTH: Final = 32
"""How deep objects and arrays may stand in each other."""

# So many characters cannot have more bytes than allowed: UTF-8 has at most 4 for each.
_SURELY_SHORT_ENOUGH: Final = MAX_DATA_BYTES // 4

# A name is shown in a path up to this length: it comes from the caller and may have 64 KiB.
_SHOWN_NAME_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class DataFault:
    """Why a text may not be an event's `data`.

    Args:
        path: Where: "data", or the place inside it, such as "data.items[0].price".
        message: What is wrong there, for people. Holds no value of the text.
    """

    path: str
    message: str


def check_data(catalogue: Catalogue, event_type: str, text: str) -> DataFault | None:
    """Check a text that is to be the `data` of an event.

    Args:
        catalogue: The event types.
        event_type: A type of that catalogue.
        text: Any text, of any length.

    Returns:
        The first fault found, or None where there is none.

    Raises:
        KeyError: The catalogue has no such type.
    """
    decoder = _decoders(catalogue)[event_type]
    if len(text) > _SURELY_SHORT_ENOUGH and (fault := _check_size(text)) is not None:
        return fault
    try:
        decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return _find_fault(catalogue.types[event_type].data, text)
    # Each scan may be too careful (brackets in strings, a backslash escaped before u0000), never careless.
    if "\\u0000" in text or (text.count("{") + text.count("[") > MAX_DATA_DEPTH and _nests_too_deep(text)):
        return _find_fault(catalogue.types[event_type].data, text)
    return None


@functools.lru_cache(maxsize=16)
def _decoders(catalogue: Catalogue) -> dict[str, msgspec.json.Decoder[Any]]:
    return {
        name: msgspec.json.Decoder(_decoded_type(event_type.data))
        for name, event_type in catalogue.types.items()
    }


def _decoded_type(shape: Shape) -> Any:
    """Return the type that msgspec decodes exactly where a text has the shape (but for numbers' range)."""
    if isinstance(shape, ObjectShape):
        # The names are the caller's: they need not be Python's, so they are given as renamings. A field
        # that may be anything needs no type: msgspec checks and skips what it does not know.
        known = {
            f"f{number}": (name, field)
            for number, (name, field) in enumerate(shape.fields.items())
            if field is not Scalar.ANY
        }
        return msgspec.defstruct(
            "Data",
            [(attribute, _decoded_type(field) | None, None) for attribute, (_, field) in known.items()],
            rename={attribute: name for attribute, (name, _) in known.items()},
            gc=False,
        )
    if isinstance(shape, ArrayShape):
        return list[_decoded_type(shape.items)]  # type: ignore[misc] # made at run time.
    return _DECODED_SCALARS[shape]


_DECODED_SCALARS: Final[Mapping[Scalar, Any]] = {
    Scalar.STRING: str,
    Scalar.NUMBER: int | float,
    Scalar.BOOLEAN: bool,
    Scalar.ANY: msgspec.Raw,
}


def _check_size(text: str) -> DataFault | None:
    # Characters first: a text that is far too long is not encoded only to be counted.
    if len(text) > MAX_DATA_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_DATA_BYTES:
        return DataFault("data", f"longer than {MAX_DATA_BYTES} bytes of UTF-8")
    return None


def _nests_too_deep(text: str) -> bool:
    """Return whether a text that is JSON nests deeper than allowed.

    Without its strings and with one kind of bracket, each pass takes away just the innermost pairs: as
    many passes as it is deep. All of it runs in C: an order of fifty items has to go through here.
    """
    brackets = _STRING.sub("", text).translate(_ONE_KIND_OF_BRACKET)
    brackets = _NO_BRACKET.sub("", brackets)
    for _ in range(MAX_DATA_DEPTH):
        brackets = brackets.replace("[]", "")
    return bool(brackets)


_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_ONE_KIND_OF_BRACKET: Final = str.maketrans("{}", "[]")
_NO_BRACKET: Final = re.compile(r"[^\[\]]+")


# The exact check. In its tree of a text an object is its pairs, so that no repeated name gets lost, and
# every number is one and the same value.


class _Pairs(list[tuple[str, object]]):
    """The names and values of an object, in the order of the text."""


class _Number:
    """Some number."""


def _refuse_constant(_name: str) -> NoReturn:
    # Python's reader takes NaN, Infinity and -Infinity unless told otherwise.
    raise ValueError("not valid JSON: NaN and Infinity are not numbers")


_SOME_NUMBER: Final = _Number()
_READER: Final = json.JSONDecoder(
    object_pairs_hook=_Pairs,
    parse_int=lambda _digits: _SOME_NUMBER,
    parse_float=lambda _digits: _SOME_NUMBER,
    parse_constant=_refuse_constant,
)

_KINDS: Final[Mapping[type, str]] = {
    _Pairs: "an object",
    list: "an array",
    str: "a string",
    _Number: "a number",
    bool: "a boolean",
    type(None): "null",
}
_KINDS_OF_SCALARS: Final[Mapping[Scalar, str]] = {
    Scalar.STRING: "a string",
    Scalar.NUMBER: "a number",
    Scalar.BOOLEAN: "a boolean",
}
_TOO_DEEP: Final = f"nested more than {MAX_DATA_DEPTH} deep"
_FORBIDDEN_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _find_fault(shape: ObjectShape, text: str) -> DataFault | None:
    """Return the first fault of a text that is not too long, by taking it apart."""
    try:
        tree: object = _READER.decode(text)
    except RecursionError:
        return DataFault("data", _TOO_DEEP)
    except json.JSONDecodeError as error:
        return DataFault("data", f"not valid JSON at character {error.pos}: {error.msg}")
    except ValueError as error:
        return DataFault("data", str(error))
    return _fault_in(shape, tree, "data", 1)


def _fault_in(shape: Shape, value: object, path: str, depth: int) -> DataFault | None:
    """Return the first fault of a value or of what is inside it.

    Args:
        shape: What the value must be. That a field may be null is for the caller to know.
        value: A part of a tree made by `_READER`.
        path: Where the value stands.
        depth: How deep it stands, if it is an object or an array.
    """
    kind, wanted = _KINDS[type(value)], _kind_of(shape)
    if wanted not in {None, kind}:
        return DataFault(path, f"must be {wanted}, not {kind}")
    if isinstance(value, str):
        return _fault_in_string(value, path)
    if isinstance(value, list) and depth > MAX_DATA_DEPTH:
        return DataFault(path, _TOO_DEEP)
    if isinstance(value, _Pairs):
        known = shape.fields if isinstance(shape, ObjectShape) else {}
        return _fault_in_fields(known, value, path, depth)
    if isinstance(value, list):
        items = shape.items if isinstance(shape, ArrayShape) else Scalar.ANY
        return _first(_fault_in(items, item, f"{path}[{at}]", depth + 1) for at, item in enumerate(value))
    return None


def _fault_in_fields(known: Mapping[str, Shape], pairs: _Pairs, path: str, depth: int) -> DataFault | None:
    for name, value in pairs:
        place = f"{path}{_step_to(name)}"
        fault = _fault_in_string(name, place)
        if fault is None and value is not None:
            fault = _fault_in(known.get(name, Scalar.ANY), value, place, depth + 1)
        if fault is not None:
            return fault
    return None


def _first(faults: Iterable[DataFault | None]) -> DataFault | None:
    return next((fault for fault in faults if fault is not None), None)


def _kind_of(shape: Shape) -> str | None:
    """Return what kind of value a shape asks for, in the words of `_KINDS`; None for any."""
    if isinstance(shape, Scalar):
        return _KINDS_OF_SCALARS.get(shape)
    return "an object" if isinstance(shape, ObjectShape) else "an array"


def _fault_in_string(value: str, path: str) -> DataFault | None:
    found = _FORBIDDEN_CHARACTER.search(value)
    if found is None:
        return None
    return DataFault(path, "holds NUL" if found[0] == "\0" else "holds a lone surrogate")


def _step_to(name: str) -> str:
    """Return how a path goes on to a field: `.name`, or `["na me"]` in ASCII where it is no plain one."""
    if len(name) > _SHOWN_NAME_LENGTH:
        name = name[:_SHOWN_NAME_LENGTH] + "…"
    return f".{name}" if _PLAIN_NAME.fullmatch(name) else f"[{json.dumps(name)}]"
