"""What the backplane over NATS makes of a NATS that refuses, drops, freezes or is one of several."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry

from harkara_event_service.adapters import nats_backplane
from harkara_event_service.adapters.nats_backplane import NatsBackplane
from harkara_event_service.metrics import BackplaneMetrics
from harkara_event_service.ports import Topic
from tests.support.nats import NatsServer, running_nats
from tests.support.tcp_proxy import Link, TcpProxy
from tests.support.waiting import wait_until_async


@pytest.fixture
def nats() -> Iterator[NatsServer]:
    with running_nats() as server:
        yield server


class Members:
    """Backplanes that have joined one log."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.registries: list[CollectorRegistry] = []
        self.heard: list[bytes] = []

    def join(self, *servers: str) -> NatsBackplane:
        registry = CollectorRegistry()
        self.registries.append(registry)
        backplane = NatsBackplane(servers, BackplaneMetrics(registry))
        backplane.start()
        self._stack.push_async_callback(backplane.close)
        backplane.join("log", lambda _, message: self.heard.append(message))
        return backplane

    async def joined(self, *servers: str) -> NatsBackplane:
        backplane = self.join(*servers)
        await wait_until_async(lambda: backplane.is_up)
        return backplane

    def counted(self, member: int, name: str) -> float:
        return self.registries[member].get_sample_value(f"harkara_event_service_hints_{name}_total") or 0.0


@pytest.fixture
async def members() -> AsyncIterator[Members]:
    async with AsyncExitStack() as stack:
        yield Members(stack)


class Recording(TcpProxy):
    """A proxy that remembers what the client said."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.said = b""

    async def _pass_on(self, chunk: bytes, link: Link, writer: asyncio.StreamWriter) -> None:
        if writer is link.to_server:
            self.said += chunk
        await super()._pass_on(chunk, link, writer)


async def test_one_who_says_that_it_is_up_hears_what_is_sent_from_then_on(
    members: Members, nats: NatsServer
) -> None:
    # nats-py's flush asks the server before it has written the subscriptions. On a busy machine the answer
    # came before the server knew of them, and the first message was lost.
    target = urlsplit(nats.url)
    async with Recording.running(target.hostname or "", target.port or 0) as (proxy, port):
        await members.joined(f"nats://127.0.0.1:{port}")

        assert proxy.said.rindex(b"PING") > proxy.said.rindex(b"SUB")


async def test_a_message_too_large_for_the_server_is_dropped_and_the_next_one_comes(
    members: Members, nats: NatsServer
) -> None:
    one, _ = await members.joined(nats.url), await members.joined(nats.url)

    assert one.send(Topic.BATCHES, bytes(2 << 20))
    assert one.send(Topic.BATCHES, b"small")

    await wait_until_async(lambda: members.heard == [b"small"])
    assert members.counted(0, "dropped") == 1


async def test_what_comes_faster_than_it_is_taken_is_dropped_and_counted(
    members: Members, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_backplane, "_INCOMING_MESSAGES", 5)
    one, _ = await members.joined(nats.url), await members.joined(nats.url)

    for _ in range(500):
        one.send(Topic.BATCHES, b"hint")

    await wait_until_async(lambda: len(members.heard) + members.counted(1, "not_taken") == 500)
    assert members.counted(1, "not_taken") > 0


async def test_of_several_servers_one_that_is_there_is_enough(members: Members, nats: NatsServer) -> None:
    with running_nats() as gone:
        pass

    for _ in range(3):
        await members.joined(gone.url, nats.url)


async def test_a_server_that_refuses_us_is_asked_again_for_ever(members: Members) -> None:
    """nats-py itself gives up for good where it is refused once."""
    with running_nats("--user", "harkara", "--pass", "right") as server:
        known = server.url.replace("://", "://harkara:right@")
        member = members.join(known)
        await wait_until_async(lambda: member.is_up)
        server.kill()
        server.change("--user", "harkara", "--pass", "other")
        server.start()
        await wait_until_async(lambda: server.log().count("authentication error") >= 2)
        assert not member.is_up
        server.kill()
        server.change("--user", "harkara", "--pass", "right")
        server.start()
        await wait_until_async(lambda: member.is_up)


async def test_closing_does_not_wait_for_a_server_that_froze(members: Members, nats: NatsServer) -> None:
    member = await members.joined(nats.url)
    nats.freeze()
    for _ in range(16):
        member.send(Topic.BATCHES, bytes(1_000_000))
    await asyncio.sleep(0)

    started = time.monotonic()
    await member.close()

    assert time.monotonic() - started < 5


async def test_another_log_is_joined_though_the_former_connection_cannot_be_closed(
    members: Members, nats: NatsServer
) -> None:
    """nats-py hands on what waits before it closes, and a frozen server takes none of it."""
    member = await members.joined(nats.url)
    nats.freeze()
    for _ in range(16):
        member.send(Topic.BATCHES, bytes(1_000_000))
    client = member._client
    assert client is not None
    await wait_until_async(lambda: client.pending_data_size > nats_backplane._UNSENT_BYTES)

    with running_nats() as other:
        member._servers[:] = [other.url]
        member.join("another log", lambda _, message: members.heard.append(message))
        await wait_until_async(lambda: member.is_up and member._client is not client, seconds=8)


async def test_what_was_sent_before_closing_goes_out(members: Members, nats: NatsServer) -> None:
    one, _ = await members.joined(nats.url), await members.joined(nats.url)
    for number in range(100):
        one.send(Topic.BATCHES, b"%d" % number)

    await one.close()

    await wait_until_async(lambda: members.heard == [b"%d" % number for number in range(100)])
