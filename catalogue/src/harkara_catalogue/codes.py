"""Every error and every close of a connection, once, as data.

`CLOSE_CODES` says how a connection ends and what its client does then. `ERROR_CODES` says, for each
error of the mesh, how it is told on each way out: the gRPC status, the `code` of a WebSocket error
frame with the close that follows it, the HTTP status and the `code` of a REST failure. A handler names
the error and never picks a status. The edge, the clients and the docs are driven by these tables
(docs/protocol.md, "Errors and closes").

Statuses are names ("INVALID_ARGUMENT") and numbers, so that this package needs neither gRPC nor HTTP.

What does not belong here: what raises an error, and its message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ClientAction(StrEnum):
    """What a client does after a close."""

    STOP = "stop"
    """Not connect again by itself: the fault would be the same."""

    BACK_OFF = "back off"
    """Reconnect after a growing, random wait, and resume."""

    RECONNECT = "reconnect, resume"
    """Reconnect at once, and resume."""

    RECONNECT_SPREAD = "reconnect after a random 0–5 s, resume"
    """Reconnect after a random wait, so that not all come at once, and resume."""

    NEW_TOKEN = "new token, then reconnect"  # noqa: S105 - no secret.
    """Fetch a new token, then reconnect and resume."""


@dataclass(frozen=True, slots=True)
class CloseCode:
    """One way for a connection to end.

    Args:
        close_code: The number in the close frame.
        error_code: The code of the error frame sent before it; None where none is.
        when: What brings it about.
        client: What the client does then.
    """

    close_code: int
    error_code: str | None
    when: str
    client: ClientAction


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCode:
    """One error, and how it is told on each way out.

    Args:
        code: Its name; `code` in a WebSocket error frame and in a REST failure.
        meaning: What is wrong.
        stays_open: Whether its error frame may stand alone, without a close behind it.
        close_code: The close that follows its error frame; None where none ever does. With `stays_open`:
            the first ones stand alone (docs/protocol.md says which).
        grpc_status: The name of the gRPC status; None where no RPC answers with this error.
        http_status: The HTTP status, of REST or of a refused handshake; None where there is none.
    """

    code: str
    meaning: str
    stays_open: bool = False
    close_code: int | None = None
    grpc_status: str | None = None
    http_status: int | None = None

    @property
    def on_websocket(self) -> bool:
        """Whether clients of the WebSocket can be told this error."""
        return self.stays_open or self.close_code is not None


CLOSE_CODES: Final[Mapping[int, CloseCode]] = MappingProxyType(
    {
        close.close_code: close
        for close in (
            CloseCode(1000, None, "client closed", ClientAction.STOP),
            CloseCode(1002, None, "broken frame", ClientAction.STOP),
            CloseCode(1003, None, "binary frame", ClientAction.STOP),
            CloseCode(1007, None, "not UTF-8", ClientAction.STOP),
            CloseCode(1009, None, "message over 64 KiB; no error frame precedes it", ClientAction.STOP),
            CloseCode(1011, "internal_error", "our fault", ClientAction.BACK_OFF),
            CloseCode(1012, "server_restarting", "drain", ClientAction.RECONNECT_SPREAD),
            CloseCode(
                1013,
                "try_again_later",
                "auth-service or event-service unreachable, or over capacity",
                ClientAction.BACK_OFF,
            ),
            CloseCode(
                4400,
                "bad_message",
                "not JSON, no `type`, wrong field types; third within a minute",
                ClientAction.STOP,
            ),
            CloseCode(
                4401,
                "unauthenticated",
                "bad, expired, stale, missing token; a message before any `auth`",
                ClientAction.NEW_TOKEN,
            ),
            CloseCode(
                4402, "token_expired", "`expires_at` passed without a new `auth`", ClientAction.NEW_TOKEN
            ),
            CloseCode(
                4403,
                "forbidden",
                "the message's `user_id` or `user_role` is not this user's; user unknown, disabled or "
                "removed",
                ClientAction.STOP,
            ),
            CloseCode(
                4408,
                "timeout",
                "no `auth` in 10 s, no frame of any kind (ping and pong included) for 75 s, or a slow reader "
                "made no progress for 60 s",
                ClientAction.RECONNECT,
            ),
            CloseCode(
                4429,
                "rate_limited",
                "more than 20 messages/s over 10 s, or too many connections for a user",
                ClientAction.BACK_OFF,
            ),
        )
    }
)
"""How a connection ends, by the number in its close frame."""


ERROR_CODES: Final[Mapping[str, ErrorCode]] = MappingProxyType(
    {
        error.code: error
        for error in (
            ErrorCode(
                code="bad_message",
                meaning="the message is not JSON, has no `type`, or a field of it has the wrong type",
                stays_open=True,
                close_code=4400,
            ),
            ErrorCode(
                code="unknown_event_type",
                meaning="the catalogue has no such event type",
                stays_open=True,
                grpc_status="INVALID_ARGUMENT",
                http_status=422,
            ),
            ErrorCode(
                code="too_many_subscriptions",
                meaning="the connection would be subscribed to more than 200 entries",
                stays_open=True,
            ),
            ErrorCode(
                code="rate_limited",
                meaning="too many messages, requests or connections",
                stays_open=True,
                close_code=4429,
                grpc_status="RESOURCE_EXHAUSTED",
                http_status=429,
            ),
            ErrorCode(
                code="unauthenticated",
                meaning="the token is missing, bad, expired or stale; which of these is not told",
                close_code=4401,
                grpc_status="UNAUTHENTICATED",
                http_status=401,
            ),
            ErrorCode(
                code="token_expired",
                meaning="the token of this connection ran out and no new one came",
                close_code=4402,
            ),
            ErrorCode(
                code="forbidden",
                meaning="the token is good, but not for this",
                close_code=4403,
                grpc_status="PERMISSION_DENIED",
                http_status=403,
            ),
            ErrorCode(
                code="timeout",
                meaning="the client was silent, or did not read, for too long",
                close_code=4408,
            ),
            ErrorCode(
                code="server_restarting",
                meaning="this server is about to stop; another one is there",
                close_code=1012,
                grpc_status="UNAVAILABLE",
                http_status=503,
            ),
            ErrorCode(
                code="try_again_later",
                meaning="something that this needs is away or over capacity",
                stays_open=True,
                close_code=1013,
                grpc_status="UNAVAILABLE",
                http_status=503,
            ),
            ErrorCode(
                code="internal_error",
                meaning="a fault of the server",
                close_code=1011,
                grpc_status="INTERNAL",
                http_status=500,
            ),
            ErrorCode(
                code="invalid_argument",
                meaning="a field or a parameter is missing, malformed or out of range",
                grpc_status="INVALID_ARGUMENT",
                http_status=422,
            ),
            ErrorCode(
                code="not_found",
                meaning="there is no such thing, or it is not yours to see",
                grpc_status="NOT_FOUND",
                http_status=404,
            ),
            ErrorCode(
                code="method_not_allowed",
                meaning="the path is there, but not for this HTTP method",
                http_status=405,
            ),
            ErrorCode(
                code="already_exists",
                meaning="the event_id is stored with other content",
                grpc_status="ALREADY_EXISTS",
            ),
            ErrorCode(
                code="unimplemented",
                meaning="a part of the contract that is not built yet",
                grpc_status="UNIMPLEMENTED",
            ),
            ErrorCode(
                code="overloaded",
                meaning="more than can be taken now; an event may have been stored",
                grpc_status="RESOURCE_EXHAUSTED",
                http_status=503,
            ),
            ErrorCode(
                code="aborted",
                meaning="a conflict with another writer; an event may have been stored",
                grpc_status="ABORTED",
            ),
            ErrorCode(
                code="deadline_exceeded",
                meaning="not done in time; an event may have been stored",
                grpc_status="DEADLINE_EXCEEDED",
                http_status=504,
            ),
        )
    }
)
"""Every error, by its code."""


GRPC_STATUS_NUMBERS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "OK": 0,
        "CANCELLED": 1,
        "UNKNOWN": 2,
        "INVALID_ARGUMENT": 3,
        "DEADLINE_EXCEEDED": 4,
        "NOT_FOUND": 5,
        "ALREADY_EXISTS": 6,
        "PERMISSION_DENIED": 7,
        "RESOURCE_EXHAUSTED": 8,
        "FAILED_PRECONDITION": 9,
        "ABORTED": 10,
        "OUT_OF_RANGE": 11,
        "UNIMPLEMENTED": 12,
        "INTERNAL": 13,
        "UNAVAILABLE": 14,
        "DATA_LOSS": 15,
        "UNAUTHENTICATED": 16,
    }
)
"""The number of each gRPC status (google.rpc.Code), as it stands in an `EmitError`."""
