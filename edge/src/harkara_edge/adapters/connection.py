"""One client's socket, from the first byte to the last.

Bytes in: the opening request, then frames, from which messages go to the service. Bytes out: written by
the service as whole frames; the closing handshake and pongs are written here. There is no task and no
timer of its own: the server's wheel asks `due`.

`pause_writing` comes as soon as the system does not take a byte (the limits are 0), so a connection is
`blocked` exactly while it holds something unsent, and only those cost any counting.

What does not belong here: what a message says, and listening.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from websockets.frames import Frame, Opcode
from websockets.protocol import State

from harkara_edge.adapters import opening
from harkara_edge.adapters.frame_parser import FrameParser
from harkara_edge.domain.errors import MESSAGE_TOO_BIG, NOT_UTF8
from harkara_edge.domain.limits import SlidingCount
from harkara_edge.service import Client

if TYPE_CHECKING:
    from harkara_edge.adapters.socket_server import SocketServer

BESIDES_DELIVERIES: Final = 64 * 1024
"""How much more than its limit a connection may hold of answers, before nothing more is read from it."""


class Room(Enum):
    """What there is for a new connection."""

    SOME = auto()
    NONE = auto()
    NOT_EVEN_FOR_AN_ANSWER = auto()


class Connection(asyncio.BufferedProtocol):
    """One connection.

    Args:
        server: Whose.
    """

    # One for each connection, for as long as it lives: no __dict__.
    __slots__ = (
        "_choked",
        "_client",
        "_closing",
        "_fragments",
        "_frames",
        "_full",
        "_head",
        "_held",
        "_moved_at",
        "_parser",
        "_server",
        "_transport",
        "_unsent",
        "address",
        "due_slot",
        "write",
    )

    write: Callable[[bytes], object]
    _transport: asyncio.Transport

    def __init__(self, server: SocketServer) -> None:
        self._server = server
        self._client: Client | None = None
        self._parser: FrameParser | None = None
        self._head: bytearray | None = None
        self._fragments: bytearray | None = None
        self._frames: SlidingCount | None = None
        self._full = False
        self._closing = False
        self._held = False
        self._choked = False
        self._unsent = 0
        self._moved_at = 0.0
        self.address = ""
        self.due_slot = 0

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection that was accepted."""
        # Not an assertion: uvloop's transports are none of asyncio's classes.
        transport = cast("asyncio.Transport", transport)
        self._transport = transport
        # The transport's own method: a frame goes out without a call of ours in between.
        self.write = transport.write
        peer = transport.get_extra_info("peername")
        self.address = sys.intern(str(peer[0])) if peer else ""
        transport.set_write_buffer_limits(high=0, low=0)
        server = self._server
        room = server.add(self)
        if room is Room.NOT_EVEN_FOR_AN_ANSWER:
            transport.abort()
        else:
            self._full = room is Room.NONE
            self._head = bytearray()
            server.schedule(self, server.now() + server.limits.handshake_seconds)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Return where bytes are read to: one place for all connections, emptied at once."""
        del sizehint
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes."""
        data = bytes(memoryview(self._server.buffer)[:nbytes])
        if self._head is not None:
            self._read_head(data)
        elif self._client is not None:
            self._read_frames(self._client, data)

    def eof_received(self) -> None:
        """Take that the peer sends no more; the transport closes when all is sent."""
        self._gone("lost")

    def connection_lost(self, exc: Exception | None) -> None:
        """Take that the connection is no more."""
        del exc
        self._gone("lost")
        self._settle()
        self._server.remove(self)

    def pause_writing(self) -> None:
        """Take that the system does not take all bytes at once."""
        self._moved_at = self._server.now()
        self._server.blocked.add(self)
        if self._client is not None:
            self._client.blocked = True

    def resume_writing(self) -> None:
        """Take that the system took all bytes."""
        self._settle()
        self._choked = False
        self._regulate()
        if self._client is not None and not self._closing:
            self._server.service.drained(self._client)

    # Called by the server.

    def due(self) -> None:
        """Take that the time came which was asked for."""
        client = self._client
        if self._closing:
            self._transport.abort()
        elif client is None:
            self._refuse(opening.refused(HTTPStatus.REQUEST_TIMEOUT))
        else:
            if self._choked:
                # It may have been sending all the time.
                client.last_heard = self._server.now()
            self._server.service.due(client)

    def check_progress(self, now: float) -> None:
        """End a blocked connection whose peer takes nothing for too long."""
        self.unsent()
        if now - self._moved_at >= self._server.limits.stall_seconds:
            if self._client is not None and not self._closing:
                self._server.service.stalled(self._client)
            else:
                self._transport.abort()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    # Called by the service.

    def unsent(self) -> int:
        """Return how many bytes were written that the system has not taken yet."""
        size = self._transport.get_write_buffer_size()
        if size < self._unsent:
            self._moved_at = self._server.now()
        self._server.unsent.change(size - self._unsent)
        self._unsent = size
        return size

    def hold(self, holding: bool) -> None:
        """Read nothing more, or read again."""
        if holding is not self._held:
            self._held = holding
            self._regulate()

    def schedule(self, when: float) -> None:
        """Have the service asked about its deadlines at this time."""
        if not self._closing:
            self._server.schedule(self, when)

    def close(self, close_code: int) -> None:
        """Start the closing handshake."""
        parser = self._parser
        if parser is None:
            parser = self._parser = self._server.parsers.borrow()
        if parser.state is State.OPEN:
            parser.send_close(close_code)
        self._begin_to_close()
        self._flush(parser)

    # The opening request.

    def _read_head(self, data: bytes) -> None:
        head = self._head
        assert head is not None  # noqa: S101 - the caller looked.
        begin = max(0, len(head) - len(opening.END_OF_HEAD) + 1)
        head += data
        end = head.find(opening.END_OF_HEAD, begin)
        if end < 0 and len(head) <= opening.MAX_HEAD_BYTES:
            return
        if not 0 <= end <= opening.MAX_HEAD_BYTES:
            self._refuse(opening.refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
            return
        end += len(opening.END_OF_HEAD)
        server = self._server
        full = self._full or not server.accepting or server.service.crowded
        answer = opening.answer(bytes(head[:end]), server.origins, full=full)
        if answer.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self._refuse(answer)
            return
        rest = bytes(head[end:])
        self._head = None
        self.write(answer.data)
        self._client = server.service.connected(self)
        if rest:
            self._read_frames(self._client, rest)

    def _refuse(self, answer: opening.Answer) -> None:
        self._head = None
        self._server.metrics.refused.labels(str(answer.status)).inc()
        self.write(answer.data)
        self._begin_to_close()
        self._transport.close()

    # Frames.

    def _read_frames(self, client: Client, data: bytes) -> None:
        server = self._server
        parser = self._parser
        if parser is None:
            parser = self._parser = server.parsers.borrow()
        elif parser.state is State.CLOSED:
            return
        parser.receive_data(data)
        frames = parser.events_received()
        if frames and not self._closing:
            now = client.last_heard = server.now()
            if self._frames is None:
                self._frames = SlidingCount(now, server.limits.window_seconds)
            if not self._frames.add(now, server.limits.max_frames, len(frames)):
                server.service.flooded(client)
        for frame in frames:
            if self._closing:
                break
            assert isinstance(frame, Frame)  # noqa: S101 - the opening request is behind us.
            self._take_frame(client, parser, frame)
        if not self._closing and parser.state is not State.OPEN:
            # The core refused something, or answered the client's close.
            closed_by_client = parser.close_rcvd_then_sent is True
            refusal = parser.close_sent.code if parser.close_sent is not None else ""
            self._gone("client" if closed_by_client else str(int(refusal or 0)))
            self._begin_to_close()
        self._flush(parser)
        if parser.idle and not self._closing:
            self._parser = None
            server.parsers.give_back(parser)

    def _take_frame(self, client: Client, parser: FrameParser, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT and frame.fin:
            self._take_message(client, parser, bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            self._fragments = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._fragments is not None:
            self._fragments += frame.data
            if frame.fin or len(self._fragments) > self._server.limits.max_message_bytes:
                message, self._fragments = bytes(self._fragments), None
                self._take_message(client, parser, message)

    def _take_message(self, client: Client, parser: FrameParser, message: bytes) -> None:
        if len(message) > self._server.limits.max_message_bytes:
            self._fail(parser, MESSAGE_TOO_BIG)
            return
        try:
            text = message.decode()
        except UnicodeDecodeError:
            self._fail(parser, NOT_UTF8)
            return
        try:
            self._server.service.received(client, text)
        except Exception:  # noqa: BLE001 - our fault, whatever it is: one client's, not the loop's.
            self._server.service.broken(client)

    def _fail(self, parser: FrameParser, close_code: int) -> None:
        if parser.state is State.OPEN:
            parser.fail(close_code)
        self._gone(str(close_code))
        self._begin_to_close()

    def _flush(self, parser: FrameParser) -> None:
        """Write what the core has to say: pongs, the close frame, the end."""
        for data in parser.data_to_send():
            if data:
                self.write(data)
            elif parser.close_rcvd is not None and parser.close_sent is not None:
                self._transport.close()
            elif self._transport.can_write_eof() and not self._transport.is_closing():
                # The peer may still be sending; closing now would reset the connection, and with it
                # the close frame that says why.
                self._transport.write_eof()
        if (
            self._client is not None
            and self._client.blocked
            and not self._choked
            and self.unsent() > self._server.unsent.limit + BESIDES_DELIVERIES
        ):
            self._choked = True
            self._regulate()

    # The end, and the pace.

    def _begin_to_close(self) -> None:
        if not self._closing:
            self._server.schedule(self, self._server.now() + self._server.limits.close_seconds)
            self._closing = True
            self._fragments = None
            # The peer's close is still to be read.
            self._regulate()

    def _gone(self, how: str) -> None:
        if self._client is not None:
            self._server.service.gone(self._client, how)

    def _settle(self) -> None:
        self._server.blocked.discard(self)
        self._server.unsent.change(-self._unsent)
        self._unsent = 0

    def _regulate(self) -> None:
        if self._transport.is_closing():
            return
        if (self._held or self._choked) and not self._closing:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
