"""Reads the frames of clients: `websockets`' sans-I/O core, borrowed only while a frame is under way.

Between two messages the core of an open connection holds nothing but its own weight, several kB of it.
So a connection has none then: it borrows one when bytes come, and gives it back once all of them were
whole messages. A connection that closes, or waits for the rest of a message, keeps its own.

Two rules that the core leaves to us: a binary frame is refused at its first byte, and not when the
last of its 64 KiB has come; and a message may be `max_message_bytes` long even where a ping stands
between its fragments. UTF-8 is checked by whoever joins the fragments.

What does not belong here: what a message says, and the transport.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Final

from websockets.frames import Opcode
from websockets.protocol import Protocol, Side, State
from websockets.streams import StreamReader

from harkara_edge.domain.errors import BINARY_FRAME

LARGEST_CONTROL_FRAME: Final = 125
_MAX_IDLE_PARSERS: Final = 64

# The core's own records are about single frames and handshakes; ours are about sessions.
SILENT: Final = logging.getLogger("harkara_edge.websockets")
SILENT.setLevel(logging.CRITICAL)


class _Reader(StreamReader):
    """Knows when the parser stands between two frames, and looks at the first byte of each.

    The parser asks `at_eof` before every frame and nowhere else.
    """

    def __init__(self, parser: FrameParser) -> None:
        super().__init__()
        self._parser = parser
        self.between_frames = False

    def at_eof(self) -> Generator[None, None, bool]:
        while True:
            if self.buffer:
                is_binary = self.buffer[0] & 0x0F == Opcode.BINARY
                if is_binary and self._parser.state is State.OPEN:
                    # Empties the buffer; nothing that follows is parsed.
                    self._parser.fail(BINARY_FRAME, "binary frame")
                    continue
                self.between_frames = False
                return False
            if self.eof:
                return True
            self.between_frames = True
            yield


class FrameParser(Protocol):
    """The server's side of an open connection.

    Args:
        max_message_bytes: Of one message, all its fragments together.
    """

    def __init__(self, max_message_bytes: int) -> None:
        # The core counts a control frame between fragments against what is left for the message.
        super().__init__(
            Side.SERVER, state=State.OPEN, max_size=max_message_bytes + LARGEST_CONTROL_FRAME, logger=SILENT
        )
        self._watched = _Reader(self)
        self.reader = self._watched
        self.parser = self.parse()
        next(self.parser)

    @property
    def idle(self) -> bool:
        """Whether it knows nothing about its connection: open, between messages, nothing unread."""
        return self.state is State.OPEN and self._watched.between_frames and self.current_size is None


class FrameParsers:
    """Lends parsers.

    Args:
        max_message_bytes: Of one message.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._idle: list[FrameParser] = []

    def borrow(self) -> FrameParser:
        """Return one that is idle."""
        return self._idle.pop() if self._idle else FrameParser(self._max_message_bytes)

    def give_back(self, parser: FrameParser) -> None:
        """Take one back that is idle."""
        if len(self._idle) < _MAX_IDLE_PARSERS:
            self._idle.append(parser)
