"""What a client does after a close, by its code.

The table of docs/protocol.md, "Errors and closes"; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class After(Enum):
    """What to do after a connection ended."""

    STOP = "stop"
    BACK_OFF = "back off"
    RECONNECT_SPREAD = "reconnect after a random 0–5 s"
    RECONNECT = "reconnect"
    NEW_TOKEN = "new token, then reconnect"  # noqa: S105 - no secret.


AFTER_CLOSE: Final[Mapping[int, After]] = {
    1000: After.STOP,
    1002: After.STOP,
    1003: After.STOP,
    1007: After.STOP,
    1009: After.STOP,
    1011: After.BACK_OFF,
    1012: After.RECONNECT_SPREAD,
    1013: After.BACK_OFF,
    4400: After.STOP,
    4401: After.NEW_TOKEN,
    4402: After.NEW_TOKEN,
    4403: After.STOP,
    4408: After.RECONNECT,
    4429: After.BACK_OFF,
}

LOST: Final = After.BACK_OFF
"""After a connection that was lost without a close, or with a code that is not known."""

SPREAD_SECONDS: Final = 5.0
"""Within what a client comes back to a server that restarts."""


def after_close(code: int | None) -> After:
    """What to do after a close with this code; None where there was no close."""
    return AFTER_CLOSE.get(code, LOST) if code is not None else LOST
