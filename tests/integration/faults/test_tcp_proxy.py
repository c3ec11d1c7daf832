"""The proxy that plays a bad network does what it says."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.tcp_proxy import TcpProxy

PATIENCE = 10.0


@pytest.mark.parametrize("towards_client", [True, False])
async def test_a_half_closed_connection_stays_so_though_the_other_end_goes_on_talking(
    towards_client: bool,
) -> None:
    """It was cut with the next chunk that way: half-open for milliseconds, where a test meant seconds."""
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    server = await asyncio.start_server(lambda *ends: accepted.put_nowait(ends), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with TcpProxy.running(host, port) as (proxy, proxy_port):
        client_side = await asyncio.open_connection("127.0.0.1", proxy_port)
        server_side = await asyncio.wait_for(accepted.get(), PATIENCE)
        told, talking = (client_side, server_side) if towards_client else (server_side, client_side)
        proxy.half_close(towards_client=towards_client)
        assert await asyncio.wait_for(told[0].read(), PATIENCE) == b""
        for _ in range(3):
            talking[1].write(b"not heard any more")
            await talking[1].drain()
            told[1].write(b"yes")
            assert await asyncio.wait_for(talking[0].readexactly(3), PATIENCE) == b"yes"
        talking[1].close()
        told[1].close()
    server.close()
    await server.wait_closed()
