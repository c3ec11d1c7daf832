"""What is kept of an event's delivery: how it was emitted, and which devices acknowledged past it.

Which socket an event was written to is kept by nobody; a device that does not acknowledge is not known here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DeviceProgress:
    """How far one device got in its user's stream.

    Attributes:
        device_id: Its own name for itself.
        acked_seq: The highest seq that it acknowledged in this life of the log; 0 for none yet.
        updated_at: When it was last heard of.
    """

    device_id: str
    acked_seq: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is kept of one event's delivery.

    Attributes:
        event_id: The event.
        user_id: Whom it is for.
        seq: Its number in the user's stream.
        timestamp: When it happened, as its emitter said.
        created_at: When it was accepted.
        expires_at: From when on it is not delivered any more; None for never.
        collapse_key: A newer event of the same key supersedes it; None for none.
        devices: Of the user's devices those that acknowledge, by name.
    """

    event_id: str
    user_id: str
    seq: int
    timestamp: datetime
    created_at: datetime
    expires_at: datetime | None
    collapse_key: str | None
    devices: Sequence[DeviceProgress]

    def is_acknowledged_by(self, device: DeviceProgress) -> bool:
        """Whether a device has acknowledged this event, or one after it."""
        return device.acked_seq >= self.seq
