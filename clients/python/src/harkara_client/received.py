"""What a listener hears: events, and how far it got."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, TypeVar

import msgspec

from harkara_client.event_data import EventData

_D = TypeVar("_D", bound=EventData)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a listener got in its user's stream. Keep it as `str(position)`, and come back with `parse`.

    Attributes:
        epoch: The life of the log that `seq` belongs to.
        seq: The number of the last event that was dealt with.
    """

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.seq}@{self.epoch}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the position that `str` made this text of.

        Raises:
            ValueError: The text is none.
        """
        seq, at, epoch = text.partition("@")
        if not (at and epoch and seq.isascii() and seq.isdigit()):
            message = f"{text!r} is no position"
            raise ValueError(message)
        return cls(epoch, int(seq))


@dataclass(frozen=True, slots=True)
class Event:
    """An event, as docs/protocol.md says.

    Attributes:
        event_type: What happened.
        level: `critical`, `high`, `medium` or `low`.
        event_id: Unique for ever.
        timestamp: When it happened, says the service that emitted it.
        user_id: Whom it is for.
        data_json: The `data`, byte for byte as it was emitted.
        source: The service that emitted it.
        seq: Its number in its user's stream; None of one that is kept nowhere.
        position: Where to go on after it was dealt with.
    """

    event_type: str
    level: str
    event_id: str
    timestamp: datetime
    user_id: str
    data_json: str
    source: str
    seq: int | None
    position: Position

    @property
    def data(self) -> dict[str, Any]:
        """The `data`, decoded anew each time; numbers beyond a double are infinite."""
        data: dict[str, Any] = json.loads(self.data_json)
        return data

    def data_as(self, kind: type[_D]) -> _D:
        """The `data` as an object of `harkara_client.events`, without the fields that it does not know.

        Raises:
            ValueError: The event is of another type, or its `data` does not fit.
        """
        if kind.event_type != self.event_type:
            message = f"{self.event_id} is of type {self.event_type}, not {kind.event_type}"
            raise ValueError(message)
        return msgspec.convert(self.data, kind)


@dataclass(frozen=True, slots=True)
class Gap:
    """Events were missed, and cannot be brought any more: read them over REST, or load anew.

    Attributes:
        asked: Where the listener wanted to go on; None where it left that to the server (`device_id`).
        now: Where it goes on.
    """

    asked: Position | None
    now: Position
