"""A WebSocket client written from the reference alone: JSON text frames and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

ANSWER_SECONDS = 10


class PlainClient:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, message: Mapping[str, object]) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        """The next message, whatever it is."""
        async with asyncio.timeout(ANSWER_SECONDS):
            text = await self.socket.recv()
        assert isinstance(text, str)
        message: dict[str, Any] = json.loads(text)
        return message

    async def ask(self, message: Mapping[str, object]) -> dict[str, Any]:
        await self.send(message)
        return await self.receive()

    async def authenticate(self, token: str, **more: object) -> dict[str, Any]:
        return await self.ask({"type": "auth", "token": token, **more})

    async def subscribe(self, *events: str) -> dict[str, Any]:
        return await self.ask({"type": "subscribe", "events": events})

    async def receive_events(self, count: int) -> list[dict[str, Any]]:
        """The next messages, all of which must be events."""
        events = [await self.receive() for _ in range(count)]
        assert all("event_type" in event for event in events), events
        return events

    async def close_code(self) -> tuple[int, list[dict[str, Any]]]:
        """Wait for the server to close; its code (0 where it gave none), and what it said before."""
        said: list[dict[str, Any]] = []
        try:
            while True:
                said.append(await self.receive())
        except ConnectionClosed as closed:
            return (closed.rcvd.code if closed.rcvd is not None else 0), said


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[PlainClient]:
    """Open a connection; nothing is sent yet."""
    async with connect(url, compression=None, max_queue=None, ping_interval=None, **options) as socket:
        yield PlainClient(socket)


@asynccontextmanager
async def listening(url: str, token: str, events: Sequence[str] = ("*",)) -> AsyncIterator[PlainClient]:
    """Open a connection that is authenticated and subscribed."""
    async with connected(url) as client:
        answer = await client.authenticate(token)
        assert answer["type"] == "authenticated", answer
        answer = await client.subscribe(*events)
        assert answer["type"] == "subscription_updated", answer
        yield client
