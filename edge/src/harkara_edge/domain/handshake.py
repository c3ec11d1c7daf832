"""Who may open a WebSocket, by its HTTP request alone.

The order of the checks is part of the rule: a wrong path is 404 whatever else is wrong with it. What
does not belong here: the parts of RFC 6455 that `websockets` checks itself (key, version, upgrade).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PATH: Final = "/api/websocket/ws"

LOOPBACK: Final = "loopback"
"""The word for any Origin on this machine."""

_ORIGIN: Final = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OriginRule:
    """Which Origins may connect. A request without one may always: only browsers send it.

    Args:
        loopback: Whether any Origin on this machine may.
        origins: Those that may, as a browser writes them, in lower case.
    """

    loopback: bool
    origins: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> OriginRule:
        """Read a setting: Origins and the word `loopback`, with commas between.

        Raises:
            ValueError: A part is neither.
        """
        parts = [part.strip().lower() for part in text.split(",") if part.strip()]
        for part in parts:
            if part != LOOPBACK and not _ORIGIN.fullmatch(part):
                message = f"{part!r} is no origin: use scheme://host or scheme://host:port"
                raise ValueError(message)
        return cls(LOOPBACK in parts, frozenset(parts) - {LOOPBACK})

    def allows(self, origin: str) -> bool:
        """Return whether a request with this Origin may connect."""
        origin = origin.lower()
        return origin in self.origins or (self.loopback and _is_loopback(origin))


def _is_loopback(origin: str) -> bool:
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return False
    host = match[2].strip("[]")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refusal(
    *, method: str, target: str, hosts: Sequence[str], origins: Sequence[str], rule: OriginRule
) -> int | None:
    """Return the HTTP status that refuses a request, or None.

    Args:
        method: The request's.
        target: Path and query, as requested.
        hosts: Every Host header.
        origins: Every Origin header.
        rule: Which Origins may connect.
    """
    if target.partition("?")[0] != PATH:
        return 404
    if method != "GET":
        return 405
    if len(hosts) != 1 or not hosts[0].strip() or len(origins) > 1:
        return 400
    if origins and not rule.allows(origins[0]):
        return 403
    return None
