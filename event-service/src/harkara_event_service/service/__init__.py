"""What the event-service does: takes events into the log, and brings them to the edges.

`Emitting` and `Delivering` share nothing but the log: what one commits, the log announces to the
other (`EventLog`'s `Committed` callback). Where there are other replicas, `Hearing` stands in between.
"""

from harkara_event_service.service.delivering import (
    READ_EVENTS,
    READ_USERS,
    READS_AT_ONCE,
    Delivering,
    OpenRequest,
    Stats,
)
from harkara_event_service.service.devices import Devices
from harkara_event_service.service.emitting import Answer, Emitting, HandedOn
from harkara_event_service.service.hearing import Hearing

__all__ = [
    "READS_AT_ONCE",
    "READ_EVENTS",
    "READ_USERS",
    "Answer",
    "Delivering",
    "Devices",
    "Emitting",
    "HandedOn",
    "Hearing",
    "OpenRequest",
    "Stats",
]
