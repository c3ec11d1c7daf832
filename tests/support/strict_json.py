"""What may be an event's `data`, told again in the plainest way: the oracle that the real check is held to.

Shares nothing with `harkara_catalogue.data_check` but the shapes: its own tokens straight from
RFC 8259, its own decoding of strings by way of UTF-16. Slow, and meant to be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from harkara_catalogue.shapes import ArrayShape, ObjectShape, Scalar, Shape

TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
        (?P<mark>[{}\[\],:])
      | (?P<string>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*")
      | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
      | (?P<word>true|false|null)
    )""",
    re.VERBOSE,
)
PIECE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\(.)|([^\\])", re.DOTALL)
SHORT_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

Token: TypeAlias = tuple[str, str]
END: Token = ("end", "")
Node: TypeAlias = "str | list[Node] | Object | Word | Number"


class NotStrictJsonError(Exception):
    """The text is not JSON, or a string in it does not stand for Unicode text."""


class Object(tuple["tuple[str, Node]", ...]):
    """Names and values."""

    __slots__ = ()


class Word:
    """true, false or null."""

    def __init__(self, text: str) -> None:
        self.text = text


class Number:
    """Any number."""


def may_be_data(shape: ObjectShape, text: str) -> bool:
    """Return whether a text may be the `data` of a type with this shape."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return False
    if size > 65536:
        return False
    try:
        value = parse(text)
    except NotStrictJsonError:
        return False
    return (
        fits(shape, value) and depth_of(value) <= 32 and not any("\0" in each for each in strings_in(value))
    )


def parse(text: str) -> Node:
    tokens = tokens_of(text)
    value = parse_value(tokens, tokens.pop())
    if tokens != [END]:
        raise NotStrictJsonError
    return value


def tokens_of(text: str) -> list[Token]:
    """Return the tokens, the last one first, so that `pop` takes the next; END is below them."""
    tokens = []
    at, end = 0, len(text.rstrip(" \t\n\r"))
    while at < end:
        match = TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise NotStrictJsonError
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return [END, *reversed(tokens)]


def parse_value(tokens: list[Token], first: Token) -> Node:
    kind, text = first
    if kind == "string":
        return decode(text)
    if kind == "number":
        return Number()
    if kind == "word":
        return Word(text)
    if text == "[":
        return [parse_value(tokens, item) for item in parts(tokens, "]")]
    if text == "{":
        return Object(parse_pair(tokens, name) for name in parts(tokens, "}"))
    raise NotStrictJsonError


def parse_pair(tokens: list[Token], name: Token) -> tuple[str, Node]:
    if name[0] != "string" or tokens.pop() != ("mark", ":"):
        raise NotStrictJsonError
    return decode(name[1]), parse_value(tokens, tokens.pop())


def parts(tokens: list[Token], closing: str) -> Iterator[Token]:
    """Yield the first token of each part of an array or object; who iterates takes the rest of the part."""
    token = tokens.pop()
    if token == ("mark", closing):
        return
    while True:
        yield token
        mark = tokens.pop()
        if mark == ("mark", closing):
            return
        if mark != ("mark", ","):
            raise NotStrictJsonError
        token = tokens.pop()


def decode(token: str) -> str:
    units = b""
    for escape, short, plain in PIECE.findall(token[1:-1]):
        if escape:
            units += int(escape, 16).to_bytes(2, "little")
        else:
            units += (SHORT_ESCAPES.get(short, short) if short else plain).encode("utf-16-le")
    try:
        return units.decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise NotStrictJsonError from error


def fits(shape: Shape, value: Node) -> bool:
    if shape is Scalar.ANY:
        return True
    if isinstance(shape, ObjectShape):
        return isinstance(value, Object) and all(
            is_null(part) or fits(shape.fields.get(name, Scalar.ANY), part) for name, part in value
        )
    if isinstance(shape, ArrayShape):
        return isinstance(value, list) and all(fits(shape.items, item) for item in value)
    if shape is Scalar.STRING:
        return isinstance(value, str)
    if shape is Scalar.NUMBER:
        return isinstance(value, Number)
    return isinstance(value, Word) and value.text in {"true", "false"}


def is_null(value: Node) -> bool:
    return isinstance(value, Word) and value.text == "null"


def depth_of(value: Node) -> int:
    if isinstance(value, Object):
        return 1 + max((depth_of(part) for _, part in value), default=0)
    if isinstance(value, list):
        return 1 + max((depth_of(item) for item in value), default=0)
    return 0


def strings_in(value: Node) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Object):
        return [each for name, part in value for each in (name, *strings_in(part))]
    if isinstance(value, list):
        return [each for item in value for each in strings_in(item)]
    return []
