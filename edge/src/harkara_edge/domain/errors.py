"""What can go wrong in an edge.

    EdgeError
    ├── IllegalMoveError           our fault: the state machine's table knows no such move
    ├── BadMessageError            the client's: text that is no message of the protocol
    └── VerificationError          a token did not turn into a user
        ├── TokenRefusedError      bad in whatever way; the client never learns in which
        ├── UserRefusedError       good, but its user is unknown, disabled or removed
        └── VerifierAwayError      nobody can say now

Codes and close codes are the catalogue's (`harkara_catalogue.codes`): a class names its error, the
table says what a client is told. What does not belong here: a close code, or a sentence for clients.
"""

from __future__ import annotations

from typing import ClassVar, Final

from harkara_catalogue.codes import ERROR_CODES

BAD_MESSAGE: Final = "bad_message"
FORBIDDEN: Final = "forbidden"
INTERNAL_ERROR: Final = "internal_error"
RATE_LIMITED: Final = "rate_limited"
SERVER_RESTARTING: Final = "server_restarting"
TIMEOUT: Final = "timeout"
TOKEN_EXPIRED: Final = "token_expired"  # noqa: S105 - no secret.
TOO_MANY_SUBSCRIPTIONS: Final = "too_many_subscriptions"
TRY_AGAIN_LATER: Final = "try_again_later"
UNAUTHENTICATED: Final = "unauthenticated"
UNKNOWN_EVENT_TYPE: Final = "unknown_event_type"

NOT_UTF8: Final = 1007
MESSAGE_TOO_BIG: Final = 1009
BINARY_FRAME: Final = 1003
"""Closes that no error frame precedes."""


def close_code_of(error_code: str) -> int:
    """Return the close code that follows an error which ends the connection.

    Args:
        error_code: One of the catalogue's that has a close code.

    Raises:
        ValueError: The error never ends a connection.
    """
    code = ERROR_CODES[error_code].close_code
    if code is None:
        message = f"{error_code} never ends a connection"
        raise ValueError(message)
    return code


class EdgeError(Exception):
    """The base of all of them."""


class IllegalMoveError(EdgeError):
    """The state machine was asked for a move that its table does not have.

    Args:
        state: Where it stands, and still does.
        move: What was asked for.
    """

    def __init__(self, state: str, move: str) -> None:
        self.state = state
        self.move = move
        super().__init__(f"{move} is no move of {state}")


class BadMessageError(EdgeError):
    """Text from a client that is no message of the protocol."""


class VerificationError(EdgeError):
    """A token did not turn into a user."""

    error_code: ClassVar[str] = TRY_AGAIN_LATER
    """What the client is told."""


class TokenRefusedError(VerificationError):
    """The token is bad, expired or stale."""

    error_code = UNAUTHENTICATED


class UserRefusedError(VerificationError):
    """The token is good, but its user is unknown, disabled or removed."""

    error_code = FORBIDDEN


class VerifierAwayError(VerificationError):
    """The auth-service is away, or has more to do than it can."""
