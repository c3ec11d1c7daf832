"""A session with its socket: what stands for a connection in the service.

What does not belong here: what is done with it (`edge`).
"""

from __future__ import annotations

from typing import Final

from harkara_edge.domain.commands import Moment
from harkara_edge.domain.session import Rules, Session
from harkara_edge.ports import Socket

REPORT_BYTES: Final = 32 * 1024
"""Written is reported when this much was written since the last report: well inside the 128 KiB that the
event-service sends a session that catches up, and next to nothing for one that is live."""


class Client(Session):
    """A session with its socket.

    Args:
        rules: The worker's.
        at: Now.
        socket: The connection.
    """

    __slots__ = ("began", "blocked", "gathered", "report_at", "sent", "socket", "write")

    def __init__(self, rules: Rules, at: Moment, socket: Socket) -> None:
        super().__init__(rules, at)
        self.socket = socket
        self.write = socket.write
        self.blocked = False
        """Whether the socket holds unsent bytes; set by the socket."""
        self.gathered: bytes | None = None
        """Frames that the next flush writes."""
        self.sent = 0
        """Bytes of deliveries so far."""
        self.report_at = REPORT_BYTES
        """How many there will be when they are reported."""
        self.began = at.monotonic
