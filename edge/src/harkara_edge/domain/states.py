"""The states of a session, and what moves it between them: one table.

A session is a cursor on its user's stream, and the cursor's states are the session's:

    CONNECTED ──auth──▶ AUTHENTICATING ──verified──▶ OPENING ──opened──▶ OPEN

    OPEN ──clogged──▶ PAUSED ──drained──▶ REOPENING ──opened──▶ OPEN
    OPEN ──detached──────────────────────▶ REOPENING ──clogged──▶ PAUSED

- In OPEN, and only there, deliveries are written.
- OPENING and REOPENING wait for an `Opened` of the session's current generation; an older one changes
  nothing. That is the fence: what was on its way before it belongs to a cursor that is no more. Without
  it: paused at 10, 11 is dropped, the cursor is asked to go on after 10, a stale 12 arrives and is
  written, and 11, read from the log, is then behind the position and dropped: a hole.
- In PAUSED the socket takes no bytes and the cursor stands still.
- A second `auth`, and its answer, leave the cursor where it is.

What does not belong here: what a move does (`session`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from harkara_edge.domain.errors import IllegalMoveError


class State(Enum):
    """Where a session stands."""

    CONNECTED = auto()
    AUTHENTICATING = auto()
    OPENING = auto()
    OPEN = auto()
    REOPENING = auto()
    PAUSED = auto()
    CLOSED = auto()


class Move(Enum):
    """What moves it."""

    AUTH = auto()
    VERIFIED = auto()
    ATTACHED = auto()
    OPENED = auto()
    CLOGGED = auto()
    DRAINED = auto()
    DETACHED = auto()
    END = auto()


_S, _M = State, Move

TABLE: Final[Mapping[State, Mapping[Move, State]]] = MappingProxyType(
    {
        _S.CONNECTED: {_M.AUTH: _S.AUTHENTICATING, _M.END: _S.CLOSED},
        _S.AUTHENTICATING: {_M.VERIFIED: _S.OPENING, _M.END: _S.CLOSED},
        _S.OPENING: {
            _M.ATTACHED: _S.OPENING,
            _M.OPENED: _S.OPEN,
            _M.DETACHED: _S.OPENING,
            _M.END: _S.CLOSED,
        },
        _S.OPEN: {
            _M.AUTH: _S.OPEN,
            _M.VERIFIED: _S.OPEN,
            _M.CLOGGED: _S.PAUSED,
            _M.DETACHED: _S.REOPENING,
            _M.END: _S.CLOSED,
        },
        _S.REOPENING: {
            _M.AUTH: _S.REOPENING,
            _M.VERIFIED: _S.REOPENING,
            _M.ATTACHED: _S.REOPENING,
            _M.OPENED: _S.OPEN,
            _M.CLOGGED: _S.PAUSED,
            _M.DETACHED: _S.REOPENING,
            _M.END: _S.CLOSED,
        },
        _S.PAUSED: {
            _M.AUTH: _S.PAUSED,
            _M.VERIFIED: _S.PAUSED,
            _M.ATTACHED: _S.PAUSED,
            _M.OPENED: _S.PAUSED,
            _M.DRAINED: _S.REOPENING,
            _M.DETACHED: _S.PAUSED,
            _M.END: _S.CLOSED,
        },
        _S.CLOSED: {},
    }
)


def after(state: State, move: Move) -> State:
    """Return where a move leads.

    Raises:
        IllegalMoveError: The table has no such move of this state.
    """
    target = TABLE[state].get(move)
    if target is None:
        raise IllegalMoveError(state.name, move.name)
    return target
