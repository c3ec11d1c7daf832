"""The frames that a server sends, as bytes (RFC 6455 §5.2): text, unmasked, whole.

Built here and not by `websockets`, because a delivery's frame is the same bytes for every socket: it
is made once and written to each. What does not belong here: reading frames.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

_FIN_AND_TEXT: Final = 0x81
_SHORT: Final = Struct("!BB").pack
_MEDIUM: Final = Struct("!BBH").pack
_LONG: Final = Struct("!BBQ").pack


def text_frame(payload: bytes) -> bytes:
    """Return a text frame.

    Args:
        payload: UTF-8; any length.
    """
    length = len(payload)
    if length < 126:
        return _SHORT(_FIN_AND_TEXT, length) + payload
    if length < 65_536:
        return _MEDIUM(_FIN_AND_TEXT, 126, length) + payload
    return _LONG(_FIN_AND_TEXT, 127, length) + payload
