"""What `Listener` does on each error that the server may tell it: the table that it shares with the edge."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.server import ServerConnection, serve

from harkara_client import Backoff, Listener, StoppedError
from tests.support.shared_protocol import load_shared_protocol

AUTHENTICATED = {
    "type": "authenticated",
    "epoch": "e",
    "seq": 0,
    "heartbeat_interval": 30,
    "expires_at": "2100-01-01T00:00:00Z",
}
EVENT = {
    "event_type": "order_created",
    "event_level": "high",
    "event_id": "evt_1",
    "timestamp": "2026-01-27T10:30:00Z",
    "user_id": "user_1",
    "data": {},
    "source": "orders",
    "seq": 1,
}
ERRORS = load_shared_protocol().errors
ENDS_BY_ITSELF = {"unknown_event_type", "too_many_subscriptions", "rate_limited"}
"""What a listener began with is refused, or a message of it is lost: it does not go on."""


@pytest.mark.parametrize("code", sorted(ERRORS.keys() - ENDS_BY_ITSELF))
async def test_an_error_alone_ends_no_connection_and_is_why_one_ends(code: str) -> None:
    """A close that is followed by no other connection shows why: 4403, after any error."""
    connections = 0

    async def script(socket: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await socket.recv()
        await socket.send(json.dumps(AUTHENTICATED))
        await socket.recv()
        await socket.send(json.dumps({"type": "subscription_updated", "subscribed_events": ["*"]}))
        await socket.send(json.dumps({"type": "error", "code": code, "message": "m"}))
        await socket.send(json.dumps(EVENT))
        await socket.close(4403)

    async with serve(script, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(20), Listener(url, token="t", backoff=Backoff(0.01, 0.01)) as listener:
            assert (await anext(listener)).seq == 1
            with pytest.raises(StoppedError) as stopped:
                await anext(listener)
    assert (stopped.value.code, stopped.value.close_code, connections) == (code, 4403, 1)
