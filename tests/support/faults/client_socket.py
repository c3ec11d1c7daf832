"""One client's WebSocket, parsed as little as counting needs: it shares its cores with the mesh."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import msgspec

REFUSED = 503
"""What a refused handshake counts as, whatever its status: a client treats it like 1013."""

_OPEN_SECONDS = 15.0
_TEXT, _CLOSE, _PING = 1, 8, 9


def frame_of(opcode: int, payload: bytes) -> bytes:
    """A client's frame. The mask is zero: it is there for proxies, and there is none here."""
    if len(payload) < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | len(payload))
    else:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(payload))
    return head + b"\0\0\0\0" + payload


class ClientSocket(asyncio.Protocol):
    """A connection; `open` it, and wait for `closed`.

    Args:
        url: Where to.
        take: Told the text of each message.
        source: The address to come from.
        receive_buffer: SO_RCVBUF; None for the system's.

    Attributes:
        closed: The close code once it ended; 0 where none came, `REFUSED` where the handshake failed.
    """

    def __init__(
        self, url: str, take: Callable[[bytes], None], source: str, receive_buffer: int | None
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port or 80, parts.path
        self._take = take
        self._source = source
        self._receive_buffer = receive_buffer
        self._buffer = b""
        self._is_upgraded = False
        self._code = 0
        self._transport: asyncio.Transport | None = None
        loop = asyncio.get_running_loop()
        self._upgraded: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[int] = loop.create_future()

    async def open(self) -> None:
        """Connect and shake hands; a refused handshake ends it with `REFUSED`.

        Raises:
            OSError: There is nobody, or no answer in time.
        """
        loop = asyncio.get_running_loop()
        raw = socket.socket()
        raw.settimeout(0)
        try:
            if self._receive_buffer is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
            raw.bind((self._source, 0))
            async with asyncio.timeout(_OPEN_SECONDS):
                await loop.sock_connect(raw, (self._host, self._port))
                await loop.create_connection(lambda: self, sock=raw)
                await self._upgraded
        except BaseException:
            if self._transport is not None:
                self._transport.abort()
            else:
                raw.close()
            raise

    def send(self, message: object) -> None:
        """Send a message; does nothing once it ended."""
        if self._transport is not None:
            self._transport.write(frame_of(_TEXT, msgspec.json.encode(message)))

    def hold(self) -> None:
        """Stop reading."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def read(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_reading():
            self._transport.resume_reading()

    def cut(self) -> None:
        """Lose the connection, as a network does."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Say goodbye."""
        if self._transport is not None:
            self._transport.write(frame_of(_CLOSE, struct.pack("!H", 1000)))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        del exc
        self._transport = None
        if not self._upgraded.done():
            self._upgraded.set_result(None)
        if not self.closed.done():
            self.closed.set_result(self._code)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        if not self._is_upgraded:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self._code = REFUSED
                self.cut()
                return
            data = data[end + 4 :]
            self._is_upgraded = True
            self._upgraded.set_result(None)
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
            self._take_frame(data[at] & 0x0F, data[start:end])
            at = end
        if at < size:
            self._buffer = data[at:]

    def _take_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == _TEXT:
            self._take(payload)
        elif opcode == _CLOSE and self._transport is not None:
            self._code = int.from_bytes(payload[:2], "big")
            self._transport.write(frame_of(_CLOSE, payload[:2]))
            self._transport.close()
