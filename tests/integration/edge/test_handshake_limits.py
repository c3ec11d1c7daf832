"""Who gets in when there are many, and when they are slow; and from where."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from harkara_servicekit.listening import FILES_BESIDES_CLIENTS
from tests.integration.edge.conftest import Edge
from tests.support.raw_client import RawClient, request
from tests.support.waiting import wait_until_async

Connect = Callable[[], Awaitable[RawClient]]


@pytest.fixture
async def connect(edge: Edge) -> AsyncIterator[Connect]:
    clients = []

    async def one() -> RawClient:
        client = await RawClient.connect(edge.address)
        clients.append(client)
        return client

    yield one
    for client in clients:
        await client.close()


@pytest.mark.parametrize("edge_settings", [{"allowed_origins": "https://shop.example"}])
async def test_in_production_a_list_says_which_origins_may(connect: Connect) -> None:
    for origin, status in [
        ("https://shop.example", "101"),
        ("http://localhost", "403"),
        (None, "101"),
    ]:
        client = await connect()
        client.send(request(Origin=origin))
        assert (await client.head()).split(" ")[1] == status


async def test_a_request_that_takes_too_long_is_given_up(edge: Edge, connect: Connect) -> None:
    client = await connect()
    client.send(request()[:-2])
    await wait_until_async(lambda: edge.metric("harkara_edge_connections") == 1)
    edge.clock.ahead += 9
    other = await connect()
    other.send(request())
    await other.head()
    edge.clock.ahead += 2
    assert await client.status() == 408


@pytest.mark.parametrize("edge_settings", [{"max_connections_per_address": 3}])
async def test_one_connection_too_many_from_an_address_is_503_until_another_ends(
    edge: Edge, connect: Connect
) -> None:
    clients = [await connect() for _ in range(4)]
    statuses = []
    for client in clients:
        client.send(request())
        statuses.append((await client.head()).split(" ")[1])
    assert statuses == ["101", "101", "101", "503"]
    await clients[0].close()
    await wait_until_async(lambda: edge.metric("harkara_edge_connections") == 2)
    client = await connect()
    client.send(request())
    assert (await client.head()).startswith("HTTP/1.1 101 ")


@pytest.mark.parametrize("edge_settings", [{"max_connections_per_address": 2}])
async def test_far_past_the_limit_of_an_address_a_connection_is_cut_without_an_answer(
    connect: Connect,
) -> None:
    clients = [await connect() for _ in range(4)]

    assert await (await connect()).eof() == b""

    statuses = []
    for client in clients:
        client.send(request())
        statuses.append((await client.head()).split(" ")[1])
    assert statuses == ["101", "101", "503", "503"]


@pytest.mark.parametrize("edge_settings", [{"max_connections_per_address": 5, "workers": 2}])
async def test_workers_share_the_limit_of_an_address(connect: Connect) -> None:
    clients = [await connect() for _ in range(4)]
    statuses = []
    for client in clients:
        client.send(request())
        statuses.append((await client.head()).split(" ")[1])
    # Five for two workers: three for each.
    assert statuses == ["101", "101", "101", "503"]


@pytest.mark.parametrize("edge_settings", [{"max_connections": 2}])
async def test_a_worker_that_is_full_says_so(connect: Connect) -> None:
    clients = [await connect() for _ in range(3)]
    heads = []
    for client in clients:
        client.send(request())
        heads.append(await client.head())
    assert [head.split(" ")[1] for head in heads] == ["101", "101", "503"]
    assert "Retry-After: 5\r\n" in heads[2]


@pytest.fixture
def few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the edge think that it may open so few that 8 are left for clients."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (FILES_BESIDES_CLIENTS + 8, resource.RLIM_INFINITY))


@pytest.mark.usefixtures("few_files")
async def test_where_files_are_few_those_told_that_it_is_full_have_their_part_of_them(
    edge: Edge, connect: Connect
) -> None:
    """A storm of newcomers once ran a worker out of files: those told came on top of the limit."""
    clients = [await connect() for _ in range(8)]
    await wait_until_async(lambda: edge.metric("harkara_edge_connections") == 8)
    statuses = []
    for client in clients:
        client.send(request())
        statuses.append((await client.head()).split(" ")[1])
        if len(statuses) == 1:
            # While the last two have yet to be told, there is no file for a ninth.
            one_more = await connect()
            assert await asyncio.wait_for(one_more.reader.read(), 10) == b""
    assert statuses == ["101"] * 6 + ["503"] * 2
