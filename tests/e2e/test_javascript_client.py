"""The JavaScript client, in Node, on the whole mesh: through a network that cuts its connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from harkara.event.v1 import event_pb2
from tests.support.mesh import Mesh
from tests.support.node import JAVASCRIPT_CLIENT, node_with_websocket, without_node
from tests.support.tcp_proxy import TcpProxy

WAIT_SECONDS = 30


@dataclass
class JavaScriptClient:
    """A client in a process of its own, and what it was told so far."""

    process: asyncio.subprocess.Process
    told: list[tuple[str, Any]] = field(default_factory=list)

    async def until(self, name: str, count: int = 1) -> None:
        """Wait until it was told this so many times."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.of(name)) < count:
                line = await self.process.stdout.readline()
                assert line, f"the client ended; it was told {self.told}"
                told = json.loads(line)
                self.told.append((told["told"], told["detail"]))

    def of(self, name: str) -> list[Any]:
        return [detail for told, detail in self.told if told == name]

    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.of("*")]


@asynccontextmanager
async def javascript_client(**configuration: Any) -> AsyncIterator[JavaScriptClient]:
    node = node_with_websocket()
    if node is None:
        without_node()
    process = await asyncio.create_subprocess_exec(
        *node,
        JAVASCRIPT_CLIENT / "test" / "support" / "drive.js",
        json.dumps(configuration),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    try:
        yield JavaScriptClient(process)
        process.stdin.close()
        async with asyncio.timeout(WAIT_SECONDS):
            assert await process.wait() == 0  # Nothing keeps it alive after disconnect().
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def draft(user_id: str, number: int) -> event_pb2.EventDraft:
    return event_pb2.EventDraft(
        user_id=user_id, event_type="order_created", data=json.dumps({"order_id": f"ord_{number}"})
    )


async def test_no_event_is_lost_or_doubled_while_connections_are_cut(mesh: Mesh) -> None:
    user_id = "javascript_cut"
    mesh.add_users({user_id: "customer"})
    edge = urlsplit(mesh.websocket_url)
    assert edge.hostname is not None
    assert edge.port is not None
    async with (
        TcpProxy.running(edge.hostname, edge.port) as (proxy, port),
        javascript_client(
            url=f"ws://127.0.0.1:{port}{edge.path}",
            token=mesh.token_of(user_id),
            userId=user_id,
            types=["order_created"],
        ) as client,
    ):
        await client.until("subscription_updated")
        for cut in range(5):
            await asyncio.to_thread(mesh.emit, *(draft(user_id, number) for number in range(10)))
            proxy.cut_all(reset=cut % 2 == 1)
            # While nobody is there, more happens.
            await asyncio.to_thread(mesh.emit, *(draft(user_id, number) for number in range(10)))
        await client.until("*", 100)
        await asyncio.to_thread(mesh.emit, draft(user_id, 100))
        await client.until("*", 101)
        assert client.seqs() == list(range(1, 102))
        assert client.of("gap") == []
        assert len(client.of("disconnected")) >= 1
        assert all(told["recovered"] for told in client.of("connected")[1:])


async def test_a_user_who_is_disabled_is_out_and_not_tried_again(mesh: Mesh) -> None:
    user_id = "javascript_out"
    mesh.add_users({user_id: "customer"})
    async with javascript_client(
        url=mesh.websocket_url, token=mesh.token_of(user_id), userId=user_id, types=["*"]
    ) as client:
        await client.until("subscription_updated")
        await asyncio.to_thread(mesh.change_users, "disable", [user_id])
        await client.until("connection_failed")
        (failure,) = client.of("connection_failed")
        assert (failure["code"], failure["reason"], failure["final"]) == (4403, "forbidden", True)


async def test_where_no_websocket_can_be_had_events_come_from_the_history_each_once(mesh: Mesh) -> None:
    user_id = "javascript_poll"
    mesh.add_users({user_id: "customer"})
    edge = urlsplit(mesh.websocket_url)
    assert edge.hostname is not None
    assert edge.port is not None
    await asyncio.to_thread(mesh.emit, draft(user_id, 0))
    async with TcpProxy.running(edge.hostname, edge.port) as (proxy, port):
        proxy.accepts = False
        async with javascript_client(
            url=f"ws://127.0.0.1:{port}{edge.path}",
            token=mesh.token_of(user_id),
            userId=user_id,
            types=["*"],
            options={"polling": {"url": mesh.rest_url, "afterFailures": 1, "intervalMs": 20}},
        ) as client:
            await client.until("polling")
            await asyncio.to_thread(mesh.emit, *(draft(user_id, number) for number in range(1, 5)))
            await client.until("*", 4)
            proxy.accepts = True
            await client.until("connected")
            await asyncio.to_thread(mesh.emit, *(draft(user_id, number) for number in range(5, 9)))
            await client.until("*", 8)
            assert client.seqs() == list(range(2, 10))
            assert client.of("gap") == []
