"""Conversations of a client and the edge, one file each in `tests/conformance/conversations/`.

The edge's tests read them from one side, the JavaScript client's from the other (`conversations.test.js`),
so that neither can drift from what the other one does. A step is one of:

- `application`: what the application asks its client for (for a test of a client);
- `client`, `server`: a message, as far as it is told here; text that begins with `$` stands for any value,
  and for the same one wherever it stands again; a field that is null here is not there. `$token` is the
  client's token, `$next_token` the one after it, `$expires_at` and `$next_expires_at` are their ends;
- `faulty`: a message that only a faulty client would send (for a test of the edge);
- `emit`, `emit_ephemeral`: an event of this type is stored for the user, or handed on and kept nowhere (for
  a test of the edge);
- `mesh`: what happens around the edge, by a name that `test_conversations.py` knows (for a test of the edge);
- `cut`, `close`, `leave`: the connection breaks, the server closes it with this code, or the client does;
- `waits_seconds`: so long the client waits before it comes back, where chance is always a half (for a test
  of a client);
- `restart`: the client ends without a word, and another one begins, with nothing but what the first stored;
- `at_seconds`: it is so long after the beginning now;
- `asleep_until_seconds`: likewise, and the client's machine slept until then;
- `told`, `silent`: what the application was told since the last such step; nothing follows (for a test of a
  client).
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
    device_id: str | None = None
    """The client's device; then it stores nothing itself."""
    token: str | None = None
    """The client's token, where it is not this user's."""
    token_seconds: int = 3_600
    """How long after the beginning the client's token ends; the next one lasts for an hour."""
    renewable: bool = False
    """Whether the client has a way to the next token."""
    position: Position | None = None
    """What the client stored."""
    edge_settings: dict[str, Any] = {}
    """Settings of the edge that are not as by default."""


def load_conversations() -> dict[str, Conversation]:
    """Return every conversation by its name, which is its file's."""
    return {
        path.stem: msgspec.json.decode(path.read_bytes(), type=Conversation)
        for path in sorted(FOLDER.glob("*.json"))
    }
