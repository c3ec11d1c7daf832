"""What is common to the classes in `events`."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, TypeAlias

import msgspec

Number: TypeAlias = int | float | Decimal
"""A JSON number. A Decimal goes as its own digits: an amount of 12.10 arrives as 12.10."""


class EventData(msgspec.Struct, kw_only=True):
    """The `data` of one type of event. A field that is not given is not sent."""

    event_type: ClassVar[str]
    """As it stands in an event."""
