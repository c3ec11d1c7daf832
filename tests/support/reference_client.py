"""A client written from the reference alone, on the `websockets` library."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PATIENCE = 10.0
PATH = "/api/websocket/ws"


class ReferenceClient:
    """One connection.

    Use it as `async with await ReferenceClient.open(url) as client`, or close it by hand.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    @classmethod
    async def open(cls, address: str, **options: Any) -> Self:
        """Connect to `host:port`, or to a whole URL."""
        url = address if "://" in address else f"ws://{address}{PATH}"
        options.setdefault("compression", None)
        options.setdefault("ping_interval", None)
        options.setdefault("proxy", None)
        return cls(await connect(url, **options))

    @classmethod
    async def sign_in(cls, address: str, token: str, **fields: Any) -> Self:
        """Connect and authenticate."""
        client = await cls.open(address)
        await client.auth(token, **fields)
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self.connection.close()

    async def send(self, message: dict[str, Any] | str | bytes) -> None:
        await self.connection.send(json.dumps(message) if isinstance(message, dict) else message)

    async def receive(self) -> dict[str, Any]:
        """Return the next frame."""
        frame = await asyncio.wait_for(self.connection.recv(), PATIENCE)
        assert isinstance(frame, str), "the server sends text only"
        message = json.loads(frame)
        assert isinstance(message, dict)
        return message

    async def expect(self, kind: str) -> dict[str, Any]:
        """Return the next frame, whose `type` has to be this."""
        message = await self.receive()
        assert message.get("type") == kind, message
        return message

    async def event(self) -> dict[str, Any]:
        """Return the next frame, which has to be an event."""
        message = await self.receive()
        assert "event_type" in message, message
        return message

    async def auth(self, token: str, **fields: Any) -> dict[str, Any]:
        await self.send({"type": "auth", "token": token, **fields})
        return await self.expect("authenticated")

    async def subscribe(self, *types: str) -> list[str]:
        await self.send({"type": "subscribe", "events": list(types)})
        answer = await self.expect("subscription_updated")
        subscribed = answer["subscribed_events"]
        assert isinstance(subscribed, list)
        return subscribed

    async def unsubscribe(self, *types: str) -> list[str]:
        await self.send({"type": "unsubscribe", "events": list(types)})
        answer = await self.expect("subscription_updated")
        subscribed = answer["subscribed_events"]
        assert isinstance(subscribed, list)
        return subscribed

    async def heartbeat(self, **fields: Any) -> dict[str, Any]:
        await self.send({"type": "heartbeat", "timestamp": "2026-01-27T10:30:00Z", **fields})
        return await self.expect("heartbeat_ack")

    async def seqs(self, count: int) -> list[int]:
        """Return the seqs of the next events."""
        return [(await self.event())["seq"] for _ in range(count)]

    async def closed(self) -> int:
        """Read until the server closes; return the close code."""
        try:
            while True:
                await asyncio.wait_for(self.connection.recv(), PATIENCE)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006

    async def refused(self) -> tuple[str, int]:
        """Return the code of the error frame that ends the connection, and the close code."""
        error = await self.expect("error")
        return str(error["code"]), await self.closed()
