"""What waits to be written to one edge worker's Attach stream: ordered, bounded, sized by what is ready."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara_event_service.ports import DisconnectReason

FULL_BYTES = 8 * 1024 * 1024
MESSAGE_BYTES = 1024 * 1024
_AROUND_BYTES = 32
"""What an item costs on the wire and in the queue besides its own bytes, from above."""

_REASONS = {
    DisconnectReason.TOO_MANY_CONNECTIONS: pb.DISCONNECT_REASON_TOO_MANY_CONNECTIONS,
    DisconnectReason.RESUME_LOST: pb.DISCONNECT_REASON_RESUME_LOST,
    DisconnectReason.UNAVAILABLE: pb.DISCONNECT_REASON_UNAVAILABLE,
}


class AttachOutbox:
    """Implements `ports.Outbox` for one stream.

    Live events are refused past 8 MiB: their sessions are then behind and read the log. Events read from
    the log are taken, and past 8 MiB no more are read, so that those under way come on top at most. All
    else is bounded by what the edge asks for.

    Args:
        on_room: called when a queue that refused something is half empty again.

    Attributes:
        refused_count: how many live events were refused.
        delivered_count: how many events were taken.
    """

    def __init__(self, on_room: Callable[[], None]) -> None:
        self._on_room = on_room
        # A delivery is kept as (sessions, seq, text): half the cost of a message built ahead of time.
        self._items: deque[tuple[bytes, int, bytes] | pb.AttachItem] = deque()
        self._bytes = 0
        self._refused = False
        self._filled = asyncio.Event()
        self.refused_count = 0
        self.delivered_count = 0

    def deliver(self, sessions: bytes, seq: int, text: bytes) -> bool:
        """See `ports.Outbox.deliver`."""
        if self._bytes >= FULL_BYTES:
            self._refused = True
            self.refused_count += 1
            return False
        self._add(sessions, seq, text)
        return True

    def catch_up(self, sessions: bytes, seq: int, text: bytes) -> bool:
        """See `ports.Outbox.catch_up`."""
        self._add(sessions, seq, text)
        if self._bytes < FULL_BYTES:
            return True
        self._refused = True
        return False

    def _add(self, sessions: bytes, seq: int, text: bytes) -> None:
        self._items.append((sessions, seq, text))
        self._bytes += len(sessions) + len(text) + _AROUND_BYTES
        self._filled.set()

    def _put(self, item: pb.AttachItem, size: int = _AROUND_BYTES) -> None:
        self._items.append(item)
        self._bytes += size
        self._filled.set()

    def opened(self, session: int, generation: int, epoch: str, seq: int, *, recovered: bool) -> None:
        """See `ports.Outbox.opened`."""
        self._put(
            pb.AttachItem(
                opened=pb.Opened(
                    session=session, generation=generation, epoch=epoch, seq=seq, recovered=recovered
                )
            )
        )

    def subscribed(self, session: int, change: int) -> None:
        """See `ports.Outbox.subscribed`."""
        self._put(pb.AttachItem(subscribed=pb.Subscribed(session=session, change=change)))

    def advanced(self, positions: Sequence[tuple[int, int]]) -> None:
        """See `ports.Outbox.advanced`."""
        # In pieces, so that no item alone passes the size of a message.
        for start in range(0, len(positions), 10_000):
            piece = positions[start : start + 10_000]
            item = pb.AttachItem(
                advanced=pb.Advanced(sessions=[number for number, _ in piece], seqs=[seq for _, seq in piece])
            )
            self._put(item, 14 * len(piece))

    def disconnect(self, session: int, generation: int, reason: DisconnectReason) -> None:
        """See `ports.Outbox.disconnect`."""
        self._put(
            pb.AttachItem(
                disconnect=pb.Disconnect(session=session, generation=generation, reason=_REASONS[reason])
            )
        )

    def drain(self) -> None:
        """See `ports.Outbox.drain`."""
        self._put(pb.AttachItem(drain=pb.Drain()))

    async def wait(self) -> None:
        """Wait until there is something to take. Cancelled: nothing is lost."""
        await self._filled.wait()

    def take(self) -> pb.AttachResponse:
        """The next message: as much as is ready, up to 1 MiB, at least one item; empty where none is."""
        response = pb.AttachResponse()
        items, size = self._items, 0
        add = response.items.add
        while items and size < MESSAGE_BYTES:
            first = items[0]
            item_bytes = (
                len(first[0]) + len(first[2]) + _AROUND_BYTES
                if isinstance(first, tuple)
                else first.ByteSize() + _AROUND_BYTES
            )
            if size and size + item_bytes > MESSAGE_BYTES:
                break
            size += item_bytes
            if isinstance(first, tuple):
                delivery = add().delivery
                delivery.sessions, delivery.seq, delivery.event = first
                self._bytes -= item_bytes
                self.delivered_count += 1
            else:
                add().CopyFrom(first)
                advanced = len(first.advanced.sessions) if first.HasField("advanced") else 0
                self._bytes -= 14 * advanced or _AROUND_BYTES
            items.popleft()
        if not items:
            self._filled.clear()
        if self._refused and self._bytes < FULL_BYTES // 2:
            self._refused = False
            self._on_room()
        return response
