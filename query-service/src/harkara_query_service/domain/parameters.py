"""The strict reading of query strings.

Web frameworks take `10.0`, ` 10` and `1_0` for 10, and the last of two values. Here a value is spelt as
documented or refused: never clamped, never guessed. One definition of a parameter serves its reading and
the OpenAPI document. A parameter that nobody documented is ignored, as unknown fields are everywhere in
the protocol.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import parse_qsl

from harkara_query_service.domain.errors import BadParameterError

Query = Mapping[str, Sequence[str]]
"""Parameter → its values, decoded, in order."""

MAX_INTEGER = 2**63 - 1
"""The largest `seq` there can be."""

_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def split_query(raw: bytes) -> Query:
    """Take a raw query string apart.

    Args:
        raw: What stands behind the `?`, percent-encoded. Bytes that are no UTF-8 become U+FFFD, which no
            parameter takes.
    """
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True, errors="replace"):
        values.setdefault(name, []).append(value)
    return values


def single(query: Query, name: str, expected: str) -> str | None:
    """The value of a parameter, None where it is absent.

    Raises:
        BadParameterError: it stands there twice: which one was meant is not ours to guess.
    """
    values = query.get(name, ())
    if len(values) > 1:
        raise BadParameterError(name, f"given once, and {expected}")
    return values[0] if values else None


@dataclass(frozen=True, slots=True)
class IntegerParameter:
    """An integer of a query string.

    Attributes:
        name: As in the URL.
        least: The smallest value taken.
        most: The largest.
        default: What an absent one means; None where absent means "no such bound".
        meaning: For the OpenAPI document.
    """

    name: str
    least: int
    most: int
    default: int | None
    meaning: str

    @property
    def expected(self) -> str:
        """What a value must be, for people."""
        if self.most == MAX_INTEGER:
            return f"an integer from {self.least} up"
        return f"an integer from {self.least} to {self.most}"

    def read_given(self, query: Query) -> int | None:
        """The value given, None where absent.

        Raises:
            BadParameterError: not plain decimal digits, out of range, or given twice.
        """
        text = single(query, self.name, self.expected)
        if text is None:
            return None
        if _INTEGER.fullmatch(text) is None or not self.least <= int(text) <= self.most:
            raise BadParameterError(self.name, self.expected)
        return int(text)

    def read(self, query: Query) -> int:
        """The value given, else the default, which this parameter must have.

        Raises:
            BadParameterError: as in `read_given`.
        """
        given = self.read_given(query)
        if given is not None:
            return given
        if self.default is None:
            message = f"{self.name} has no default"
            raise LookupError(message)
        return self.default


def read_date(query: Query, name: str) -> date | None:
    """A day spelt `YYYY-MM-DD`, None where absent.

    Raises:
        BadParameterError: another spelling, no day of the calendar, or given twice.
    """
    expected = "a day of the calendar as YYYY-MM-DD"
    text = single(query, name, expected)
    if text is None:
        return None
    if _DATE.fullmatch(text) is None:
        raise BadParameterError(name, expected)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadParameterError(name, expected) from None
