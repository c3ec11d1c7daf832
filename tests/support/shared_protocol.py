"""What client and edge have in common, as `tests/conformance/protocol.json` has it.

Conversations (`conversations`) show how the two play together. This file is what holds in all of them:

- `phases`: what each side may say, before the client was told `authenticated` and after;
- `out_of_turn`: how a client ends that says something else first;
- `errors`: which there are on the WebSocket, whether one may stand alone, and the close that follows;
- `closes`: the error before each, and the client's reaction;
- `reactions`: whether a client comes back, how long it waits first where the connection had lasted and chance
  is a half, and whether it fetches a new token for it.

The edge's states and the client's differ by nature, and so do their tables of moves: each side's tests say
which of its states belong to which phase. The tests of the clients read the file too: `protocol.test.js` for
JavaScript; for Python `test_client_shared_protocol.py` the closes, and `test_listener_errors.py` the errors.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

FILE = Path(__file__).parents[1] / "conformance" / "protocol.json"


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be said: types of messages, and `event`, which has none."""

    client: list[str]
    server: list[str]


class Phases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both of them."""

    before_authenticated: Phase
    authenticated: Phase


class OutOfTurn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a connection ends whose client spoke too early."""

    error: str
    close: int


class SharedError(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An error frame."""

    stays_open: bool
    close: int | None


class SharedClose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A close."""

    error: str | None
    client: str


class Reaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client does."""

    comes_back: bool
    waits_seconds: float | None = None
    new_token: bool | None = None


class SharedProtocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    about: str
    phases: Phases
    out_of_turn: OutOfTurn
    errors: dict[str, SharedError]
    closes: dict[str, SharedClose]
    reactions: dict[str, Reaction]


def load_shared_protocol() -> SharedProtocol:
    """Return what stands in the file."""
    return msgspec.json.decode(FILE.read_bytes(), type=SharedProtocol)
