"""How much of everything: sizes, times and rates, and what counts them. Time is an argument.

What does not belong here: what happens at a limit; `session` and the adapters decide that.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Final

MAX_TOKEN_BYTES: Final = 8 * 1024
"""A longer token is refused unread."""

_SLOTS: Final = 10

MAX_UNANSWERED: Final = 32
"""Changes of a subscription that may wait for their answer; then nothing more is read from the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one edge worker. The defaults are those of docs/protocol.md.

    Args:
        handshake_seconds: For the whole opening request of HTTP.
        auth_seconds: For the first `auth`.
        open_seconds: How long a new connection waits while no event-service is attached; up to
            `LATEST_SECONDS` of the wheel come on top.
        open_seconds_attached: How long it waits for an event-service that is.
        heartbeat_interval_seconds: What clients are told.
        silence_seconds: Without a frame of any kind.
        stall_seconds: How long unsent bytes may stand still.
        close_seconds: How long the closing handshake may take before the connection is cut.
        max_message_bytes: Of one message, all its fragments together.
        max_frames: Frames of any kind in a window: pings and tiny fragments cost too.
        messages_per_second: On average over a window.
        window_seconds: Of both rates.
        max_subscriptions: Entries of one connection.
        bad_messages: How many within `bad_message_seconds` end the connection.
        bad_message_seconds: See there.
        max_unsent_bytes: Of one connection; more, and it is paused.
        max_unsent_bytes_crowded: The same once all connections hold half of `max_unsent_bytes_total`.
        max_unsent_bytes_total: Of all connections of this worker.
    """

    handshake_seconds: float = 10.0
    auth_seconds: float = 10.0
    open_seconds: float = 3.0
    open_seconds_attached: float = 10.0
    heartbeat_interval_seconds: int = 30
    silence_seconds: float = 75.0
    stall_seconds: float = 60.0
    close_seconds: float = 5.0
    max_message_bytes: int = 64 * 1024
    max_frames: int = 5_000
    messages_per_second: int = 20
    window_seconds: float = 10.0
    max_subscriptions: int = 200
    bad_messages: int = 3
    bad_message_seconds: float = 60.0
    max_unsent_bytes: int = 256 * 1024
    max_unsent_bytes_crowded: int = 64 * 1024
    max_unsent_bytes_total: int = 256 * 1024 * 1024

    @property
    def max_messages(self) -> int:
        """Messages in a window."""
        return int(self.messages_per_second * self.window_seconds)


class SlidingCount:
    """Counts what happens, and says whether it is too much for a window of time.

    The window is ten slots; what happened in the slot now and the nine before it counts. So whoever keeps
    to the limit in every window is never refused, however bursty, and nobody passes more than the limit
    in nine tenths of one. A refused one is not counted.

    Args:
        now: Seconds of a clock that never goes back.
        window: How many seconds are in view.
    """

    __slots__ = ("_counts", "_slot", "_total", "_width")

    def __init__(self, now: float, window: float) -> None:
        self._width = window / _SLOTS
        self._slot = int(now / self._width)
        self._counts = array("L", [0] * _SLOTS)
        self._total = 0

    def add(self, now: float, limit: int, amount: int = 1) -> bool:
        """Count, and return whether this is still within the limit.

        Args:
            now: Seconds; not before the last one.
            limit: How many may be in view.
            amount: How many at once.
        """
        slot = int(now / self._width)
        for passed in range(max(self._slot + 1, slot - _SLOTS + 1), slot + 1):
            index = passed % _SLOTS
            self._total -= self._counts[index]
            self._counts[index] = 0
        self._slot = max(self._slot, slot)
        if self._total + amount > limit:
            return False
        self._total += amount
        self._counts[self._slot % _SLOTS] += amount
        return True


class UnsentTotal:
    """What all connections of a worker hold unsent, and how much one may hold because of that (G7).

    Only a connection whose kernel buffer is full holds anything, so only those are counted.

    Args:
        limits: The worker's.
    """

    __slots__ = ("_limits", "total")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.total = 0

    def change(self, difference: int) -> None:
        """Count what a connection holds more (or less) than at its last report, in bytes."""
        self.total += difference

    @property
    def limit(self) -> int:
        """How many bytes one connection may hold now before it is paused."""
        whole = self._limits.max_unsent_bytes_total
        if self.total >= whole:
            return 0
        return (
            self._limits.max_unsent_bytes_crowded
            if self.total > whole // 2
            else self._limits.max_unsent_bytes
        )
