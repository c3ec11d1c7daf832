"""Both backplanes, to be held to the same promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Protocol

import pytest
from prometheus_client import CollectorRegistry

from harkara_event_service.adapters.local_backplane import LocalHub
from harkara_event_service.adapters.nats_backplane import NatsBackplane
from harkara_event_service.adapters.outgoing import OutgoingLimits
from harkara_event_service.metrics import BackplaneMetrics
from harkara_event_service.ports import Backplane, Topic
from tests.support.nats import NatsServer, running_nats
from tests.support.waiting import wait_until_async


class Member:
    """One replica's backplane, and what it heard."""

    def __init__(self, backplane: Backplane, registry: CollectorRegistry) -> None:
        self.backplane = backplane
        self.heard: list[tuple[Topic, bytes]] = []
        self.is_sending = False
        self.heard_while_sending = False
        self._registry = registry

    async def join(self, log: str) -> None:
        self.backplane.join(log, self._hear)
        # It may be up with the former log still.
        await wait_until_async(lambda: self.send(b"are we there", Topic.EPHEMERAL))

    def send(self, message: bytes, topic: Topic = Topic.BATCHES) -> bool:
        self.is_sending = True
        try:
            return self.backplane.send(topic, message)
        finally:
            self.is_sending = False

    def counted(self, name: str) -> float:
        return self._registry.get_sample_value(f"harkara_event_service_hints_{name}_total") or 0.0

    def about(self, topic: Topic = Topic.BATCHES) -> list[bytes]:
        return [message for about, message in self.heard if about is topic]

    async def got(self, *messages: bytes) -> None:
        """Wait until exactly these came, in this order."""
        await wait_until_async(lambda: len(self.about()) >= len(messages))
        assert self.about() == list(messages)

    def _hear(self, topic: Topic, message: bytes) -> None:
        self.heard_while_sending |= self.is_sending
        if message != b"are we there":
            self.heard.append((topic, message))


class Mesh(Protocol):
    """What joins members."""

    def member(self, limits: OutgoingLimits | None = None) -> Member: ...

    def go_away(self) -> None: ...

    def come_back(self) -> None: ...


class _LocalMesh:
    def __init__(self) -> None:
        self._hub = LocalHub()

    def member(self, limits: OutgoingLimits | None = None) -> Member:
        registry = CollectorRegistry()
        return Member(self._hub.backplane(BackplaneMetrics(registry), limits), registry)

    def go_away(self) -> None:
        self._hub.is_up = False

    def come_back(self) -> None:
        self._hub.is_up = True


class _NatsMesh:
    def __init__(self, server: NatsServer, stack: AsyncExitStack) -> None:
        self._server = server
        self._stack = stack

    def member(self, limits: OutgoingLimits | None = None) -> Member:
        registry = CollectorRegistry()
        backplane = NatsBackplane([self._server.url], BackplaneMetrics(registry), limits)
        backplane.start()
        self._stack.push_async_callback(backplane.close)
        return Member(backplane, registry)

    def go_away(self) -> None:
        self._server.kill()

    def come_back(self) -> None:
        self._server.start()


@pytest.fixture(params=["local", "nats"])
async def mesh(request: pytest.FixtureRequest) -> AsyncIterator[Mesh]:
    if request.param == "local":
        yield _LocalMesh()
        return
    with running_nats() as server:
        async with AsyncExitStack() as stack:
            yield _NatsMesh(server, stack)
