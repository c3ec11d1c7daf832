"""From which web pages a browser may read answers: the same allow-list as the edge's."""

import re
from dataclasses import dataclass

LOOPBACK = "loopback"

_LOOPBACK = re.compile(r"https?://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?")
_ORIGIN = re.compile(r"https?://[a-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class AllowedOrigins:
    """The allow-list.

    Attributes:
        loopback: Whether any page of this machine may.
        named: Origins that may, spelt as browsers send them.
    """

    loopback: bool
    named: frozenset[str]

    def allow(self, origin: str) -> bool:
        """Whether a page of that origin may read answers. `null` never may."""
        return origin in self.named or (self.loopback and _LOOPBACK.fullmatch(origin) is not None)


def read_origins(text: str) -> AllowedOrigins:
    """Read the setting: `loopback`, or origins with commas between them.

    Raises:
        ValueError: an item is no origin as a browser sends it (`https://shop.example`, no path).
    """
    items = [item.strip() for item in text.split(",")]
    for item in items:
        if item != LOOPBACK and _ORIGIN.fullmatch(item) is None:
            message = f"{item!r} is neither 'loopback' nor an origin such as https://shop.example"
            raise ValueError(message)
    return AllowedOrigins(LOOPBACK in items, frozenset(items) - {LOOPBACK})
