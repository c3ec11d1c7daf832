"""What can go wrong, with the fields that a caller decides by.

    HarkaraClientError
    ├── EmitError                    one event was not answered OK
    │   ├── RefusedError             the service refused it: it would be the same again
    │   │   └── CredentialRefusedError   not this event was refused, but who sent it, or the call
    │   └── NotAnsweredError         nobody answered in time: it may be stored, and a retry is safe
    ├── EmitterClosedError           the emitter was used before it was entered, or after it was closed
    ├── StoppedError                 the server told the listener to stop
    ├── SubscriptionRefusedError     the listener goes on with what it was subscribed to
    └── GapError                     events were missed that the listener cannot bring any more

A wrong use of Python is a TypeError or a ValueError, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence


class HarkaraClientError(Exception):
    """Every error of this package."""


class EmitError(HarkaraClientError):
    """One event was not answered OK.

    Args:
        message: For people.
        event_id: The event's id: with it, an emit again is never a second event.
        may_be_stored: False where the event is certainly not stored.
    """

    def __init__(self, message: str, *, event_id: str, may_be_stored: bool) -> None:
        super().__init__(message)
        self.event_id = event_id
        self.may_be_stored = may_be_stored


class RefusedError(EmitError):
    """The event was refused, and would be again.

    Args:
        code: The name of the gRPC status, such as `INVALID_ARGUMENT`; docs/guarantees.md, G2.
        message: For people.
        event_id: As in `EmitError`.
        field: The field at fault, such as `data.items[0].price`; empty where no single one is.
        may_be_stored: True where an earlier try of the same event broke off, which may have stored it.
    """

    def __init__(
        self, code: str, message: str, *, event_id: str, field: str = "", may_be_stored: bool = False
    ) -> None:
        where = f"{field}: " if field else ""
        super().__init__(f"{code}: {where}{message}", event_id=event_id, may_be_stored=may_be_stored)
        self.code = code
        self.field = field
        self.message = message


class CredentialRefusedError(RefusedError):
    """The token or the whole call was refused; the event itself may be sound."""


class NotAnsweredError(EmitError):
    """No answer came in time. Emit again with the same `event_id`, or let it be.

    Args:
        seconds: How long it was tried.
        reason: What the last try came to.
        event_id: As in `EmitError`.
        may_be_stored: False where the event was never sent.
    """

    def __init__(self, seconds: float, reason: str, *, event_id: str, may_be_stored: bool) -> None:
        stored = "it may be stored" if may_be_stored else "it was never sent"
        super().__init__(
            f"not answered within {seconds:g} s, {stored}{f' ({reason})' if reason else ''}",
            event_id=event_id,
            may_be_stored=may_be_stored,
        )
        self.seconds = seconds
        self.reason = reason


class EmitterClosedError(HarkaraClientError):
    """The emitter is not open: use it inside of its `with`."""

    def __init__(self) -> None:
        super().__init__("the emitter is not open")


class StoppedError(HarkaraClientError):
    """The server said that coming again is of no use, or no token of ours is good.

    Args:
        code: The error's code, such as `forbidden`; docs/protocol.md. Empty where there was none.
        message: For people.
        close_code: How the connection ended; None where it was refused before it stood.
        events: The types at fault: those that the catalogue does not have, or that would be too many.
    """

    def __init__(
        self, code: str, message: str, *, close_code: int | None = None, events: Sequence[str] = ()
    ) -> None:
        closed = "" if close_code is None else f"closed with {close_code}: "
        super().__init__(f"{closed}{code}{': ' if code and message else ''}{message}")
        self.code = code
        self.message = message
        self.close_code = close_code
        self.events = tuple(events)


class SubscriptionRefusedError(HarkaraClientError):
    """What was to be subscribed to while the listener runs was refused; nothing has changed.

    Args:
        code: `unknown_event_type` or `too_many_subscriptions`; docs/protocol.md.
        message: For people.
        events: The types at fault: those that the catalogue does not have, or that would be too many.
    """

    def __init__(self, code: str, message: str, *, events: Sequence[str] = ()) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.events = tuple(events)


class GapError(HarkaraClientError):
    """Events were missed: the log cannot go back to where the listener was.

    The listener is connected all the same: iterating again goes on with what comes from now on.

    Args:
        asked_seq: The number after which it wanted to go on.
        seq: The number after which it goes on.
    """

    def __init__(self, asked_seq: int, seq: int) -> None:
        super().__init__(f"events after {asked_seq} cannot be had any more; what follows {seq} can")
        self.asked_seq = asked_seq
        self.seq = seq
