"""The JSON examples of the reference, one file each in `tests/conformance/reference/`.

Each file says where its example stands in the reference, what it is, and what belongs to it; the
example itself is `body`, field for field. What the reference leaves out with "..." is left out there,
and `elided` names the places.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

FOLDER = Path(__file__).parents[1] / "conformance" / "reference"

Kind: TypeAlias = Literal["client_message", "server_message", "event", "rest_response"]


class RestRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request that a REST example answers."""

    method: Literal["GET"]
    route: str
    """The path as documented: `/api/websocket/events/{event_id}`."""
    path: str
    """The path of this example."""
    query: dict[str, str]


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One example of the reference."""

    section: str
    """The headings above it."""
    kind: Kind
    body: dict[str, Any]
    """The example."""
    step: str | None = None
    """The words right above it, where the reference has a dialogue."""
    answers: str | None = None
    """Of a server's message: the name of the client's message that it answers."""
    request: RestRequest | None = None
    """Of a REST response."""
    elided: tuple[str, ...] = ()
    """JSON pointers into `body`: objects and arrays whose (further) content the reference leaves out."""


def load_vectors() -> dict[str, Vector]:
    """Return every example by its name, which is its file's."""
    return {
        path.stem: msgspec.json.decode(path.read_bytes(), type=Vector)
        for path in sorted(FOLDER.glob("*.json"))
    }
