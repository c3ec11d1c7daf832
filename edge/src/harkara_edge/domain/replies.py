"""What the server says to a client, as JSON text (docs/protocol.md, "Messages")."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from harkara_catalogue.codes import ERROR_CODES

_encode = msgspec.json.Encoder().encode


class _Authenticated(msgspec.Struct, tag_field="type", tag="authenticated", omit_defaults=True):
    user_id: str
    user_role: str
    connection_id: str
    epoch: str
    seq: int
    heartbeat_interval: int
    expires_at: str
    recovered: bool | None = None


class _SubscriptionUpdated(msgspec.Struct, tag_field="type", tag="subscription_updated"):
    subscribed_events: tuple[str, ...]


class _HeartbeatAck(msgspec.Struct, tag_field="type", tag="heartbeat_ack"):
    timestamp: str
    seq: int


class _Error(msgspec.Struct, tag_field="type", tag="error", omit_defaults=True):
    code: str
    message: str
    events: Sequence[str] | None = None


def iso_time(wall: float) -> str:
    """Return a time as ISO 8601 in UTC, to the millisecond.

    Args:
        wall: Seconds since 1970; one past the year 9999 is shown as its end.
    """
    moment = datetime.fromtimestamp(min(wall, 253_402_300_799.0), UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def authenticated(  # noqa: PLR0913 - the message has that many fields.
    *,
    user_id: str,
    user_role: str,
    connection_id: str,
    epoch: str,
    seq: int,
    heartbeat_interval: int,
    expires_at: float,
    recovered: bool | None,
) -> bytes:
    """Return the answer to `auth`.

    Args:
        user_id: The user.
        user_role: As the users table has it.
        connection_id: This connection's name.
        epoch: The life of the log.
        seq: Where this connection stands.
        heartbeat_interval: Seconds.
        expires_at: Seconds since 1970.
        recovered: Whether a resume succeeded; None where none was asked for.
    """
    return _encode(
        _Authenticated(
            user_id,
            user_role,
            connection_id,
            epoch,
            seq,
            heartbeat_interval,
            iso_time(expires_at),
            recovered,
        )
    )


def subscription_updated(subscribed: tuple[str, ...]) -> bytes:
    """Return the answer to `subscribe` and `unsubscribe`.

    Args:
        subscribed: All that is now subscribed, in the order first asked.
    """
    return _encode(_SubscriptionUpdated(subscribed))


def heartbeat_ack(wall: float, seq: int) -> bytes:
    """Return the answer to `heartbeat`.

    Args:
        wall: The server's time, seconds since 1970.
        seq: This connection's position.
    """
    return _encode(_HeartbeatAck(iso_time(wall), seq))


def error(code: str, events: Sequence[str] | None = None) -> bytes:
    """Return an error.

    Args:
        code: One of the catalogue's.
        events: The event types at fault, where it is them.
    """
    return _encode(_Error(code, ERROR_CODES[code].meaning, events))
