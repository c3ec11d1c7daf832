"""Hears one user's events: connects, comes back after a loss, goes on where it was.

It hears ahead of whoever iterates, up to a bound; past that it reads no more, and the server waits: a slow
reader loses nothing. After a loss it goes on behind the last event it *heard*. What it tells the server and
the application (`position`, acknowledgements) is what was *dealt with*: an event is, once the next one is
asked for, or `async with` is left in order.

What does not belong here: what one connection says (`connection`), what a close means (`closing`).
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Final, Literal, Self

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from harkara_client.backoff import Backoff
from harkara_client.closing import SPREAD_SECONDS, After, after_close
from harkara_client.connection import Connection, Frame, ServerClock, open_socket
from harkara_client.errors import GapError, HarkaraClientError, StoppedError
from harkara_client.received import Event, Gap, Position
from harkara_client.tokens import Token, TokenSource

STEADY_SECONDS: Final = 5.0
"""A connection that stood for so long was good: the next one may come at once."""

REMEMBERED_IDS: Final = 1_000
"""So many `event_id`s are remembered, to leave out what comes twice."""

_WRONG_ADDRESS: Final = frozenset({400, 403, 404, 405, 426, 431})
_log = logging.getLogger("harkara_client")


class Listener:
    """An async iterator of one user's events, inside of its `async with`.

    Entering waits until the subscription stands, however often it has to be tried: put `asyncio.timeout`
    around it for less. Iterating raises `StoppedError` where the server says that coming again is of no
    use.

    Args:
        url: The WebSocket's, such as `ws://127.0.0.1:8080/api/websocket/ws`.
        token: The user's token, or where to get one; see `Token`. One that can be renewed is, before it ends.
        events: The types to hear; `*` for all. `subscribe` and `unsubscribe` change them later.
        position: Where to go on; None for what comes from now on.
        device_id: Have the server remember for this name what was dealt with, instead of a `position`.
        on_gap: Told, in its place among the events, that events were missed; may be async. Without it,
            iterating raises `GapError` there, once.
        max_ahead: How many events it hears ahead of whoever iterates.
        backoff: How long it waits between tries.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token,
        events: Sequence[str] = ("*",),
        position: Position | None = None,
        device_id: str | None = None,
        on_gap: Callable[[Gap], Awaitable[None] | None] | None = None,
        max_ahead: int = 256,
        backoff: Backoff | None = None,
    ) -> None:
        if isinstance(events, str):
            raise TypeError("events: a sequence of names, not one text")
        self._url = url
        self._tokens = TokenSource(token)
        self._clock = ServerClock()
        self._events = tuple(events)
        self._device_id = device_id
        self._on_gap = on_gap
        self._max_ahead = max_ahead
        self._backoff = backoff or Backoff()
        self._dealt_with = position
        self._heard = position
        self._handed: Position | None = None
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._ahead: deque[Event | Gap | Position] = deque()
        self._changed = asyncio.Condition()
        self._changing = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None
        self._stands = asyncio.Event()
        self._end: HarkaraClientError | None = None
        self._connection: Connection | None = None
        self._refused_token: str | None = None

    @property
    def position(self) -> Position | None:
        """Up to where everything was dealt with; None before the first connection.

        May be set before entering.
        """
        return self._dealt_with

    @position.setter
    def position(self, position: Position | None) -> None:
        if self._running is not None:
            raise RuntimeError("the position of a listener that runs is its own: set it before")
        self._dealt_with = self._heard = position

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run(), name="harkara-listener")
        standing = asyncio.create_task(self._stands.wait())
        try:
            await asyncio.wait([self._running, standing], return_when=asyncio.FIRST_COMPLETED)
            if self._running.done():
                self._running.result()
                if self._end is not None:
                    raise self._end
        except BaseException:
            await self._stop()
            raise
        finally:
            standing.cancel()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._settle()
        await self.close()

    @property
    def events(self) -> tuple[str, ...]:
        """The types that it hears: those that the server has confirmed."""
        return self._events if self._connection is None else self._connection.events

    async def subscribe(self, *events: str) -> None:
        """Hear these types too; no event stored after this returns is missed.

        While the connection is lost it waits for the next one. Cancelled, it may have been done nevertheless.
        Each call is a message, and the server takes 20 a second on average: with more it connects anew.

        Args:
            events: Types, or `*` for all.

        Raises:
            SubscriptionRefusedError: The server does not know one, or they are too many: all stays as it is.
            StoppedError: The listener has ended.
        """
        await self._change("subscribe", events)

    async def unsubscribe(self, *events: str) -> None:
        """Hear these types no more; what was heard ahead before it returned is still handed over.

        As `subscribe`. `*` stands beside named types: only taking `*` itself away ends it.

        Args:
            events: Types, or `*`.

        Raises:
            StoppedError: The listener has ended.
        """
        await self._change("unsubscribe", events)

    async def _change(self, kind: Literal["subscribe", "unsubscribe"], events: tuple[str, ...]) -> None:
        async with self._changing:
            # Asked though it may be so already: what was given up may still be on its way, and undo it.
            while True:
                connection = await self._connected()
                with contextlib.suppress(ConnectionClosed):
                    await connection.change(kind, events)
                    return

    async def _connected(self) -> Connection:
        """The connection of now, or the next one."""
        async with self._changed:
            while self._connection is None:
                if self._running is None or self._running.done():
                    raise self._end or RuntimeError("the listener does not run")
                await self._changed.wait()
            return self._connection

    async def close(self) -> None:
        """Say what was dealt with, and end; an iteration under way ends too."""
        if self._connection is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._connection.acknowledge()
        await self._stop()

    async def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        async with self._changed:
            self._changed.notify_all()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event. Cancelling it loses nothing: the event is the next one's.

        Raises:
            StoppedError: The server said to stop.
            GapError: Events were missed, and nobody else is told.
        """
        self._settle()
        while True:
            match await self._next_ahead():
                case Event() as event:
                    self._handed = event.position
                    return event
                case Position() as position:
                    self._dealt_with = position
                case Gap() as gap:
                    self._dealt_with = gap.now
                    await self._tell(gap)

    async def _next_ahead(self) -> Event | Gap | Position:
        async with self._changed:
            while not self._ahead:
                if self._running is None:
                    raise StopAsyncIteration
                if self._running.done():
                    self._running.result()
                    raise self._end or StopAsyncIteration
                await self._changed.wait()
            self._changed.notify_all()
            return self._ahead.popleft()

    async def _tell(self, gap: Gap) -> None:
        if self._on_gap is not None:
            told = self._on_gap(gap)
            if inspect.isawaitable(told):
                await told
        elif gap.asked is not None:
            raise GapError(gap.asked.seq, gap.now.seq)

    def _settle(self) -> None:
        """What was handed over last has been dealt with."""
        if self._handed is not None:
            self._dealt_with, self._handed = self._handed, None

    # What runs beside whoever iterates.

    async def _run(self) -> None:
        try:
            while True:
                wait = await self._one_connection()
                if wait:
                    _log.info("connecting again in %.1f s", wait)
                await asyncio.sleep(wait)
        except HarkaraClientError as error:
            self._end = error
        finally:
            # Nobody can be in there now: a condition's holder does not await.
            async with self._changed:
                self._changed.notify_all()

    async def _one_connection(self) -> float:
        """Connect, and hear until it ends.

        Returns:
            The seconds to wait before the next one.

        Raises:
            StoppedError: There is to be no next one.
        """
        loop = asyncio.get_running_loop()
        began: float | None = None
        said = ("", "")
        try:
            token = await self._tokens.get()
        except Exception:
            if not self._stands.is_set():
                raise
            _log.exception("no token")
            return self._backoff.next_wait()
        try:
            async with open_socket(self._url) as socket:
                connection = Connection(
                    socket,
                    self._tokens,
                    token,
                    clock=self._clock,
                    dealt_with=self._dealt_with_seq,
                    hear=self._hear,
                )
                try:
                    first = await connection.authenticate(self._heard, self._device_id, self._events)
                    began = loop.time()
                    await self._started(first)
                    async with self._changed:
                        self._connection = connection
                        self._changed.notify_all()
                    await connection.hear_all()
                finally:
                    # What was asked and not confirmed is for whoever waits for it to ask again.
                    self._events = self.events
                    self._connection = None
                    said = connection.last_error
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
            return self._after(code, said, token, _stood(began, loop.time()))
        except InvalidStatus as refused:
            status = refused.response.status_code
            if status in _WRONG_ADDRESS and not self._stands.is_set():
                raise StoppedError("", f"the handshake was refused with HTTP {status}") from refused
            _log.warning("the handshake was refused with HTTP %d", status)
        except (OSError, TimeoutError, InvalidHandshake) as error:
            _log.warning("not connected: %s", str(error) or type(error).__name__)
            if began is not None and loop.time() - began >= STEADY_SECONDS:
                self._backoff.reset()
                return 0.0
        return self._backoff.next_wait()

    def _after(self, code: int | None, said: tuple[str, str], token: str, stood: float) -> float:
        """What a close asks for: the seconds to wait, or an exception."""
        _log.warning("the connection ended with %s %s", code or "no word", said[0])
        if stood >= STEADY_SECONDS:
            self._backoff.reset()
        match after_close(code):
            case After.STOP:
                raise StoppedError(*said, close_code=code)
            case After.NEW_TOKEN:
                if not self._tokens.can_renew or self._refused_token is not None:
                    raise StoppedError(*said, close_code=code)
                self._refused_token = token
                return 0.0
            case After.RECONNECT_SPREAD:
                return self._backoff.spread(SPREAD_SECONDS)
            case After.RECONNECT if stood >= STEADY_SECONDS:
                return 0.0
            case _ if code is None and stood >= STEADY_SECONDS:
                return 0.0
            case _:
                return self._backoff.next_wait()

    def _dealt_with_seq(self) -> int | None:
        """What to acknowledge: a number of the log's life of now, not of one before."""
        dealt_with, heard = self._dealt_with, self._heard
        if dealt_with is None or heard is None or dealt_with.epoch != heard.epoch:
            return None
        return dealt_with.seq

    async def _started(self, first: Frame) -> None:
        """The subscription stands."""
        self._refused_token = None
        now = Position(first.epoch, first.seq or 0)
        if first.recovered is False:
            await self._put(Gap(self._heard, now))
        elif self._heard is None and self._dealt_with is None:
            self._dealt_with = now
        self._heard = now
        self._stands.set()

    async def _hear(self, frame: Frame) -> None:
        """Take one event, or the server's word that there is nothing up to a number."""
        heard = self._heard
        if heard is None:
            return
        if frame.event_type is None:
            if frame.seq is not None and frame.seq > heard.seq:
                self._heard = Position(heard.epoch, frame.seq)
                await self._put(self._heard)
            return
        if frame.seq is not None:
            if frame.seq <= heard.seq:
                return
            self._heard = heard = Position(heard.epoch, frame.seq)
        if frame.event_id in self._ids:
            return
        self._ids[frame.event_id] = None
        if len(self._ids) > REMEMBERED_IDS:
            self._ids.popitem(last=False)
        await self._put(
            Event(
                event_type=frame.event_type or "",
                level=frame.event_level,
                event_id=frame.event_id,
                timestamp=datetime.fromisoformat(frame.timestamp),
                user_id=frame.user_id,
                data_json=bytes(frame.data).decode(),
                source=frame.source,
                seq=frame.seq,
                position=heard,
            )
        )

    async def _put(self, item: Event | Gap | Position) -> None:
        """Hand something over, in order; waits while there is too much."""
        async with self._changed:
            if isinstance(item, Position) and self._ahead and isinstance(self._ahead[-1], Position):
                self._ahead[-1] = item
                return
            while len(self._ahead) >= self._max_ahead:
                await self._changed.wait()
            self._ahead.append(item)
            self._changed.notify_all()


def _stood(began: float | None, now: float) -> float:
    return 0.0 if began is None else now - began
