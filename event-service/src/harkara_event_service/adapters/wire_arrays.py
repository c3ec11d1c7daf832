"""Whole columns as single parameters: Postgres arrays in the binary wire format.

Binding values one by one costs more than storing them. An array is one parameter, and in the binary
format no byte of a text is escaped by us or unescaped there: `data` arrives as it came.

Layout (array_send in PostgreSQL's arrayfuncs.c): dimensions, whether there are nulls, the element's
type, then length and lower bound of the one dimension; then each element as its length in bytes
(-1: null) and its bytes. Every integer is big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime

from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEADER = struct.Struct(">iiIii")
_LENGTH = struct.Struct(">i").pack
_NULL = _LENGTH(-1)
_EIGHT_BYTES = struct.Struct(">iq").pack
_EMPTY_HEADER = struct.Struct(">iiI")

# Of pg_type.dat: the element's oid, the array's oid. They are fixed for ever.
_INT8, _INT8_ARRAY = 20, 1016
_TEXT, _TEXT_ARRAY = 25, 1009
_DATE, _DATE_ARRAY = 1082, 1182
_TIMESTAMPTZ, _TIMESTAMPTZ_ARRAY = 1184, 1185

_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_POSTGRES_EPOCH_DAY = _POSTGRES_EPOCH.toordinal()
_DAY_MICROSECONDS = 86_400_000_000
_SECOND_MICROSECONDS = 1_000_000


class WireArray:
    """One finished parameter; psycopg hands it on as it is.

    Args:
        wire: the bytes to send.
    """

    __slots__ = ("wire",)

    def __init__(self, wire: bytes) -> None:
        self.wire = wire


class _Int8Array(WireArray):
    __slots__ = ()


class _TextArray(WireArray):
    __slots__ = ()


class _DateArray(WireArray):
    __slots__ = ()


class _TimestampArray(WireArray):
    __slots__ = ()


class _WireDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: WireArray) -> Buffer:
        return obj.wire


class _Int8ArrayDumper(_WireDumper):
    oid = _INT8_ARRAY


class _TextArrayDumper(_WireDumper):
    oid = _TEXT_ARRAY


class _DateArrayDumper(_WireDumper):
    oid = _DATE_ARRAY


class _TimestampArrayDumper(_WireDumper):
    oid = _TIMESTAMPTZ_ARRAY


def register(context: AdaptContext) -> None:
    """Let a connection take these arrays as parameters."""
    adapters = context.adapters
    adapters.register_dumper(_Int8Array, _Int8ArrayDumper)
    adapters.register_dumper(_TextArray, _TextArrayDumper)
    adapters.register_dumper(_DateArray, _DateArrayDumper)
    adapters.register_dumper(_TimestampArray, _TimestampArrayDumper)


def text_array(values: Sequence[str]) -> WireArray:
    """A `text[]`.

    Raises:
        UnicodeEncodeError: a value holds a lone surrogate, which UTF-8 has no bytes for.
    """
    encoded = [value.encode() for value in values]
    parts = [b""] * (2 * len(encoded))
    parts[0::2] = map(_LENGTH, map(len, encoded))
    parts[1::2] = encoded
    return _TextArray(_with_header(_TEXT, len(encoded), b"".join(parts)))


def nullable_text_array(values: Sequence[str | None]) -> WireArray:
    """A `text[]` in which None is null.

    Raises:
        UnicodeEncodeError: as in `text_array`.
    """
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            encoded = value.encode()
            parts.append(_LENGTH(len(encoded)))
            parts.append(encoded)
    return _TextArray(_with_header(_TEXT, len(values), b"".join(parts), has_nulls=True))


def int8_array(values: Sequence[int]) -> WireArray:
    """A `bigint[]`."""
    return _Int8Array(_with_header(_INT8, len(values), _eight_bytes_each(values)))


def timestamp_array(values: Sequence[datetime]) -> WireArray:
    """A `timestamptz[]` of aware datetimes."""
    since = [value - _POSTGRES_EPOCH for value in values]
    microseconds = [
        each.days * _DAY_MICROSECONDS + each.seconds * _SECOND_MICROSECONDS + each.microseconds
        for each in since
    ]
    return _TimestampArray(_with_header(_TIMESTAMPTZ, len(values), _eight_bytes_each(microseconds)))


def nullable_timestamp_array(values: Sequence[datetime | None]) -> WireArray:
    """A `timestamptz[]` of aware datetimes in which None is null."""
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            since = value - _POSTGRES_EPOCH
            microseconds = (
                since.days * _DAY_MICROSECONDS + since.seconds * _SECOND_MICROSECONDS + since.microseconds
            )
            parts.append(_EIGHT_BYTES(8, microseconds))
    return _TimestampArray(_with_header(_TIMESTAMPTZ, len(values), b"".join(parts), has_nulls=True))


def date_array(values: Sequence[date]) -> WireArray:
    """A `date[]`."""
    flat = [4] * (2 * len(values))
    flat[1::2] = [value.toordinal() - _POSTGRES_EPOCH_DAY for value in values]
    return _DateArray(_with_header(_DATE, len(values), struct.pack(">" + "ii" * len(values), *flat)))


def _eight_bytes_each(values: Sequence[int]) -> bytes:
    flat = [8] * (2 * len(values))
    flat[1::2] = values
    return struct.pack(">" + "iq" * len(values), *flat)


def _with_header(element: int, count: int, elements: bytes, *, has_nulls: bool = False) -> bytes:
    if count == 0:
        return _EMPTY_HEADER.pack(0, 0, element)
    return _HEADER.pack(1, has_nulls, element, count, 1) + elements
