"""Many WebSocket clients in one cheap process that lose their connections all at once, and come back.

As a client library would: each resumes after the last event it saw, and when it is refused or cut off, it
tries again after a pause of random length, whose bound doubles to 5 s. Otherwise as `sockets`: no client to
copy, and it speaks to its parent in lines over a pipe: the job; `cut`; `back` and how many events each
missed, answered once all have them or time is up.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop

from harkara_bench.sockets import text_frame

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
TRY_SECONDS = 15.0
"""How long one try may take, from its connect to its last missed event."""

_CONNECTS_A_TURN = 100
_SOURCES = 10_000
_CLOSE = 0x88
_EVENT = b'{"event_type"'


@dataclass
class Storm:
    """What all clients share.

    Attributes:
        url: Where they connect: host, port, path.
        missed: How many events each has missed; None before they were cut.
        settled: How many have what they wait for: their subscription, or all they missed.
        wanted: How many shall have it.
        done: Set when they have.
        failures: What ended tries that did not succeed, by kind.
        out_of_order: Frames that did not carry their client's next seq.
        duplicates: Frames that a client had before.
        waits: Of each client that is back, how long it took, in seconds.
    """

    url: tuple[str, int, str]
    missed: int | None = None
    settled: int = 0
    wanted: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    failures: Counter[str] = field(default_factory=Counter)
    out_of_order: int = 0
    duplicates: int = 0
    waits: list[float] = field(default_factory=list)
    began: float = 0.0


class Client(asyncio.Protocol):
    """One client, over all its connections.

    Args:
        storm: What all share.
        number: Its place among them.
        token: Its user's.
    """

    def __init__(self, storm: Storm, number: int, token: str) -> None:
        self._storm = storm
        self._token = token
        # One source address has 28,000 ports; to bind one by hand costs the system a search.
        self._source = (f"127.0.0.{1 + number // _SOURCES}", 0) if number >= _SOURCES else None
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._is_open = False
        self._why = ""
        self._pause = FIRST_PAUSE_SECONDS
        self._try: asyncio.TimerHandle | None = None
        self._epoch = ""
        self._seq = 0
        self._goal = 0
        self._is_settled = False

    # Connections.

    async def connect(self) -> None:
        """Try once; what fails is tried again later."""
        loop = asyncio.get_running_loop()
        self._buffer, self._is_open, self._why = b"", False, ""
        self._try = loop.call_later(TRY_SECONDS, self._give_up)
        host, port, _ = self._storm.url
        try:
            await loop.create_connection(lambda: self, host, port, local_addr=self._source)
        except OSError as error:
            self._failed(f"connect: {error.strerror or type(error).__name__}")

    def cut(self) -> None:
        """Lose the connection, and wait to be told to come back."""
        self._is_settled = False
        if self._transport is not None:
            self._transport.abort()

    def come_back(self, missed: int) -> None:
        """From now on the client waits for so many events."""
        self._goal = self._seq + missed

    def _give_up(self) -> None:
        self._why = self._why or "no progress"
        if self._transport is not None:
            self._transport.abort()

    def _failed(self, why: str) -> None:
        if self._try is not None:
            self._try.cancel()
        if self._is_settled or not self._storm.began:
            return
        self._storm.failures[why] += 1
        pause = random.uniform(0, self._pause)  # noqa: S311 - jitter, not a secret.
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        loop = asyncio.get_running_loop()
        loop.call_later(pause, lambda: loop.create_task(self.connect()))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        host, port, path = self._storm.url
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._failed(self._why or f"lost{f': {type(exc).__name__}' if exc else ''}")

    def data_received(self, data: bytes) -> None:
        data, self._buffer = self._buffer + data, b""
        if not self._is_open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            status = data[9:12].decode("latin-1")
            if status != "101":
                self._why = f"HTTP {status}"
                self._give_up()
                return
            self._is_open = True
            data = data[end + 4 :]
            self._authenticate()
        self._take_frames(data)

    def _take_frames(self, data: bytes) -> None:
        at, size = 0, len(data)
        while size - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                start += 2
                if size < start:
                    break
                length = (data[at + 2] << 8) | data[at + 3]
            end = start + length
            if end > size:
                break
            if data[at] == _CLOSE:
                self._why = f"close {int.from_bytes(data[start : start + 2], 'big')}"
                self._give_up()
                return
            self._take(data[start:end])
            at = end
        self._buffer = data[at:]

    # The protocol.

    def _send(self, message: object) -> None:
        if self._transport is not None:
            self._transport.write(text_frame(message))

    def _authenticate(self) -> None:
        message: dict[str, object] = {"type": "auth", "token": self._token}
        if self._epoch:
            message["resume"] = {"epoch": self._epoch, "seq": self._seq, "events": ["*"]}
        self._send(message)

    def _take(self, payload: bytes) -> None:
        if payload.startswith(_EVENT):
            found = payload.rfind(b'"seq":')
            self._saw(int(payload[found + 6 : payload.find(b"}", found)].partition(b",")[0]))
            return
        message = json.loads(payload)
        match message["type"]:
            case "authenticated":
                if not self._epoch:
                    self._epoch, self._seq = message["epoch"], message["seq"]
                    self._send({"type": "subscribe", "events": ["*"]})
                elif not message.get("recovered"):
                    self._storm.failures["not recovered"] += 1
                elif self._seq >= self._goal:
                    self._settle()
            case "subscription_updated":
                self._settle()
            case "error":
                self._why = str(message["code"])

    def _saw(self, seq: int) -> None:
        if seq <= self._seq:
            self._storm.duplicates += 1
            return
        self._storm.out_of_order += seq != self._seq + 1
        self._seq = seq
        if seq == self._goal:
            self._settle()

    def _settle(self) -> None:
        if self._is_settled:
            return
        self._is_settled = True
        if self._try is not None:
            self._try.cancel()
        storm = self._storm
        storm.settled += 1
        if storm.settled == storm.wanted:
            storm.done.set()
        if storm.began:
            storm.waits.append(time.monotonic() - storm.began)


async def _connect_all(storm: Storm, clients: list[Client], at_once: int | None, seconds: float) -> None:
    """Connect all, and wait until all are settled or time is up."""
    loop = asyncio.get_running_loop()
    storm.settled = 0
    storm.done.clear()
    gate = asyncio.Semaphore(at_once or len(clients))

    async def connect(client: Client) -> None:
        async with gate:
            await client.connect()

    storm.wanted = len(clients)
    tasks = []
    for number, client in enumerate(clients):
        tasks.append(loop.create_task(connect(client)))
        if number % _CONNECTS_A_TURN == 0:
            await asyncio.sleep(0)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await storm.done.wait()
    for task in tasks:
        task.cancel()


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201 - the pipe to the parent.


async def _main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 28)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    job = json.loads(await reader.readline())
    parts = urlsplit(job["url"])
    storm = Storm((parts.hostname or "", parts.port or 80, parts.path))
    clients = [Client(storm, number, token) for number, token in enumerate(job["tokens"])]
    await _connect_all(storm, clients, 200, 120)
    _say({"ready": storm.settled})
    while line := await reader.readline():
        word, _, number = line.decode().strip().partition(" ")
        if word == "cut":
            for client in clients:
                client.cut()
            _say({"cut": len(clients)})
            continue
        for client in clients:
            client.come_back(int(number))
        storm.began = time.monotonic()
        spent = time.process_time()
        await _connect_all(storm, clients, None, float(job["seconds"]))
        _say(
            {
                "back": storm.settled,
                "seconds": max(storm.waits, default=0.0),
                "waits": sorted(storm.waits),
                "cpu_seconds": time.process_time() - spent,
                "failures": storm.failures,
                "out_of_order": storm.out_of_order,
                "duplicates": storm.duplicates,
            }
        )


def main() -> None:
    """Run until the parent closes the pipe."""
    uvloop.run(_main())


if __name__ == "__main__":
    main()
