"""Whose web pages may speak to a service: one rule for the WebSocket's Origin and for CORS."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from harkara_servicekit.settings import is_loopback

LOOPBACK: Final = "loopback"
"""The word for any Origin on this machine."""

_ORIGIN: Final = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OriginRule:
    """Whose pages may. A request without an Origin comes from no page, and is none of its business.

    Args:
        loopback: whether any page of this machine may.
        origins: those that may, as a browser writes them, in lower case.
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
        """Whether a page of this Origin may. `null` never may."""
        origin = origin.lower()
        return origin in self.origins or (self.loopback and _is_of_this_machine(origin))


def _is_of_this_machine(origin: str) -> bool:
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return False
    host = match[2].strip("[]")
    return host.endswith(".localhost") or is_loopback(host)
