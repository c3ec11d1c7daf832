"""One connection's life, from its first message to its close: the client protocol.

Messages of the client and answers of the auth-service and the event-service go in; what is to be done
comes out, in order (`commands.Effect`). Nothing here waits, reads a clock or touches a socket. `states`
has the table and the theory; a move that it does not have raises and changes nothing.

- `attached` says whether the cursor's `Open` went out on the Attach stream of now. Without it nothing
  is sent; the next `Open` says everything that was wanted meanwhile.
- A message that has to wait (behind an `auth` that is being verified, or behind too many changes that
  the event-service has not answered) holds those after it; `holding` asks the socket to read no more,
  so no more is ever held than one read brings.
- A change of the subscription is in force when the event-service says so, in stream order: by
  `Subscribed`, or by the `Opened` of an `Open` that already named the new types.

What does not belong here: frames, the transport, who else is connected.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from harkara_edge.domain import errors, messages, replies
from harkara_edge.domain.commands import (
    Acknowledge,
    AddTypes,
    CloseCursor,
    DisconnectReason,
    Effect,
    End,
    Moment,
    OpenCursor,
    Principal,
    RemoveTypes,
    Reply,
    RevocationReason,
    Verify,
)
from harkara_edge.domain.errors import BadMessageError, IllegalMoveError
from harkara_edge.domain.limits import MAX_TOKEN_BYTES, MAX_UNANSWERED, Limits, SlidingCount
from harkara_edge.domain.returning import Return, read_return
from harkara_edge.domain.states import Move, State, after
from harkara_edge.domain.subscription import Subscription, Types

ALL_TYPES: Final = "*"


REFRESH_GRACE_SECONDS: Final = 3.0
"""How long past its token's end a session waits for the answer to a new `auth`."""

_STANDING: Final = frozenset({State.OPEN, State.REOPENING, State.PAUSED})
"""The client has been told `authenticated`."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What all sessions of a worker have in common.

    Args:
        limits: Rates, sizes and times.
        types: The catalogue's event types.
    """

    limits: Limits
    types: AbstractSet[str]


class Session:
    """One connection.

    Args:
        rules: The worker's.
        at: Now.
    """

    # One for each connection, a hundred thousand of them: no __dict__, and rare things are made when
    # they are needed.
    __slots__ = (
        "_acked",
        "_bad_times",
        "_connection_id",
        "_device_id",
        "_epoch",
        "_expires_at",
        "_held",
        "_rate",
        "_return",
        "_rules",
        "_since",
        "_verifying",
        "_wanted_id",
        "_wanted_role",
        "_warned",
        "attached",
        "generation",
        "last_heard",
        "number",
        "position",
        "state",
        "subscription",
        "user_id",
        "user_role",
        "version",
    )

    def __init__(self, rules: Rules, at: Moment) -> None:
        self._rules = rules
        self.state = State.CONNECTED
        self.number = 0
        """What the event-service knows this connection by; 0 before it was verified."""
        self.generation = 0
        self.attached = False
        self.position = 0
        """The last seq written; the one field that others write, at each delivery."""
        self.subscription = Subscription()
        self.user_id = ""
        self.user_role = ""
        self.version = 0
        """The last change of users that this session's verification knew of."""
        self.last_heard = at.monotonic
        """When the last frame came; written by the socket."""
        self._since = at.monotonic
        self._rate: SlidingCount | None = None
        self._warned = False
        self._bad_times: tuple[float, ...] = ()
        self._held: deque[str] | None = None
        self._verifying = False
        self._wanted_id: str | None = None
        self._wanted_role: str | None = None
        self._return: Return | None = None
        self._device_id = ""
        self._connection_id = ""
        self._epoch = ""
        self._expires_at = 0.0
        self._acked = 0

    # What others may ask.

    @property
    def holding(self) -> bool:
        """Whether nothing more may be read from the client for now."""
        return (
            self._verifying or self.state is State.OPENING or self.subscription.unanswered >= MAX_UNANSWERED
        )

    @property
    def connection_id(self) -> str:
        """The connection's name for its client; empty before it was verified."""
        return self._connection_id

    @property
    def standing(self) -> bool:
        """Whether the client was told `authenticated`, and not yet to go."""
        return self.state in _STANDING

    # What a client says.

    def receive(self, text: str, at: Moment) -> list[Effect]:
        """Take a message from the client.

        Args:
            text: Its text; of bounded size.
            at: Now.
        """
        if self.state is State.CLOSED:
            return []
        if self.holding:
            if self._held is None:
                self._held = deque()
            self._held.append(text)
            return []
        return self._handle(text, at)

    def _handle(self, text: str, at: Moment) -> list[Effect]:
        limits = self._rules.limits
        if self._rate is None:
            self._rate = SlidingCount(at.monotonic, limits.window_seconds)
        if not self._rate.add(at.monotonic, limits.max_messages):
            if self._warned:
                return self.end(errors.RATE_LIMITED)
            self._warned = True
            return [Reply(replies.error(errors.RATE_LIMITED))]
        try:
            message = messages.parse(text)
        except BadMessageError:
            return self._bad_message(at)
        return self._obey(message, at)

    def _obey(self, message: messages.Message, at: Moment) -> list[Effect]:
        if isinstance(message, messages.Auth):
            return self._auth(message)
        if self.state is State.CONNECTED:
            return self.end(errors.UNAUTHENTICATED)
        if isinstance(message, messages.Subscribe):
            return self._subscribe(message.events)
        if isinstance(message, messages.Unsubscribe):
            return self._unsubscribe(message.events)
        if isinstance(message, messages.Ack):
            return self._acknowledge(message.seq)
        acknowledged = [] if message.ack is None else self._acknowledge(message.ack)
        return [*acknowledged, Reply(replies.heartbeat_ack(at.wall, self.position))]

    def _bad_message(self, at: Moment) -> list[Effect]:
        limits = self._rules.limits
        since = at.monotonic - limits.bad_message_seconds
        self._bad_times = (*(time for time in self._bad_times if time > since), at.monotonic)
        if len(self._bad_times) >= limits.bad_messages:
            return self.end(errors.BAD_MESSAGE)
        return [Reply(replies.error(errors.BAD_MESSAGE))]

    def _auth(self, message: messages.Auth) -> list[Effect]:
        token = message.token
        if not token or len(token) > MAX_TOKEN_BYTES:
            return self.end(errors.UNAUTHENTICATED)
        first = self.state is State.CONNECTED
        self._move(Move.AUTH)
        self._verifying = True
        self._wanted_id, self._wanted_role = message.user_id, message.user_role
        if first:
            self._device_id = messages.read_device_id(message.device_id)
            if message.resume is not None:
                most = self._rules.limits.max_subscriptions
                self._return = read_return(message.resume, self._device_id, self._is_known, most)
                self.subscription.types = self._return.types
        return [Verify(token)]

    def _acknowledge(self, seq: int) -> list[Effect]:
        seq = min(seq, self.position)
        if not self._device_id or seq <= self._acked:
            return []
        self._acked = seq
        # Without a stream it is told when the next cursor stands.
        return [Acknowledge(seq)] if self.attached else []

    def _subscribe(self, events: list[str]) -> list[Effect]:
        unknown = [name for name in dict.fromkeys(events) if not self._is_known(name)]
        if unknown:
            return [Reply(replies.error(errors.UNKNOWN_EVENT_TYPE, unknown))]
        wanted = self.subscription.with_added(events)
        if len(wanted) > self._rules.limits.max_subscriptions:
            added = wanted[len(self.subscription.types) :]
            return [Reply(replies.error(errors.TOO_MANY_SUBSCRIPTIONS, added))]
        return self._change(*self.subscription.add(events))

    def _unsubscribe(self, events: list[str]) -> list[Effect]:
        # What is not subscribed, an unknown type included, is no error.
        return self._change(*self.subscription.remove(events))

    def _change(self, command: AddTypes | RemoveTypes | None, answers: list[Types]) -> list[Effect]:
        effects = _updates(answers)
        if command is not None and self.attached:
            effects.append(command)
        return effects

    def _is_known(self, name: str) -> bool:
        return name == ALL_TYPES or name in self._rules.types

    # What the auth-service says.

    def verified(
        self, principal: Principal, *, number: int, connection_id: str, attached: bool, at: Moment
    ) -> list[Effect]:
        """Take whom the token speaks for.

        Args:
            principal: Whom.
            number: The connection's number for the event-service, in case this is its first `auth`.
            connection_id: Likewise its name for the client.
            attached: Whether there is an Attach stream now.
            at: Now.
        """
        self._answered()
        same_user = self._wanted_id in {None, principal.user_id} and self.user_id in {"", principal.user_id}
        if not same_user or self._wanted_role not in {None, principal.role}:
            return self.end(errors.FORBIDDEN)
        if self.standing:
            self._move(Move.VERIFIED)
            self._know(principal)
            return [Reply(self._authenticated(recovered=None)), *self._release(at)]
        self._move(Move.VERIFIED)
        self._know(principal)
        self.number = number
        self._connection_id = connection_id
        self._since = at.monotonic
        return self.attach() if attached else []

    def refused(self, error_code: str, at: Moment) -> list[Effect]:
        """Take that the token did not turn into a user.

        Args:
            error_code: What the client is told.
            at: Now.
        """
        self._answered()
        if self.standing and error_code == errors.TRY_AGAIN_LATER:
            # Nobody refused it: the connection stays until its own token ends (docs/guarantees.md).
            return [Reply(replies.error(error_code)), *self._release(at)]
        return self.end(error_code)

    def revoked(self, reason: RevocationReason) -> list[Effect]:
        """Take that the user's token is no longer good."""
        role_changed = reason is RevocationReason.ROLE_CHANGED
        return self.end(errors.UNAUTHENTICATED if role_changed else errors.FORBIDDEN)

    def _answered(self) -> None:
        if not self._verifying:
            raise IllegalMoveError(self.state.name, Move.VERIFIED.name)
        self._verifying = False

    def _know(self, principal: Principal) -> None:
        self.user_id, self.user_role = principal.user_id, principal.role
        self.version = principal.version
        self._expires_at = principal.expires_at
        self._wanted_id = self._wanted_role = None

    def _authenticated(self, *, recovered: bool | None) -> bytes:
        return replies.authenticated(
            user_id=self.user_id,
            user_role=self.user_role,
            connection_id=self._connection_id,
            epoch=self._epoch,
            seq=self.position,
            heartbeat_interval=self._rules.limits.heartbeat_interval_seconds,
            expires_at=self._expires_at,
            recovered=recovered,
        )

    # What happens to the cursor.

    @property
    def wants_cursor(self) -> bool:
        """Whether this session has, or should have, a cursor on the Attach stream."""
        return self.state is State.OPENING or self.state in _STANDING

    def attach(self) -> list[Effect]:
        """Start the cursor on the Attach stream of now. Only where `wants_cursor`."""
        self._move(Move.ATTACHED)
        first = self.state is State.OPENING
        back = self._return if first else None
        self.attached = True
        self.generation += 1
        return [
            OpenCursor(
                generation=self.generation,
                after_seq=None if first else self.position,
                epoch="" if first else self._epoch,
                types=self.subscription.carry(),
                resume=back.point if back else None,
                paused=self.state is State.PAUSED,
                device_id=self._device_id,
                from_device=back.from_device if back else False,
            )
        ]

    def detached(self) -> None:
        """Take that the Attach stream is gone."""
        self._move(Move.DETACHED)
        self.attached = False

    def opened(self, *, generation: int, epoch: str, seq: int, recovered: bool, at: Moment) -> list[Effect]:
        """Take that a cursor stands.

        Args:
            generation: Which one; another than the current is ignored, and so is a second answer.
            epoch: The life of the log.
            seq: Where it starts.
            recovered: Whether a resume succeeded.
            at: Now.
        """
        if generation != self.generation or not self.attached or self.state is State.OPEN:
            return []
        if self.state is State.OPENING:
            self._move(Move.OPENED)
            self.position = seq
            self._epoch = epoch
            back, self._return = self._return, None
            effects: list[Effect] = [Reply(self._authenticated(recovered=recovered if back else None))]
            if back:
                effects += [Reply(fault) for fault in back.faults()]
            return effects + self._release(at)
        if seq != self.position or epoch != self._epoch:
            # Not where it was asked to start: whatever lies between would be missing or come twice.
            # The client resumes from what it saw.
            return self.end(errors.SERVER_RESTARTING)
        self._move(Move.OPENED)
        held = self.holding
        effects = _updates(self.subscription.carried())
        if self._acked:
            # The former stream may have been lost with what it was told, or there was none.
            effects.append(Acknowledge(self._acked))
        return effects + self._release(at) if held else effects

    def types_changed(self, change: int, at: Moment) -> list[Effect]:
        """Take that a change of the subscription is in force.

        Args:
            change: Which one; all before it are too.
            at: Now.
        """
        if self.state is State.CLOSED:
            return []
        held = self.holding
        effects = _updates(self.subscription.in_force(change))
        return effects + self._release(at) if held else effects

    def advanced(self, seq: int) -> None:
        """Take that the cursor passed events that were not for this client."""
        if self.state is State.OPEN and seq > self.position:
            self.position = seq

    def disconnected(self, generation: int, reason: DisconnectReason) -> list[Effect]:
        """Take that the event-service ends the session.

        Args:
            generation: Of which cursor; another than the current is ignored.
            reason: Why.
        """
        if generation != self.generation or not self.attached or self.state is State.CLOSED:
            return []
        self.attached = False
        return self.end(
            {
                DisconnectReason.TOO_MANY_CONNECTIONS: errors.RATE_LIMITED,
                DisconnectReason.RESUME_LOST: errors.SERVER_RESTARTING,
                DisconnectReason.UNAVAILABLE: errors.TRY_AGAIN_LATER,
            }[reason]
        )

    def clogged(self) -> list[Effect]:
        """Take that the socket holds more unsent bytes than it may."""
        self._move(Move.CLOGGED)
        return self.attach() if self.attached else []

    def drained(self) -> list[Effect]:
        """Take that the socket sent all it held."""
        self._move(Move.DRAINED)
        return self.attach() if self.attached else []

    # Time, and the end.

    def next_deadline(self, at: Moment) -> float:
        """Return when `due` has to be asked, at the latest; seconds of the monotonic clock."""
        limits = self._rules.limits
        if self.state is State.CONNECTED:
            return self._since + limits.auth_seconds
        if self.state is State.OPENING:
            return self._since + (limits.open_seconds_attached if self.attached else limits.open_seconds)
        # Held, the client cannot be heard; so its silence is counted from when it can.
        silence = (at.monotonic if self.holding else self.last_heard) + limits.silence_seconds
        if self.state in _STANDING:
            return min(silence, at.monotonic + self._stays_until() - at.wall)
        return silence

    def _stays_until(self) -> float:
        """Until when the token keeps the session, by the wall clock.

        An `auth` whose answer is under way gets a little longer, whatever keeps the answer away: the
        session must be gone 5 s after its token's end (docs/guarantees.md G8).
        """
        return self._expires_at + (REFRESH_GRACE_SECONDS if self._verifying else 0.0)

    def due(self, at: Moment) -> list[Effect]:
        """End the session if a deadline has passed.

        Args:
            at: Now.
        """
        limits = self._rules.limits
        now = at.monotonic
        if self.state is State.CONNECTED:
            return self.end(errors.TIMEOUT) if now >= self._since + limits.auth_seconds else []
        if self.state is State.OPENING:
            return self.end(errors.TRY_AGAIN_LATER) if now >= self.next_deadline(at) else []
        if self.state not in _STANDING:
            return []
        if at.wall >= self._stays_until():
            return self.end(errors.TOKEN_EXPIRED)
        if not self.holding and now >= self.last_heard + limits.silence_seconds:
            return self.end(errors.TIMEOUT)
        return []

    def gone(self) -> list[Effect]:
        """Take that the connection is closing or lost: nothing more can be told to its client."""
        if self.state is State.CLOSED:
            return []
        return self._close()

    def end(self, error_code: str) -> list[Effect]:
        """End the session, telling the client why.

        Args:
            error_code: One of the catalogue's that has a close code.
        """
        return [Reply(replies.error(error_code)), *self._close(), End(errors.close_code_of(error_code))]

    def _close(self) -> list[Effect]:
        self._move(Move.END)
        attached, self.attached = self.attached, False
        self._held = None
        self.subscription.forget()
        self._verifying = False
        return [CloseCursor()] if attached else []

    def _release(self, at: Moment) -> list[Effect]:
        """Handle what was held, as far as nothing holds it again; the client can be heard from now on."""
        self.last_heard = max(self.last_heard, at.monotonic)
        effects: list[Effect] = []
        while self._held and not self.holding:
            effects += self._handle(self._held.popleft(), at)
        if not self._held:
            self._held = None
        return effects

    def _move(self, move: Move) -> None:
        self.state = after(self.state, move)


def _updates(answers: list[Types]) -> list[Effect]:
    return [Reply(replies.subscription_updated(types)) for types in answers]
