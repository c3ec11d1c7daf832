"""The HTTP servers, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from harkara_servicekit.http_server import HttpServer
from harkara_servicekit.ops_http import OpsServer
from harkara_servicekit.settings import split_address

SECONDS = 20
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class Health:
    live: bool = True
    ready: bool = False


@asynccontextmanager
async def ops(health: Health, registry: CollectorRegistry) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an ops server that runs for the block."""
    server = OpsServer("127.0.0.1:0", registry, live=lambda: health.live, ready=lambda: health.ready)
    address = await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
            yield client
    finally:
        await server.stop()


async def test_livez_and_readyz_say_what_the_service_says_at_each_request() -> None:
    health = Health()
    async with ops(health, CollectorRegistry()) as client:

        async def verdicts() -> tuple[int, int]:
            return (await client.get("/livez")).status_code, (await client.get("/readyz")).status_code

        assert await verdicts() == (200, 503)
        health.ready = True
        assert await verdicts() == (200, 200)
        health.ready = False
        assert await verdicts() == (200, 503)
        health.live, health.ready = False, True
        assert await verdicts() == (503, 503)


async def test_metrics_are_those_of_the_registry_given() -> None:
    registry = CollectorRegistry()
    calls = Counter("harkara_sample_calls", "Calls of the sample.", registry=registry)
    async with ops(Health(), registry) as client:
        calls.inc(3)
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "# HELP harkara_sample_calls_total Calls of the sample.\n" in answer.text
        assert "\nharkara_sample_calls_total 3.0\n" in answer.text
        assert "python_info" not in answer.text
        assert (await client.get("/")).status_code == 404
        assert "server" not in answer.headers


async def test_only_reading_is_offered_and_only_what_is_there() -> None:
    async with ops(Health(), CollectorRegistry()) as client:
        assert (await client.post("/livez")).status_code == 405
        assert (await client.get("/livez?verbose=1")).status_code == 200
        assert (await client.get("/other")).status_code == 404
        head = await client.head("/livez")
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "3", b"")


async def test_an_ops_request_that_never_ends_or_is_no_request_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("harkara_servicekit.ops_http.REQUEST_SECONDS", 0.1)
    server = OpsServer("127.0.0.1:0", CollectorRegistry(), live=lambda: True, ready=lambda: True)
    host, port = split_address(await server.start())
    for sent in (b"GET /livez HTTP/1.1\r\n", b"", b"x" * 100_000, b"\r\n\r\n"):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(sent)
        async with asyncio.timeout(SECONDS):
            answer = await reader.read()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 405 ")
        writer.close()
    await server.stop()


async def test_an_ops_server_stops_though_somebody_holds_a_connection_open() -> None:
    server = OpsServer("127.0.0.1:0", CollectorRegistry(), live=lambda: True, ready=lambda: True)
    host, port = split_address(await server.start())
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /livez")
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        await server.stop()
        assert await reader.read() == b""
    writer.close()


class Slow:
    """An application whose answer waits until it is let go."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.app = Starlette(routes=[Route("/", self._answer)])

    async def _answer(self, _: Request) -> Response:
        self.asked.set()
        await self.go.wait()
        return PlainTextResponse("done")


async def connects(address: str) -> bool:
    try:
        _, writer = await asyncio.open_connection(*split_address(address))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_a_stop_takes_no_more_and_lets_a_request_under_way_finish() -> None:
    slow = Slow()
    server = HttpServer(slow.app, "127.0.0.1", 0, close_seconds=SECONDS)
    address = await server.start()
    async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
        request = asyncio.create_task(client.get(f"http://{address}/"))
        await slow.asked.wait()
        stopping = asyncio.create_task(server.stop())
        async with asyncio.timeout(SECONDS):
            while await connects(address):  # noqa: ASYNC110 - nothing tells when it closes.
                await asyncio.sleep(0.005)
        assert not stopping.done()
        assert not request.done()
        slow.go.set()
        assert (await request).text == "done"
        await asyncio.wait_for(stopping, SECONDS)


async def test_a_request_that_never_ends_does_not_hold_up_a_stop() -> None:
    slow = Slow()
    server = HttpServer(slow.app, "127.0.0.1", 0, close_seconds=1)
    address = await server.start()
    async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
        request = asyncio.create_task(client.get(f"http://{address}/"))
        await slow.asked.wait()
        await asyncio.wait_for(server.stop(), SECONDS)
        assert not slow.go.is_set()
        # Cut, or told that the server failed: either way it has ended.
        answer = (await asyncio.gather(request, return_exceptions=True))[0]
        assert isinstance(answer, httpx.TransportError) or answer.status_code == 500  # type: ignore[union-attr]


async def test_a_connection_without_a_whole_request_is_given_up_and_one_being_answered_is_not() -> None:
    """uvicorn looks at the time only after an answer: what asked nothing once lived for ever."""
    slow = Slow()
    server = HttpServer(slow.app, "127.0.0.1", 0, head_seconds=0.05)
    host, port = split_address(await server.start())
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(REQUEST)
    await slow.asked.wait()
    for sent in (b"", REQUEST[:-2]):
        waiting, idle = await asyncio.open_connection(host, port)
        idle.write(sent)
        assert await asyncio.wait_for(waiting.read(), SECONDS) == b""
        idle.close()
    slow.go.set()
    assert (await asyncio.wait_for(reader.readuntil(b"done"), SECONDS)).startswith(b"HTTP/1.1 200 ")
    # Kept alive; but a byte of the next request must not make it stay for ever.
    writer.write(b"G")
    assert await asyncio.wait_for(reader.read(), SECONDS) == b""
    writer.close()
    await server.stop()


async def test_one_connection_too_many_is_told_503_until_another_ends() -> None:
    slow = Slow()
    slow.go.set()
    refused: list[None] = []
    server = HttpServer(slow.app, "127.0.0.1", 0, max_connections=2, on_refused=lambda: refused.append(None))
    host, port = split_address(await server.start())

    async def status() -> int:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(REQUEST)
        try:
            answer = await asyncio.wait_for(reader.readline(), SECONDS)
        except ConnectionResetError:  # Who asks a closed end anything may not get to read its last words.
            return 503
        writer.transport.abort()
        return int(answer.split()[1])

    kept = [await asyncio.open_connection(host, port) for _ in range(2)]
    reader, one_too_many = await asyncio.open_connection(host, port)
    answer = await asyncio.wait_for(reader.read(), SECONDS)
    one_too_many.close()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 5\r\n" in answer
    assert len(refused) == 1
    kept[0][1].transport.abort()
    async with asyncio.timeout(SECONDS):
        while await status() != 200:  # noqa: ASYNC110 - nothing tells when it has noticed.
            await asyncio.sleep(0.005)
    kept[1][1].close()
    await server.stop()


async def test_a_taken_port_is_told_with_the_address() -> None:
    first = HttpServer(Starlette(), "127.0.0.1", 0)
    address = await first.start()
    try:
        with pytest.raises(OSError, match=f"cannot listen on {address}"):
            await HttpServer(Starlette(), *split_address(address)).start()
        with pytest.raises(OSError, match=f"cannot listen on {address}"):
            await OpsServer(address, CollectorRegistry(), live=bool, ready=bool).start()
    finally:
        await first.stop()


async def test_a_stopped_server_gives_its_port_back() -> None:
    first = HttpServer(Starlette(), "127.0.0.1", 0)
    address = await first.start()
    await first.stop()
    second = HttpServer(Starlette(), *split_address(address))
    assert await second.start() == address
    await second.stop()
    await second.stop()


async def test_a_server_that_never_started_can_be_stopped() -> None:
    await HttpServer(Starlette(), "127.0.0.1", 0).stop()


async def test_an_ipv6_address_comes_back_in_brackets() -> None:
    server = HttpServer(Starlette(), "::1", 0)
    try:
        address = await server.start()
    except OSError:
        pytest.skip("this machine has no IPv6")
    try:
        assert split_address(address)[0] == "::1"
        assert await connects(address)
    finally:
        await server.stop()


@pytest.mark.parametrize(("target", "status"), [("/%C3%A9?a=%C3%A9", 404), ("/é", 400), ("/?a=é", 400)])
async def test_a_url_that_is_not_ascii_is_refused_unread(target: str, status: int) -> None:
    server = HttpServer(Starlette(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*split_address(await server.start()))
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), SECONDS)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    finally:
        writer.close()
        await writer.wait_closed()
        await server.stop()
