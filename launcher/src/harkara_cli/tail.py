"""Follows the events of users over the WebSocket, as an application would, and resumes after a loss.

What a close code asks of a client stands in the catalogue's table; this follows it. What is shown of an
event does not belong here.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from harkara_catalogue.codes import CLOSE_CODES, ClientAction
from harkara_cli.errors import CliError, MisuseError
from harkara_cli.event_lines import Event

_OPEN_SECONDS = 10
_HEARTBEAT_SECONDS = 30
_SILENT_INTERVALS = 2.5
_MAX_FRAME_BYTES = 1024 * 1024
_FIRST_BACKOFF = 1.0
_LONGEST_BACKOFF = 60.0
_SPREAD_SECONDS = 5.0
_NORMAL = 1000
_HINTS = {4403: "no such user, or a disabled one; ./harkara users list shows them"}


@dataclass(frozen=True)
class TailOptions:
    """What to follow.

    Attributes:
        user_id: Whose events.
        types: Event types, or `*` for all.
        since: Begin after this seq instead of with what comes next.
    """

    user_id: str
    types: Sequence[str] = ("*",)
    since: int | None = None


class _Frame(Event):
    """Whatever the server says: an event where it has an `event_type`."""

    type: str = ""
    code: str = ""
    message: str = ""
    events: tuple[str, ...] = ()


_decode = msgspec.json.Decoder(_Frame).decode


@dataclass
class _Position:
    """How far we are: what `resume` in `auth` says."""

    epoch: str | None = None
    seq: int = 0
    resumes: bool = False  # Whether the next connection goes on from here.


@dataclass
class _Losses:
    """How long to wait before the next connection."""

    bound: float = field(default=_FIRST_BACKOFF)
    new_tokens: int = 0

    def forget(self) -> None:
        """A connection was good: begin anew."""
        self.bound = _FIRST_BACKOFF
        self.new_tokens = 0

    def next_wait(self) -> float:
        """All of it is chance, so that many clients do not come back together; see docs/protocol.md."""
        bound, self.bound = self.bound, min(self.bound * 2, _LONGEST_BACKOFF)
        return random.uniform(0, bound)  # noqa: S311 - no secret.


class Tail:
    """Follows one user.

    Args:
        options: What to follow.
        find_url: Where to connect; asked before each connection. Raises `CliError` where there is
            nothing to connect to.
        mint_token: A token for the user; asked before each connection.
        on_event: Told each event: the frame's text, and what is in it. Says whether that was the last wanted.
        on_news: Told what becomes of the connection.
    """

    def __init__(
        self,
        options: TailOptions,
        *,
        find_url: Callable[[], str],
        mint_token: Callable[[], str],
        on_event: Callable[[str, Event], bool],
        on_news: Callable[[str], None],
    ) -> None:
        self._options = options
        self._find_url = find_url
        self._mint_token = mint_token
        self._on_event = on_event
        self._on_news = on_news
        self._position = _Position()
        self._losses = _Losses()

    async def run(self) -> None:
        """Follows until enough events came, or for ever. Cancelling it closes the connection.

        Raises:
            CliError: There is nothing to connect to at first, or the server says to stop.
        """
        url = self._find_url()
        while True:
            try:
                if self._options.since is not None and self._position.epoch is None:
                    await self._go_back_to(url, self._options.since)
                await self._follow(url)
            except ConnectionClosed as closed:
                await self._wait_after(closed)
            except (OSError, TimeoutError, InvalidHandshake) as error:
                await self._wait_for_server(str(error) or type(error).__name__)
            else:
                return
            url = await self._find_again(url)

    async def _go_back_to(self, url: str, since: int) -> None:
        """Learns the log's epoch, without which no seq means anything, and the position to resume from.

        Raises:
            MisuseError: There is no such seq yet.
        """
        async with self._connected(url) as socket:
            first = await self._authenticate(socket)
        if since > first["seq"]:
            message = f"--since {since}: {self._options.user_id} is at {first['seq']}"
            raise MisuseError(message)
        self._position = _Position(first["epoch"], since, resumes=True)

    async def _follow(self, url: str) -> None:
        async with self._connected(url) as socket:
            resumed = self._position.resumes
            first = await self._authenticate(socket)
            if not resumed:
                await _send(socket, {"type": "subscribe", "events": list(self._options.types)})
                self._position = _Position(first.get("epoch"), first.get("seq", 0))
            elif not first.get("recovered"):
                self._on_news(f"the log cannot go back to {self._position.seq}: from now on")
                self._position = _Position(first.get("epoch"), first.get("seq", 0))
            self._position.resumes = self._position.epoch is not None
            self._losses.forget()
            interval = float(first.get("heartbeat_interval", _HEARTBEAT_SECONDS))
            beat = asyncio.create_task(self._heartbeat(socket, interval))
            try:
                done = False
                while not done:
                    # Each heartbeat is answered: silence for longer means that nobody is there.
                    async with asyncio.timeout(interval * _SILENT_INTERVALS):
                        done = self._handle(str(await socket.recv()))
            finally:
                beat.cancel()

    def _handle(self, text: str) -> bool:
        """Takes one frame; says whether it was the last we wanted."""
        try:
            frame = _decode(text)
        except msgspec.MsgspecError:
            self._on_news("a message of the server cannot be read: it is passed over")
            return False
        seq = frame.seq or 0
        if frame.event_type:
            if seq and seq <= self._position.seq:
                return False
            self._position.seq = max(seq, self._position.seq)
            return self._on_event(text, frame)
        if frame.type == "heartbeat_ack":
            self._position.seq = max(seq, self._position.seq)
        elif frame.type == "error":
            offending = f" ({', '.join(frame.events)})" if frame.events else ""
            if frame.code == "unknown_event_type":
                message = f"{frame.message}{offending}"
                raise MisuseError(message)
            self._on_news(f"{frame.code}: {frame.message}{offending}")
        return False

    @contextlib.asynccontextmanager
    async def _connected(self, url: str) -> AsyncIterator[ClientConnection]:
        async with connect(
            url,
            compression=None,
            ping_interval=None,  # Heartbeats are the protocol's own.
            open_timeout=_OPEN_SECONDS,
            close_timeout=2,
            max_size=_MAX_FRAME_BYTES,
            proxy=None,
        ) as socket:
            yield socket

    async def _authenticate(self, socket: ClientConnection) -> dict[str, Any]:
        """Sends `auth`, returns `authenticated`."""
        message: dict[str, Any] = {
            "type": "auth",
            "token": self._mint_token(),
            "user_id": self._options.user_id,
        }
        if self._position.resumes:
            message["resume"] = {
                "epoch": self._position.epoch,
                "seq": self._position.seq,
                "events": list(self._options.types),
            }
        await _send(socket, message)
        async with asyncio.timeout(_OPEN_SECONDS):
            while True:
                answer: dict[str, Any] = json.loads(await socket.recv())
                if answer.get("type") == "authenticated":
                    return answer

    async def _heartbeat(self, socket: ClientConnection, seconds: float) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(seconds)
                now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
                await _send(socket, {"type": "heartbeat", "timestamp": now, "ack": self._position.seq})

    async def _wait_after(self, closed: ConnectionClosed) -> None:
        """Does what the close code asks for.

        Raises:
            CliError: It asks to stop.
        """
        code = closed.rcvd.code if closed.rcvd else None
        known = CLOSE_CODES.get(code) if code is not None else None
        action = known.client if known else ClientAction.BACK_OFF
        if code == _NORMAL:
            action = ClientAction.BACK_OFF  # A server that ends so did not mean us.
        if action is ClientAction.STOP:
            raise _refusal(closed)
        if action is ClientAction.NEW_TOKEN:
            self._losses.new_tokens += 1
            if self._losses.new_tokens > 1:  # The new one is no better.
                raise _refusal(closed)
            return
        why = f"closed by the server ({_described(closed)})" if code else "the connection is lost"
        if action is ClientAction.RECONNECT:
            self._on_news(f"{why}: connecting again")
        elif action is ClientAction.RECONNECT_SPREAD:
            self._on_news(f"{why}: connecting again within 5 s")
            await asyncio.sleep(random.uniform(0, _SPREAD_SECONDS))  # noqa: S311 - no secret.
        else:
            await self._wait_for_server(why)

    async def _wait_for_server(self, why: str) -> None:
        wait = self._losses.next_wait()
        self._on_news(f"{why}: trying again in {wait:.1f} s")
        await asyncio.sleep(wait)

    async def _find_again(self, url: str) -> str:
        """Where to connect now: a mesh that was started anew may have other ports."""
        try:
            return self._find_url()
        except CliError:
            return url  # Not up yet: the next try will say so.


async def follow_all(tails: Collection[Tail]) -> None:
    """Follows several users until one of them has enough, or for ever.

    Raises:
        CliError: As `Tail.run`, of whichever it happens to first; the others are ended.
    """
    tasks = [asyncio.create_task(tail.run()) for tail in tails]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _send(socket: ClientConnection, message: dict[str, Any]) -> None:
    await socket.send(json.dumps(message, separators=(",", ":")))


def _described(closed: ConnectionClosed) -> str:
    if closed.rcvd is None:
        return "without a word"
    known = CLOSE_CODES.get(closed.rcvd.code)
    return f"{closed.rcvd.code} {known.error_code or known.when}" if known else str(closed.rcvd.code)


def _refusal(closed: ConnectionClosed) -> CliError:
    hint = _HINTS.get(closed.rcvd.code) if closed.rcvd else None
    return CliError(f"the server closed the connection: {_described(closed)}{f': {hint}' if hint else ''}")
