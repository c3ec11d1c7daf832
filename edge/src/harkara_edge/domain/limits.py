"""How much of everything: sizes, times and rates, and what counts them. Time is an argument.

What does not belong here: what happens at a limit; `session` and the adapters decide that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_TOKEN_BYTES: Final = 8 * 1024
"""A longer token is refused unread."""

MAX_UNANSWERED: Final = 32
"""Changes of a subscription that may wait for their answer; then nothing more is read from the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one edge worker. The defaults are those of docs/protocol.md.

    Args:
        handshake_seconds: For the whole opening request of HTTP.
        auth_seconds: For the first `auth`.
        open_seconds: How long a new connection waits while no event-service is attached.
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

    Two whole windows are kept and the older one is weighed by how much of it is still in view: three
    numbers, however high the limit. A burst from rest may be `limit` and not one more. After a window
    that was used, a twentieth more is allowed, since the weighing supposes an even pace: a client that
    keeps just to the rate is not refused for its network's jitter.

    Args:
        now: Seconds of a clock that never goes back.
    """

    __slots__ = ("_before", "_count", "_start")

    def __init__(self, now: float) -> None:
        self._start = now
        self._count = 0
        self._before = 0

    def add(self, now: float, limit: int, window: float, amount: int = 1) -> bool:
        """Count, and return whether this is still within the limit; what is not, is not counted.

        Args:
            now: Seconds; not before the last one.
            limit: How many may be in view.
            window: How many seconds are.
            amount: How many at once.
        """
        passed = now - self._start
        if passed >= window:
            windows = int(passed / window)
            self._before = self._count if windows == 1 else 0
            self._count = 0
            self._start += windows * window
            passed = now - self._start
        # Clamped: the division above may round to a window that has just not begun.
        in_view = self._before * min(1.0, max(0.0, 1.0 - passed / window))
        slack = max(1, limit // 20) if self._before else 0
        if self._count + amount + in_view > limit + slack:
            return False
        self._count += amount
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
