"""Who may open a WebSocket, by its HTTP request alone.

The order of the checks is part of the rule: a wrong path is 404 whatever else is wrong with it. What
does not belong here: the parts of RFC 6455 that `websockets` checks itself (key, version, upgrade).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harkara_servicekit.origins import OriginRule

PATH: Final = "/api/websocket/ws"


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
