"""Shapes of JSON: what an event type says about its `data`.

A shape is data. Whatever needs to know it (the check at Emit, the JSON Schema, the docs page) is
derived from it elsewhere, never written beside it.

The rules, the same at every depth:

- a field may be absent, and may be null, whatever its shape;
- a field that the shape does not name passes through, whatever it holds;
- a field that it names holds what the shape says, each time it occurs in the text;
- the items of an array have the array's item shape; an item is not a field, so it may not be null;
- a number is any JSON number; true and false are no numbers.

What does not belong here: event types, and anything that reads a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TypeAlias


class Scalar(Enum):
    """A shape without parts; its value is the word for it in files, schemas and docs."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class ArrayShape:
    """An array, all of whose items have one shape.

    Args:
        items: The shape of each item.
    """

    items: Shape


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """An object of which some fields are known.

    Args:
        fields: The known fields by name, in the order in which to show them. May be empty.
    """

    fields: Mapping[str, Shape]

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))


Shape: TypeAlias = Scalar | ArrayShape | ObjectShape

STRING = Scalar.STRING
NUMBER = Scalar.NUMBER
BOOLEAN = Scalar.BOOLEAN
ANY = Scalar.ANY


def fields(**known: Shape) -> ObjectShape:
    """Return the shape of an object with these known fields."""
    return ObjectShape(known)


def describe(shape: Shape) -> str:
    """Return a shape as a few words for people: "string", "array of object"."""
    if isinstance(shape, Scalar):
        return shape.value
    if isinstance(shape, ArrayShape):
        return f"array of {describe(shape.items)}"
    return "object"


def known_fields(shape: Shape, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each known field at any depth, its place and its shape in words: `items[].name`, "string".

    Args:
        shape: What holds the fields.
        path: The place of that; empty at the top.
    """
    if isinstance(shape, ArrayShape):
        yield from known_fields(shape.items, f"{path}[]")
    elif isinstance(shape, ObjectShape):
        for name, field in shape.fields.items():
            place = f"{path}.{name}" if path else name
            yield place, describe(field)
            yield from known_fields(field, place)
