"""Listens for clients, and keeps what their connections share: the wheel, the counts, the parsers.

What does not belong here: a single connection (`connection`), and what it says.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from harkara_edge.adapters.connection import Connection, Room
from harkara_edge.adapters.frame_parser import FrameParsers
from harkara_edge.domain.commands import Moment
from harkara_edge.domain.deadlines import SLOT_SECONDS, Wheel
from harkara_edge.domain.limits import Limits, UnsentTotal
from harkara_edge.metrics import Metrics
from harkara_edge.service import EdgeService
from harkara_servicekit.origins import OriginRule
from harkara_servicekit.settings import split_address

BACKLOG: Final = 4_096
SEND_BUFFER_BYTES: Final = 64 * 1024
"""Of the kernel, which doubles it. Left to itself loopback hides 4 MB, and a slow reader with it."""

READ_BYTES: Final = 16 * 1024
"""How much is read at once: what a flood of tiny frames can ask of one turn of the loop."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Listening:
    """Where and for whom a worker listens.

    Args:
        address: `host:port`; port 0 lets the system choose.
        shared: Whether other workers listen there too.
        origins: Which Origins may connect.
        max_connections: Of this worker.
        max_told: How many more may stay for as long as it takes to tell them that it is full.
        max_connections_per_address: Of one peer address, at this worker.
    """

    address: str
    shared: bool
    origins: OriginRule
    max_connections: int
    max_told: int
    max_connections_per_address: int


class SocketServer:
    """The sockets of one worker.

    Args:
        listening: Where and for whom.
        service: What the connections talk to.
        limits: Sizes and times.
        unsent: What all connections hold together.
        clock: Reads both clocks.
        metrics: What is counted.
    """

    def __init__(  # noqa: PLR0913 - a composition of that many parts.
        self,
        *,
        listening: Listening,
        service: EdgeService,
        limits: Limits,
        unsent: UnsentTotal,
        clock: Callable[[], Moment],
        metrics: Metrics,
    ) -> None:
        self._listening = listening
        self.service = service
        self.limits = limits
        self.unsent = unsent
        self.metrics = metrics
        self.origins = listening.origins
        self.parsers = FrameParsers(limits.max_message_bytes)
        self.buffer = bytearray(READ_BYTES)
        self.blocked: set[Connection] = set()
        self._clock = clock
        self._wheel: Wheel[Connection] = Wheel(SLOT_SECONDS)
        self._connections: set[Connection] = set()
        self._per_address: dict[str, int] = {}
        self.accepting = False
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.TimerHandle | None = None

    async def start(self) -> str:
        """Listen, and return the bound `host:port`.

        Raises:
            OSError: The address cannot be had.
        """
        loop = asyncio.get_running_loop()
        listener = self._listener()
        try:
            self._server = await loop.create_server(lambda: Connection(self), sock=listener, backlog=BACKLOG)
        except BaseException:
            listener.close()
            raise
        self.accepting = True
        self._tick()
        host, port = listener.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _listener(self) -> socket.socket:
        host, port = split_address(self._listening.address)
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._listening.shared:
                # Only then: it would let a second mesh take half of our connections, unseen.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # Accepted sockets inherit both.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.bind(address)
            listener.settimeout(0)
        except BaseException:
            listener.close()
            raise
        return listener

    def stop_accepting(self) -> None:
        """Listen no more; open connections stay."""
        self.accepting = False
        if self._server is not None:
            self._server.close()

    async def stop(self, seconds: float) -> None:
        """Wait until every connection is closed, and cut what is not.

        Args:
            seconds: How long to wait.
        """
        self.stop_accepting()
        try:
            async with asyncio.timeout(seconds):
                await self._none_left.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()
            await self._none_left.wait()
        if self._ticking is not None:
            self._ticking.cancel()

    # Called by the connections.

    def now(self) -> float:
        """Return the seconds of the monotonic clock."""
        return self._clock().monotonic

    def schedule(self, connection: Connection, when: float) -> None:
        """Let a connection be asked about its deadlines."""
        self._wheel.schedule(connection, when)

    def add(self, connection: Connection) -> Room:
        """Count a new connection, and say what room there is for it."""
        self._connections.add(connection)
        self._none_left.clear()
        self.metrics.connections.inc()
        mine = self._per_address[connection.address] = self._per_address.get(connection.address, 0) + 1
        most, most_of_one = self._listening.max_connections, self._listening.max_connections_per_address
        if mine <= most_of_one and len(self._connections) <= most:
            return Room.SOME
        # One too many is told so. Past that many even the telling would be an attack's success.
        told = mine <= 2 * most_of_one and len(self._connections) <= most + self._listening.max_told
        return Room.NONE if told else Room.NOT_EVEN_FOR_AN_ANSWER

    def remove(self, connection: Connection) -> None:
        """Count a connection no more, and keep nothing of it."""
        self._wheel.cancel(connection)
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self.metrics.connections.dec()
        count = self._per_address[connection.address] - 1
        if count:
            self._per_address[connection.address] = count
        else:
            del self._per_address[connection.address]
        if not self._connections:
            self._none_left.set()

    def _tick(self) -> None:
        self._ticking = asyncio.get_running_loop().call_later(SLOT_SECONDS, self._tick)
        now = self.now()
        for connection in self._wheel.expire(now):
            # One connection's fault must not keep the others from their deadlines.
            try:
                connection.due()
            except Exception:  # noqa: BLE001 - see above.
                _log.exception("deadline_failed", address=connection.address)
                connection.abort()
        for connection in list(self.blocked):
            connection.check_progress(now)
        self.metrics.unsent.set(self.unsent.total)
