"""Many WebSocket clients in one cheap process of their own: they count, and check the order.

Not a client to copy: it parses as little as a count needs, since it shares its cores with the mesh.
It speaks to its parent over a pipe, a line each: the job; an answer once every socket is open and
subscribed; then for each number of events an answer once so many were seen. The end of the pipe ends it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop

_ANSWER = b"HTTP/1.1 101"
_SEQ = b'"seq":'


def text_frame(message: object) -> bytes:
    """A client's text frame. The mask is zero: it is there for proxies, and there is none here."""
    payload = json.dumps(message).encode()
    if len(payload) < 126:
        head = struct.pack("!BB", 0x81, 0x80 | len(payload))
    else:
        head = struct.pack("!BBH", 0x81, 0x80 | 126, len(payload))
    return head + b"\0\0\0\0" + payload


@dataclass
class Tally:
    """What all sockets of this process have seen."""

    wanted_sockets: int
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    subscribed: int = 0
    events: int = 0
    out_of_order: int = 0
    lost: int = 0
    last_at: float = 0.0
    goal: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)


class Client(asyncio.Protocol):
    """One socket."""

    def __init__(self, tally: Tally, token: str, host: str, path: str) -> None:
        self._tally = tally
        self._token = token
        self._host = host
        self._path = path
        self._buffer = b""
        self._seq = 0
        self._state = 0  # 0 handshake, 1 authenticating, 2 subscribing, 3 counting.
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._tally.lost += 1
        if self._state < 3:
            self._tally.ready.set()

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        if self._state == 0:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            if not data.startswith(_ANSWER):
                sys.exit(f"a handshake was refused: {data[:80]!r}")
            data = data[end + 4 :]
            self._state = 1
            self._send({"type": "auth", "token": self._token})
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
            elif length == 127:
                start += 8
                if size < start:
                    break
                length = int.from_bytes(data[at + 2 : start], "big")
            end = start + length
            if end > size:
                break
            if self._state == 3:
                self._count(data, start, end)
                self._tally.last_at = time.monotonic()
            else:
                self._advance(json.loads(data[start:end]))
            at = end
        if at < size:
            self._buffer = data[at:]

    def _count(self, data: bytes, start: int, end: int) -> None:
        tally = self._tally
        found = data.rfind(_SEQ, start, end)
        if found < 0:
            return
        seq = int(data[found + 6 : end - 1])
        if self._seq and seq != self._seq + 1:
            tally.out_of_order += 1
        self._seq = seq
        tally.events += 1
        if tally.events == tally.goal:
            tally.reached.set()

    def _advance(self, message: dict[str, object]) -> None:
        kind = message["type"]
        if kind == "authenticated":
            self._state = 2
            self._send({"type": "subscribe", "events": ["*"]})
        elif kind == "subscription_updated":
            self._state = 3
            self._tally.subscribed += 1
            if self._tally.subscribed == self._tally.wanted_sockets:
                self._tally.ready.set()
        else:
            sys.exit(f"unexpected: {message}")

    def _send(self, message: object) -> None:
        if self._transport is not None:
            self._transport.write(text_frame(message))


async def _open_all(url: str, tokens: list[str], tally: Tally) -> None:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(200)

    async def open_one(index: int, token: str) -> None:
        # One source address has 28,000 ports: 127.0.0.1 to .9 in turn.
        source = (f"127.0.0.{1 + index // 10_000}", 0)
        async with gate:
            await loop.create_connection(
                lambda: Client(tally, token, f"{host}:{port}", parts.path), host, port, local_addr=source
            )

    await asyncio.gather(*(open_one(index, token) for index, token in enumerate(tokens)))


async def _main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 28)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    job = json.loads(await reader.readline())
    tally = Tally(wanted_sockets=len(job["tokens"]))
    await _open_all(job["url"], job["tokens"], tally)
    async with asyncio.timeout(120):
        await tally.ready.wait()
    print(json.dumps({"ready": tally.subscribed}), flush=True)  # noqa: T201 - the pipe to the parent.
    while line := await reader.readline():
        goal = int(line)
        tally.reached.clear()
        tally.goal = goal
        if tally.events < goal:
            try:
                async with asyncio.timeout(60):
                    await tally.reached.wait()
            except TimeoutError:
                pass
        answer = {
            "events": tally.events,
            "last_at": tally.last_at,
            "out_of_order": tally.out_of_order,
            "lost": tally.lost,
        }
        print(json.dumps(answer), flush=True)  # noqa: T201 - the pipe to the parent.


def main() -> None:
    """Run until the parent closes the pipe."""
    uvloop.run(_main())


if __name__ == "__main__":
    main()
