"""The opening request, over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.integration.edge.conftest import Edge
from tests.support.raw_client import PATH, RawClient, message, request

Connect = Callable[[], Awaitable[RawClient]]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def connect(shared_edge: Edge) -> AsyncIterator[Connect]:
    clients = []

    async def one() -> RawClient:
        client = await RawClient.connect(shared_edge.address)
        clients.append(client)
        return client

    yield one
    for client in clients:
        await client.close()


async def test_the_documented_path_is_upgraded_without_compression(connect: Connect) -> None:
    client = await connect()
    client.send(request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"))
    head = await client.head()
    assert head.startswith("HTTP/1.1 101 Switching Protocols\r\n")
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    assert "Extensions" not in head


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("/"), 404),
        (request("/api/websocket/ws/"), 404),
        (request(method="POST"), 405),
        (request(Upgrade=None, Connection=None, Sec_WebSocket_Key=None, Sec_WebSocket_Version=None), 426),
        (request(Upgrade="h2c"), 426),
        (request(Host=None), 400),
        (request(Sec_WebSocket_Key=None), 400),
        (request(Sec_WebSocket_Key="short"), 400),
        (request(Sec_WebSocket_Version="8"), 400),
        (request(version="1.0"), 505),
        (request(Origin="https://evil.example"), 403),
        (request(Content_Length="5"), 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (request(X_Long="x" * 9_000), 431),
        (request(f"/{'x' * 9_000}"), 414),
        (request(**{f"X_{number}": "x" for number in range(200)}), 431),
    ],
)
async def test_any_other_request_is_refused_with_its_status(
    connect: Connect, data: bytes, status: int
) -> None:
    client = await connect()
    client.send(data)
    assert await client.status() == status


async def test_a_plain_get_is_told_to_upgrade(connect: Connect) -> None:
    client = await connect()
    client.send(request(Upgrade=None, Connection=None))
    head = await client.head()
    assert head.startswith("HTTP/1.1 426 Upgrade Required\r\n")
    assert "Upgrade: websocket\r\n" in head


async def test_a_refusal_says_its_status_and_nothing_more(connect: Connect) -> None:
    client = await connect()
    client.send(request(Sec_WebSocket_Key="short"))
    await client.head()
    assert await client.eof() == b"400 Bad Request\n"


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]"])
async def test_a_browser_on_this_machine_may_connect(connect: Connect, origin: str) -> None:
    client = await connect()
    client.send(request(Origin=origin))
    assert (await client.head()).startswith("HTTP/1.1 101 ")


async def test_a_request_in_pieces_with_frames_right_behind_it_is_one_request(connect: Connect) -> None:
    client = await connect()
    data = request() + message(type="heartbeat")
    for start in range(0, len(data), 7):
        client.send(data[start : start + 7])
        await client.writer.drain()
    assert (await client.head()).startswith("HTTP/1.1 101 ")
    assert (await client.text())["code"] == "unauthenticated"


async def test_a_head_without_end_is_refused_before_it_is_all_there(connect: Connect) -> None:
    client = await connect()
    client.send(f"GET {PATH} HTTP/1.1\r\n".encode() + b"X: y\r\n" * 3_000)
    assert (await client.head()).startswith("HTTP/1.1 431 ")
