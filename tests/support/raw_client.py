"""A WebSocket client that can do what no library would: half frames, no masks, bad UTF-8, no reading."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any, Self

PATH = "/api/websocket/ws"
PATIENCE = 10.0
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

MASK = b"\x0f\xf0\x55\xaa"


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, length: int | None = None
) -> bytes:
    """Return a client's frame.

    Args:
        opcode: Of any kind.
        payload: What it carries.
        fin: Whether it is the last fragment.
        masked: Whether it is masked, as a client's has to be.
        length: What the header says, where that is not the truth.
    """
    claimed = len(payload) if length is None else length
    mask_bit = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | opcode])
    if claimed < 126:
        head += bytes([mask_bit | claimed])
    elif claimed < 65_536:
        head += bytes([mask_bit | 126]) + struct.pack("!H", claimed)
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", claimed)
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))


def message(**fields: Any) -> bytes:
    return frame(TEXT, json.dumps(fields).encode())


def request(path: str = PATH, *, method: str = "GET", version: str = "1.1", **headers: str | None) -> bytes:
    """Return an opening request; a header that is None is left out."""
    fields: dict[str, str | None] = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{method} {path} HTTP/{version}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class RawClient:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, address: str, receive_buffer: int | None = None) -> Self:
        host, _, port = address.rpartition(":")
        connection = socket.socket()
        connection.settimeout(0)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
        except OSError:
            connection.close()
            raise
        limit = 2**16 if receive_buffer is None else 1_024
        reader, writer = await asyncio.open_connection(sock=connection, limit=limit)
        return cls(reader, writer)

    @classmethod
    async def open(cls, address: str, receive_buffer: int | None = None) -> Self:
        """Connect, with the handshake behind it."""
        client = await cls.connect(address, receive_buffer)
        client.send(request())
        head = await client.head()
        assert head.startswith("HTTP/1.1 101 "), head
        return client

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def head(self) -> str:
        """Return the head of an HTTP response."""
        data = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        return data.decode("latin-1")

    async def status(self) -> int:
        """Return the status of an HTTP response that ends the connection."""
        head = await self.head()
        await self.eof()
        return int(head.split(" ", 2)[1])

    async def frame(self) -> tuple[int, bytes]:
        """Return the next frame of the server: opcode and payload."""
        async with asyncio.timeout(PATIENCE):
            first, second = await self.reader.readexactly(2)
            assert first & 0x70 == 0, "reserved bits"
            assert first & 0x80, "the server does not fragment"
            assert not second & 0x80, "a server does not mask"
            length = second
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(length)

    async def text(self) -> dict[str, Any]:
        """Return the next frame, which has to be JSON text."""
        opcode, payload = await self.frame()
        assert opcode == TEXT, (opcode, payload)
        value = json.loads(payload)
        assert isinstance(value, dict)
        return value

    async def close_code(self) -> int:
        """Return the close code of the next frame, and see the connection end."""
        opcode, payload = await self.frame()
        assert opcode == CLOSE, (opcode, payload)
        (code,) = struct.unpack("!H", payload[:2])
        return int(code)

    async def eof(self) -> bytes:
        """Read to the end."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE)

    async def close(self) -> None:
        self.writer.transport.abort()
