"""Conversations of a client and the edge, one file each in `tests/conformance/conversations/`.

The edge's tests read them from one side, the JavaScript client's from the other (`conversations.test.js`),
so that neither can drift from what the other one does. A step is one of:

- `application`: what the application asks its client for (for a test of a client);
- `client`, `server`: a message, as far as it is told here; text that begins with `$` stands for any value,
  and for the same one wherever it stands again;
- `emit`: an event of this type is stored for the user (for a test of the edge);
- `cut`, `close`: the connection breaks, or the server closes it with this code;
- `pass_seconds`, `told`, `silent`: time goes on; what the application was told since the last such step;
  nothing follows (for a test of a client).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parents[1] / "conformance" / "conversations"


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a client got in an earlier life."""

    epoch: str
    seq: int


class Conversation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One conversation."""

    about: str
    """What it shows; a sentence."""
    user_id: str
    """Whose events these are."""
    steps: list[dict[str, Any]]
    client_user_id: str | None = None
    """Who the client says it is, where that is somebody else."""
    token: str | None = None
    """The client's token, where it is not this user's."""
    position: Position | None = None
    """What the client kept."""


def load_conversations() -> dict[str, Conversation]:
    """Return every conversation by its name, which is its file's."""
    return {
        path.stem: msgspec.json.decode(path.read_bytes(), type=Conversation)
        for path in sorted(FOLDER.glob("*.json"))
    }
