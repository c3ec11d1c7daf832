"""One connection of a listener: authenticate, subscribe, hear, beat, renew the token. docs/protocol.md.

It ends by an exception, whatever happens: `listener` knows what to do next, and keeps what outlives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.frames import Close

from harkara_client.errors import StoppedError, SubscriptionRefusedError
from harkara_client.received import Position
from harkara_client.tokens import TokenSource

OPEN_SECONDS: Final = 10.0
"""How long a connection may take to be made, and again to be answered."""

SILENT_INTERVALS: Final = 2.5
"""Each heartbeat is answered: silence for so many of them means that nobody is there."""

RENEW_SECONDS: Final = 60.0
"""So long before its end a token is renewed; of a short one, at half of its time."""

RENEW_GAP_SECONDS: Final = 2.0
"""Between two requests for a token there is at least so long, however wrong a clock is."""

WRONG_CLOCK_SECONDS: Final = 5.0
"""By how much a clock must be wrong to matter: what the server said was on its way for a while."""

_RETRY_SECONDS: Final = 10.0
_MAX_FRAME_BYTES: Final = 1024 * 1024
_REFUSALS: Final = frozenset({"unknown_event_type", "too_many_subscriptions"})
_RATE_LIMITED: Final = 4429
_log = logging.getLogger("harkara_client")


class Frame(msgspec.Struct, frozen=True):
    """Any message of the server; what it does not have is as by default."""

    type: str | None = None
    event_type: str | None = None
    event_level: str = ""
    event_id: str = ""
    timestamp: str = ""
    user_id: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    source: str = ""
    seq: int | None = None
    epoch: str = ""
    recovered: bool | None = None
    heartbeat_interval: float = 30.0
    expires_at: str = ""
    code: str = ""
    message: str = ""
    events: tuple[str, ...] = ()
    subscribed_events: tuple[str, ...] = ()


_DECODER: Final = msgspec.json.Decoder(Frame)


class ServerClock:
    """The server's time. By a clock that is wrong a token would seem to have ended, or to last, for hours."""

    def __init__(self) -> None:
        self.ahead = 0.0
        """By how many seconds it is ahead of the clock here."""

    def left(self, moment: float) -> float:
        """The seconds until a moment of the server's."""
        return moment - time.time() - self.ahead

    def learn(self, timestamp: str) -> bool:
        """Take what the server's time is now; whether that was news."""
        ahead = _moment(timestamp) - time.time()
        if abs(ahead - self.ahead) <= WRONG_CLOCK_SECONDS:
            return False
        self.ahead = ahead
        return True


class _Change(NamedTuple):
    """A change that was asked for, until its answer comes."""

    events: frozenset[str]
    answered: asyncio.Future[None]

    def answer(self, error: Exception | None) -> None:
        if self.answered.done():
            return  # Nobody waits for it any more.
        if error is None:
            self.answered.set_result(None)
        else:
            self.answered.set_exception(error)


class Connection:
    """See the module.

    Args:
        socket: Where the server is.
        tokens: Where tokens come from.
        token: The one to begin with.
        clock: What is known of the server's time.
        dealt_with: Says up to which number everything was dealt with; None where that is not known.
        hear: Takes each event, and each answer to a heartbeat; waits where there is no room.
    """

    def __init__(
        self,
        socket: ClientConnection,
        tokens: TokenSource,
        token: str,
        *,
        clock: ServerClock,
        dealt_with: Callable[[], int | None],
        hear: Callable[[Frame], Awaitable[None]],
    ) -> None:
        self._socket = socket
        self._tokens = tokens
        self._token = token
        self._clock = clock
        self._learned = asyncio.Event()
        self._dealt_with = dealt_with
        self._hear = hear
        self._interval = 30.0
        self._expires_at = 0.0
        self._renewed: asyncio.Future[bool] | None = None
        self._changes: deque[_Change] = deque()
        self.events: tuple[str, ...] = ()
        """What it is subscribed to: what the server has confirmed."""
        self.last_error = ("", "")

    async def authenticate(
        self, resume: Position | None, device_id: str | None, events: Sequence[str]
    ) -> Frame:
        """Say who we are and where to go on; the server's answer.

        Args:
            resume: Where to go on.
            device_id: The server's memory, where there is no `resume`.
            events: What to subscribe to.
        """
        auth: dict[str, object] = {"type": "auth", "token": self._token}
        if device_id is not None:
            auth["device_id"] = device_id
        if resume is not None:
            auth["resume"] = {"epoch": resume.epoch, "seq": resume.seq, "events": list(events)}
        elif device_id is not None:
            auth["resume"] = {"events": list(events)}
        await self._send(auth)
        async with asyncio.timeout(OPEN_SECONDS):
            frame = await self._next_of("authenticated")
            self._interval = heartbeat_seconds(frame)
            self._expires_at = _moment(frame.expires_at)
            if "resume" not in auth:
                await self._send({"type": "subscribe", "events": list(events)})
                await self._next_of("subscription_updated")
        self.events = tuple(events)
        return frame

    async def change(self, kind: Literal["subscribe", "unsubscribe"], events: Sequence[str]) -> None:
        """Take types on or off, while `hear_all` runs; returns when the server has.

        Raises:
            SubscriptionRefusedError: It refused.
            ConnectionClosed: The connection ended before it answered.
        """
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changes.append(_Change(frozenset(events), answered))
        with contextlib.suppress(ConnectionClosed):  # `hear_all` says so, once it has ended.
            await self._send({"type": kind, "events": list(events)})
        await answered

    async def _next_of(self, kind: str) -> Frame:
        while True:
            frame = await self._receive()
            if frame.type == kind:
                return frame
            self._note(frame)

    async def hear_all(self) -> None:
        """Hear until the connection ends.

        Raises:
            ConnectionClosed: It ended.
            TimeoutError: Nothing was heard for too long.
            StoppedError: The server does not know what the connection began with.
        """
        helpers = [asyncio.create_task(self._beat())]
        if self._tokens.can_renew:
            helpers.append(asyncio.create_task(self._renew()))
        try:
            while True:
                async with asyncio.timeout(self._interval * SILENT_INTERVALS):
                    frame = await self._receive()
                if frame.event_type is not None or frame.type == "heartbeat_ack":
                    await self._take(frame)
                elif frame.type == "authenticated":
                    self._expires_at = _moment(frame.expires_at)
                    self._answer_renewal(good=True)
                elif frame.type == "subscription_updated":
                    self.events = frame.subscribed_events
                    if self._changes:  # These answers come in the order of the questions.
                        self._changes.popleft().answer(None)
                else:
                    self._note(frame)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            # Last: whoever waits must not find this connection again.
            for change in self._changes:
                change.answer(ConnectionClosedError(None, None))

    async def _take(self, frame: Frame) -> None:
        if frame.type == "heartbeat_ack" and frame.timestamp and self._clock.learn(frame.timestamp):
            self._learned.set()
        await self._hear(frame)

    def _note(self, frame: Frame) -> None:
        """Take an error.

        Raises:
            ConnectionClosedError: Too much was sent; as if the server had ended the connection.
            StoppedError: The server does not know what the connection began with.
        """
        if frame.type != "error":
            return
        if frame.code in _REFUSALS:
            for change in self._changes:
                # A refusal may overtake what was asked before: it belongs to who asked for these types.
                if change.events.issuperset(frame.events):
                    self._changes.remove(change)
                    change.answer(SubscriptionRefusedError(frame.code, frame.message, events=frame.events))
                    return
            raise StoppedError(frame.code, frame.message, events=frame.events)
        self.last_error = (frame.code, frame.message)
        if frame.code == "try_again_later":
            self._answer_renewal(good=False)
        _log.warning("the server says %s: %s", frame.code, frame.message)
        if frame.code == "rate_limited":
            # Which message had no effect is not said; the next connection is told everything anew.
            raise ConnectionClosedError(Close(_RATE_LIMITED, frame.code), None)

    def _answer_renewal(self, *, good: bool) -> None:
        if self._renewed is not None and not self._renewed.done():
            self._renewed.set_result(good)

    async def acknowledge(self) -> None:
        """Say what was dealt with, outside of a heartbeat."""
        if (seq := self._dealt_with()) is not None:
            await self._send({"type": "ack", "seq": seq})

    async def _beat(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self._interval)
                beat: dict[str, object] = {"type": "heartbeat"}
                if (seq := self._dealt_with()) is not None:
                    beat["ack"] = seq
                await self._send(beat)

    async def _renew(self) -> None:
        """Give the server a new token before the one it has ends."""
        with contextlib.suppress(ConnectionClosed):
            wait = self._until_renewal()
            while True:
                try:
                    async with asyncio.timeout(wait):
                        await self._learned.wait()
                except TimeoutError:
                    if await self._renew_once():
                        wait = self._until_renewal()
                    else:
                        wait = min(_RETRY_SECONDS, self._clock.left(self._expires_at) / 4)
                else:
                    self._learned.clear()
                    wait = self._until_renewal()
                wait = max(wait, RENEW_GAP_SECONDS)

    def _until_renewal(self) -> float:
        left = self._clock.left(self._expires_at)
        return left - min(RENEW_SECONDS, left / 2)

    async def _renew_once(self) -> bool:
        try:
            token = await self._tokens.get()
        except Exception:  # noqa: BLE001 - a caller's function may raise anything.
            _log.warning("no new token")
            return False
        if token == self._token:
            return False
        self._renewed = asyncio.get_running_loop().create_future()
        await self._send({"type": "auth", "token": token})
        self._token = token
        return await self._renewed

    async def _send(self, message: dict[str, object]) -> None:
        await self._socket.send(json.dumps(message, separators=(",", ":")))

    async def _receive(self) -> Frame:
        return _DECODER.decode(await self._socket.recv(decode=False))


def open_socket(url: str) -> connect:
    """Connect as docs/protocol.md says: no compression, heartbeats of the protocol's own, no proxy."""
    return connect(
        url,
        compression=None,
        ping_interval=None,
        open_timeout=OPEN_SECONDS,
        close_timeout=2,
        max_size=_MAX_FRAME_BYTES,
        proxy=None,
    )


def heartbeat_seconds(authenticated: Frame) -> float:
    """How often the server wants to hear of us."""
    return authenticated.heartbeat_interval


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
