"""Many clients in one cheap process: each stays connected as docs/protocol.md tells it to.

They resume by `{epoch, seq}`, or let the server remember what their device acknowledged, obey close codes,
refresh their tokens, and write what they receive into a history. The process speaks to its parent (`crowd`)
over pipes, a JSON object a line: the job first, then commands, each with an answer. The end of the pipe ends
it.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any, cast

import msgspec
import uvloop

from harkara_cli.data_dir import DataDir
from harkara_cli.tokens import Minter
from harkara_servicekit.runner import raise_file_limit
from tests.support.faults.client_socket import ClientSocket
from tests.support.faults.history import Closed, Frame, HistoryWriter, Opened

LOST = 0
"""Where no close code came."""

_STOP = {1000, 1002, 1003, 1007, 1009, 4400, 4403}
_AT_ONCE = {LOST, 4401, 4402, 4408}
_TICK_SECONDS = 0.25


class Job(msgspec.Struct):
    """What a process of clients is to do.

    Attributes:
        url: Where they connect.
        data_dir: Of the mesh, for its key.
        history: The file to write.
        clients: `(client, user_id)` of each.
        devices: Those clients that keep nothing, name a device, and acknowledge what comes.
        first_connection: Its number; the next ones follow.
        seed: Of everything random.
        token_seconds: How long their tokens last.
        refreshes: Whether they bring a new token in time.
        heartbeat_seconds: How often they send one.
        dead_seconds: After how long without a frame they give a connection up.
        longest_back_off: What the bound of their pauses doubles up to, in seconds.
        receive_buffer: SO_RCVBUF; None for the system's.
        source: The first address they come from; 5,000 clients from each.
    """

    url: str
    data_dir: str
    history: str
    clients: list[tuple[str, str]]
    first_connection: int
    seed: int
    devices: list[str] = []
    token_seconds: int = 3_600
    refreshes: bool = True
    heartbeat_seconds: float = 30.0
    dead_seconds: float = 75.0
    longest_back_off: float = 60.0
    receive_buffer: int | None = None
    source: str = "127.0.0.1"


class Command(msgspec.Struct):
    """What the parent wants.

    Attributes:
        do: "reach" waits until every client that has not left is at its user's seq; "hold" lets clients stop
            reading, and "read" go on; "cut" cuts their connections; "state" only answers; "leave" closes all.
        seqs: Of "reach", by user.
        seconds: Of "reach", how long to wait.
        clients: Of "hold", "read" and "cut": which; empty for all.
    """

    do: str
    seqs: dict[str, int] = {}
    seconds: float = 0.0
    clients: list[str] = []


class State(msgspec.Struct):
    """The answer to every command.

    Attributes:
        connected: How many clients are authenticated and subscribed now.
        left: How many are gone for good.
        frames: How many events came so far.
        lost: How many connections on which a client was subscribed have ended so far.
        behind: Of "reach", clients that are not there, with where they are.
    """

    connected: int
    left: int
    frames: int
    lost: int
    behind: dict[str, int] = {}


class Message(msgspec.Struct):
    """Any message of the server, as far as clients look at it."""

    type: str = ""
    event_id: str = ""
    user_id: str = ""
    epoch: str = ""
    code: str = ""
    expires_at: str = ""
    seq: int = 0
    recovered: bool | None = None


_message: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class Client:
    """One client: one connection after another, until it is told to stop."""

    def __init__(self, crowd: Crowd, name: str, user_id: str, source: str) -> None:
        self._crowd = crowd
        self.name = name
        self.user_id = user_id
        self._source = source
        self._failures = 0
        self._socket: ClientSocket | None = None
        self._connection = 0
        self._asked: tuple[str, int] | None = None
        self._new_token_at = float("inf")
        self._heard_at = self._said_at = 0.0
        self._holds = False
        self._device = name.replace(".", "-") if name in crowd.devices else ""
        self._acked = 0  # Only told to the checker.
        self.epoch = ""
        self.seq = 0
        self.is_ready = False
        self.has_left = False

    async def live(self) -> None:
        """Connect again and again, as the close codes say."""
        while not self.has_left:
            code = await self._one_connection()
            self._crowd.lost += self.is_ready
            self.is_ready = False
            self._socket = None
            if code in _STOP:
                self.has_left = True
            self._crowd.history.write(
                Closed(time.monotonic(), self.name, self._connection, code, self.has_left)
            )
            if not self.has_left:
                await asyncio.sleep(self._pause(code))

    def _pause(self, code: int) -> float:
        self._failures += 1
        if code == 1012:
            return self._crowd.random.uniform(0, 5)
        if code in _AT_ONCE and self._failures == 1:
            return 0.0
        return self._crowd.random.uniform(
            0, min(2.0 ** (self._failures - 1), self._crowd.job.longest_back_off)
        )

    async def _one_connection(self) -> int:
        """From the handshake to the end; the close code."""
        self._connection = self._crowd.next_connection()
        self._asked = None
        self._heard_at = self._said_at = time.monotonic()
        socket = ClientSocket(self._crowd.job.url, self._take, self._source, self._crowd.job.receive_buffer)
        try:
            await socket.open()
        except OSError:
            return LOST
        self._socket = socket
        if self._holds:
            socket.hold()
        self._authenticate(socket)
        return await socket.closed

    def _authenticate(self, socket: ClientSocket) -> None:
        auth: dict[str, Any] = {"type": "auth", "token": self._crowd.token_of(self.user_id)}
        if self._device:
            auth["device_id"] = self._device
            auth["resume"] = {"events": ["*"]}
        elif self.epoch:
            self._asked = (self.epoch, self.seq)
            auth["resume"] = {"epoch": self.epoch, "seq": self.seq, "events": ["*"]}
        self._plan_new_token()
        socket.send(auth)

    def _plan_new_token(self) -> None:
        seconds = self._crowd.job.token_seconds
        self._new_token_at = (
            time.monotonic() + seconds - min(60.0, seconds / 2) if self._crowd.job.refreshes else float("inf")
        )

    def _take(self, text: bytes) -> None:
        now = self._heard_at = time.monotonic()
        message = _message.decode(text)
        if not message.type:
            self._crowd.take(Frame(now, self._connection, message.user_id, message.event_id, message.seq))
            self.seq = max(self.seq, message.seq)
        elif message.type == "heartbeat_ack":
            self.seq = max(self.seq, message.seq)
        elif message.type == "authenticated" and not self.is_ready:
            if message.recovered is not True or self._device:
                self.epoch, self.seq = message.epoch, message.seq
            if self._asked is not None or self._device:
                self._began(now, message)
            elif self._socket is not None:
                self._socket.send({"type": "subscribe", "events": ["*"]})
        elif message.type == "subscription_updated" and not self.is_ready:
            self._began(now, None)

    def _began(self, now: float, answer: Message | None) -> None:
        self.is_ready = True
        self._failures = 0
        opened = Opened(now, self.name, self._connection, self.user_id, self.epoch, None)
        if answer is not None:
            opened.epoch, opened.seq = answer.epoch, answer.seq
            opened.asked, opened.recovered = self._asked, answer.recovered
            opened.acked = self._acked if self._device else None
        self._crowd.history.write(opened)

    def tick(self, now: float) -> None:
        """Send what is due; give up a connection that is dead."""
        socket, job = self._socket, self._crowd.job
        if socket is None or not self.is_ready:
            return
        if now - self._heard_at > job.dead_seconds:
            socket.cut()
            return
        if self._device and self.seq > self._acked:
            self._acked = self.seq
            socket.send({"type": "ack", "seq": self.seq})
        if now - self._said_at >= job.heartbeat_seconds:
            self._said_at = now
            socket.send({"type": "heartbeat", "ack": self.seq})
        if now >= self._new_token_at:
            self._plan_new_token()
            socket.send({"type": "auth", "token": self._crowd.token_of(self.user_id)})

    def hold(self, *, holds: bool) -> None:
        """Stop reading, or go on."""
        self._holds = holds
        if self._socket is not None:
            (self._socket.hold if holds else self._socket.read)()

    def cut(self) -> None:
        """Lose the connection."""
        if self._socket is not None:
            self._socket.cut()

    def leave(self) -> None:
        """Close for good."""
        self.has_left = True
        if self._socket is not None:
            self._socket.close()


class Crowd:
    """All clients of this process."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.random = random.Random(job.seed)  # noqa: S311 - to be repeated, not to be secret.
        self.history = HistoryWriter(Path(job.history))
        self._numbers = count(job.first_connection)
        self._minter: Minter = DataDir(Path(job.data_dir)).minter()
        self._frames = 0
        self.lost = 0
        self.devices = frozenset(job.devices)
        head, _, last = job.source.rpartition(".")
        self._clients = {
            name: Client(self, name, user_id, f"{head}.{int(last) + number // 5_000}")
            for number, (name, user_id) in enumerate(job.clients)
        }

    def next_connection(self) -> int:
        """A number for a connection."""
        return next(self._numbers)

    def token_of(self, user_id: str) -> str:
        """A new token."""
        return self._minter.for_user(user_id, None, self.job.token_seconds)

    def take(self, frame: Frame) -> None:
        """An event came."""
        self._frames += 1
        self.history.write(frame)

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Until the parent closes the pipe."""
        lives = [asyncio.create_task(client.live()) for client in self._clients.values()]
        ticker = asyncio.create_task(self._tick())
        try:
            while line := await reader.readline():
                state = await self._obey(msgspec.json.decode(line, type=Command))
                sys.stdout.buffer.write(msgspec.json.encode(state) + b"\n")
                sys.stdout.buffer.flush()
        finally:
            for task in (ticker, *lives):
                task.cancel()
            await asyncio.gather(ticker, *lives, return_exceptions=True)
            self.history.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            for client in self._clients.values():
                client.tick(now)
            self.history.flush()

    async def _obey(self, command: Command) -> State:
        chosen = [self._clients[name] for name in command.clients] or list(self._clients.values())
        state = State(0, 0, self._frames, self.lost)
        if command.do in {"hold", "read"}:
            for client in chosen:
                client.hold(holds=command.do == "hold")
        elif command.do == "cut":
            for client in chosen:
                client.cut()
        elif command.do == "reach":
            state.behind = await self._reach(command.seqs, command.seconds)
        elif command.do == "leave":
            for client in chosen:
                client.leave()
            self.history.flush()
        state.connected = sum(client.is_ready for client in self._clients.values())
        state.left = sum(client.has_left for client in self._clients.values())
        state.frames, state.lost = self._frames, self.lost
        return state

    async def _reach(self, seqs: dict[str, int], seconds: float) -> dict[str, int]:
        """Wait until every client is connected, and where its user is; who is not."""
        deadline = time.monotonic() + seconds
        while True:
            behind = {
                client.name: client.seq if client.is_ready else -1
                for client in self._clients.values()
                if not client.has_left and not (client.is_ready and client.seq >= seqs.get(client.user_id, 0))
            }
            if not behind or time.monotonic() > deadline:
                return behind
            await asyncio.sleep(0.02)


async def _main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), cast("Any", sys.stdin))
    await Crowd(msgspec.json.decode(await reader.readline(), type=Job)).run(reader)


if __name__ == "__main__":
    raise_file_limit()
    uvloop.run(_main())
