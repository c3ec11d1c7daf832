"""What the query-service remembers of the other services' answers, by a clock of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harkara_query_service.adapters import auth_client
from harkara_query_service.adapters.auth_client import AuthClient
from harkara_query_service.adapters.event_stats import EventStats
from harkara_query_service.domain.access import Reader
from harkara_query_service.domain.errors import UnauthenticatedError
from harkara_servicekit.credential import Credential
from harkara_servicekit.grpc_client import open_channel
from tests.support.query_peers import (
    AuthPeer,
    EventPeer,
    auth_server_of,
    credential_file,
    event_server_of,
    listening,
)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def auth_peer() -> AuthPeer:
    return AuthPeer()


@pytest.fixture
async def client(auth_peer: AuthPeer, clock: Clock, tmp_path: Path) -> AsyncIterator[AuthClient]:
    credential = Credential(credential_file(tmp_path))
    async with listening(auth_server_of(auth_peer)) as target, open_channel(target) as channel:
        client = AuthClient(channel, credential, clock=now, monotonic=clock)
        yield client
        await client.close()


async def test_an_answer_about_a_token_serves_for_five_seconds(
    client: AuthClient, auth_peer: AuthPeer, clock: Clock
) -> None:
    token = auth_peer.add("user_1", "customer")
    for seconds, asked in ((0.0, 1), (4.9, 1), (5.0, 2), (9.9, 2), (10.0, 3)):
        clock.seconds = 1000 + seconds
        assert await client.verify(token) == Reader("user_1", "customer")
        assert len(auth_peer.asked) == asked


async def test_a_role_that_changed_is_known_after_five_seconds(
    client: AuthClient, auth_peer: AuthPeer, clock: Clock
) -> None:
    token = auth_peer.add("user_1", "admin")
    assert (await client.verify(token)).role == "admin"
    del auth_peer.answers[token]
    clock.seconds += 5
    with pytest.raises(UnauthenticatedError):
        await client.verify(token)


async def test_only_so_many_answers_are_kept_and_the_oldest_goes_first(
    client: AuthClient, auth_peer: AuthPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth_client, "CACHE_ENTRIES", 2)
    tokens = [auth_peer.add(f"user_{number}", "customer") for number in range(3)]
    for token in (*tokens, tokens[1], tokens[2], tokens[0]):
        await client.verify(token)
    assert auth_peer.asked == [*tokens, tokens[0]]


async def test_a_caller_that_gives_up_does_not_take_the_answer_from_others(
    client: AuthClient, auth_peer: AuthPeer
) -> None:
    token = auth_peer.add("user_1", "customer")
    auth_peer.gate.clear()
    leaving = asyncio.create_task(client.verify(token))
    await auth_peer.was_asked.wait()
    staying = asyncio.create_task(client.verify(token))
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    auth_peer.gate.set()
    assert await staying == Reader("user_1", "customer")
    assert auth_peer.asked == [token]


async def test_counts_serve_for_a_second(clock: Clock, tmp_path: Path) -> None:
    peer, credential = EventPeer("a"), Credential(credential_file(tmp_path))
    async with listening(event_server_of(peer)) as target, open_channel(target) as channel:
        stats = EventStats([channel], credential, clock=now, monotonic=clock)
        for seconds, connections, told in ((0.0, 1, 1), (0.9, 2, 1), (1.0, 3, 3)):
            clock.seconds = 1000 + seconds
            peer.stats.connections = connections
            assert (await stats.read()).total_connections == told
        await stats.close()
