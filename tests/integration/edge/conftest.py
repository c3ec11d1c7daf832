from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
import uvloop
from prometheus_client import CollectorRegistry

from harkara_edge.domain.commands import Moment
from harkara_edge.settings import EdgeSettings
from harkara_edge.wiring import Bound, serve
from tests.support.raw_client import RawClient, message
from tests.support.reference_client import ReferenceClient
from tests.support.scripted_mesh import (
    Attached,
    ScriptedAuth,
    ScriptedDelivery,
    ScriptedMesh,
    TinyEventService,
    opened,
    subscribed,
)
from tests.support.waiting import wait_until_async

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class ManualClock:
    """Goes with the real clock, and ahead of it by what a test says."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> Moment:
        return Moment(time.monotonic() + self.ahead, time.time() + self.ahead)


def failure_of(task: asyncio.Task[None]) -> BaseException:
    return task.exception() or RuntimeError("the edge ended before it had started")


@dataclass
class Edge:
    """A running edge, in this process, with scripted services behind it."""

    mesh: ScriptedMesh
    clock: ManualClock
    credential: Path
    settings: dict[str, Any]
    bound: Bound | None = None
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    clients: list[ReferenceClient] = field(default_factory=list)
    raw_clients: list[RawClient] = field(default_factory=list)

    @property
    def auth(self) -> ScriptedAuth:
        return self.mesh.auth

    @property
    def delivery(self) -> ScriptedDelivery:
        return self.mesh.delivery

    @property
    def address(self) -> str:
        assert self.bound is not None
        return self.bound.listen_address

    async def start(self) -> None:
        bound: asyncio.Future[Bound] = asyncio.get_running_loop().create_future()
        settings = EdgeSettings(
            listen_address="127.0.0.1:0",
            ops_address="127.0.0.1:0",
            auth_target=self.mesh.target,
            credential_file=self.credential,
            **{"event_targets": (self.mesh.target,), "drain_seconds": 0, **self.settings},
        )
        self.task = asyncio.create_task(
            serve(
                settings,
                self.stop,
                bound.set_result,
                hurry=self.hurry,
                clock=self.clock,
                registry=self.registry,
            )
        )

        def ended(task: asyncio.Task[None]) -> None:
            if not bound.done():
                bound.set_exception(failure_of(task))

        self.task.add_done_callback(ended)
        self.bound = await bound

    def metric(self, name: str) -> float:
        """Return the value of a metric without labels."""
        value = self.registry.get_sample_value(name)
        assert value is not None
        return value

    async def lose_watch(self, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        """End the watch over revocations, and refuse another with this until `auth.refuse` is None again."""
        # One that has not begun cannot be lost, and without it nobody is let in.
        await wait_until_async(lambda: self.metric("harkara_edge_watching") == 1)
        self.auth.refuse = code
        self.auth.end_watches()
        await wait_until_async(lambda: self.metric("harkara_edge_watching") == 0)

    async def end(self) -> None:
        self.stop.set()
        self.hurry.set()
        for client in self.clients:
            client.connection.transport.abort()
        for raw in self.raw_clients:
            await raw.close()
        if self.task is not None:
            await self.task

    async def open(self, **options: Any) -> ReferenceClient:
        client = await ReferenceClient.open(self.address, **options)
        self.clients.append(client)
        return client

    async def raw(self, receive_buffer: int | None = None) -> RawClient:
        """Open a client that can do anything; it is closed in the end."""
        raw = await RawClient.open(self.address, receive_buffer)
        self.raw_clients.append(raw)
        return raw

    async def raw_sign_in(self, user_id: str = "user_1", **fields: Any) -> RawClient:
        """Open and authenticate one, where something answers Open."""
        raw = await self.raw(fields.pop("receive_buffer", None))
        raw.send(message(type="auth", token=self.auth.add(user_id), **fields))
        assert (await raw.text())["type"] == "authenticated"
        return raw

    async def sign_in(self, user_id: str = "user_1", **fields: Any) -> ReferenceClient:
        """Open and authenticate, where something answers Open."""
        client = await self.open()
        await client.auth(self.auth.add(user_id), **fields)
        return client

    async def sign_in_by_hand(
        self, stream: Attached, user_id: str = "user_1", seq: int = 0, **fields: Any
    ) -> tuple[ReferenceClient, int]:
        """Open and authenticate, answering Open on this stream; return the session's number too."""
        client = await self.open()
        await client.send({"type": "auth", "token": self.auth.add(user_id), **fields})
        command = await stream.expect("open")
        await stream.send(opened(command.session, command.generation, seq))
        await client.expect("authenticated")
        return client, command.session

    async def subscribe_by_hand(self, stream: Attached, client: ReferenceClient, *types: str) -> None:
        await client.send({"type": "subscribe", "events": list(types)})
        command = await stream.expect("subscribe")
        await stream.send(subscribed(command.session, command.change))
        await client.expect("subscription_updated")


@pytest.fixture
def edge_settings() -> dict[str, Any]:
    return {}


@contextlib.asynccontextmanager
async def running_edge(folder: Path, settings: dict[str, Any] | None = None) -> AsyncIterator[Edge]:
    """Run an edge and its scripted services."""
    credential = folder / "edge.token"
    credential.touch(mode=0o600)
    credential.write_text("internal-edge-token\n")
    mesh = await ScriptedMesh.start(ScriptedDelivery(), ScriptedAuth())
    running = Edge(mesh, ManualClock(), credential, settings or {})
    await running.start()
    yield running
    await running.end()
    await mesh.stop()


@contextlib.asynccontextmanager
async def running_events(edge: Edge) -> AsyncIterator[TinyEventService]:
    """Run a correct event-service behind an edge."""
    service = TinyEventService(edge.delivery)
    task = asyncio.create_task(service.run())
    yield service
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def edge(tmp_path: Path, edge_settings: dict[str, Any]) -> AsyncIterator[Edge]:
    async with running_edge(tmp_path, edge_settings) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_edge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    """One edge with a correct event-service for a whole module, whose tests leave it as it was."""
    async with running_edge(tmp_path_factory.mktemp("edge")) as running, running_events(running):
        yield running


@pytest.fixture
async def stream(edge: Edge) -> Attached:
    """The edge's first Attach stream, in the test's hands."""
    return await edge.delivery.attached()


@pytest.fixture
async def events(edge: Edge) -> AsyncIterator[TinyEventService]:
    async with running_events(edge) as service:
        yield service


# What the edge runs on by default goes through everything; asyncio's own loop, through what concerns
# sockets: its transports are others.
_ON_BOTH_LOOPS = {"test_frames", "test_handshake", "test_slow_reader"}


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, LoopFactory]:
    if item.path.stem in _ON_BOTH_LOOPS:
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}
