"""An event-service in this process, over real gRPC: all of it, or its gRPC side on a log of the test's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from grpc import aio
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from harkara.auth.v1 import auth_service_pb2 as auth_pb
from harkara.auth.v1 import auth_service_pb2_grpc as auth_grpc
from harkara.event.v1 import delivery_service_pb2_grpc as delivery_grpc
from harkara.event.v1 import emit_service_pb2_grpc as emit_grpc
from harkara_catalogue.event_types import Catalogue
from harkara_event_service import wiring
from harkara_event_service.adapters.credentials import AuthServiceCredentials, utc_now
from harkara_event_service.adapters.delivery_servicer import DeliveryServicer
from harkara_event_service.adapters.emit_servicer import EmitServicer
from harkara_event_service.adapters.memory_devices import MemoryDevices
from harkara_event_service.domain.event import NumberedEvent, announced
from harkara_event_service.domain.registry import Registry
from harkara_event_service.metrics import Metrics
from harkara_event_service.ports import Caller, Committed, EventLog
from harkara_event_service.service import Delivering, Devices, Emitting
from harkara_event_service.settings import Settings
from harkara_servicekit.credential import Credential
from harkara_servicekit.grpc_client import open_channel
from harkara_servicekit.grpc_server import Guard, bind, create_server
from tests.support.channels import open_channel_as
from tests.support.query_peers import AuthPeer

ORDERS = "token-of-orders"
EDGE = "token-of-edge"
QUERY_SERVICE = "token-of-query-service"
PERSON = "token-of-person"
OPERATOR = "token-of-operator"
SECONDS = 20.0


def known_callers() -> AuthPeer:
    """An auth-service that knows the tokens above; `orders` emits orders, locations and failed payments."""
    peer = AuthPeer()
    peer.add("person", "customer", token=PERSON)
    for name, token in (("edge", EDGE), ("query-service", QUERY_SERVICE), ("operator", OPERATOR)):
        peer.add(name, "internal", kind=auth_pb.PRINCIPAL_KIND_INTERNAL, token=token)
    add_service(peer, "orders", ["order_*", "location_updated", "payment_failed"], token=ORDERS)
    return peer


def add_service(
    peer: AuthPeer, name: str, types: Sequence[str], *, expires_in: float = 3600, token: str | None = None
) -> str:
    """Let a service in that may emit these types; its token."""
    kind = auth_pb.PRINCIPAL_KIND_SERVICE
    token = peer.add(name, "service", kind=kind, expires_in=expires_in, token=token)
    answer = peer.answers[token]
    assert isinstance(answer, auth_pb.AuthenticateResponse)
    answer.event_types.extend(types)
    return token


class Listening:
    """Where an event-service listens, and stubs for whoever calls it.

    Args:
        target: Its address.
        auth: Its auth-service.
        stack: Closes the channels.
    """

    def __init__(self, target: str, auth: AuthPeer, stack: AsyncExitStack) -> None:
        self.target = target
        self.auth = auth
        self._stack = stack
        self._channels: dict[str | None, aio.Channel] = {}

    def channel(self, token: str | None) -> aio.Channel:
        """A channel of the holder of this token."""
        channel = self._channels.get(token)
        if channel is None:
            channel = self._channels[token] = open_channel_as(self.target, token)
            self._stack.push_async_callback(channel.close, None)
        return channel

    def emit(self, token: str | None = ORDERS) -> Any:
        """`EmitService`, as the holder of this token calls it."""
        return emit_grpc.EmitServiceStub(self.channel(token))

    def delivery(self, token: str | None = EDGE) -> Any:
        """`DeliveryService`, as the holder of this token calls it."""
        return delivery_grpc.DeliveryServiceStub(self.channel(token))


@dataclass
class Running:
    """A whole event-service.

    Attributes:
        bound: Where it listens.
        calls: For calls to it.
        serving: Ends when it has stopped.
        stop: Stops it.
    """

    bound: wiring.Bound
    calls: Listening
    serving: asyncio.Task[None]
    stop: asyncio.Event


@asynccontextmanager
async def listening_auth(peer: AuthPeer) -> AsyncIterator[str]:
    """Have an auth-service listen; yields where."""
    server = create_server()
    auth_grpc.add_AuthServiceServicer_to_server(peer, server)
    address = bind(server, "127.0.0.1:0")
    await server.start()
    try:
        yield address
    finally:
        await server.stop(None)


def credential_file(folder: Path) -> Path:
    """The event-service's own credential."""
    path = folder / "event-service.token"
    path.touch(mode=0o600)
    path.write_text("internal-token-of-the-event-service")
    return path


@asynccontextmanager
async def running_event_service(dsn: str, folder: Path, **settings: object) -> AsyncIterator[Running]:
    """An event-service on a database, through its own `serve`, on free ports."""
    async with AsyncExitStack() as stack:
        peer = known_callers()
        given: dict[str, object] = {
            "listen_address": "127.0.0.1:0",
            "ops_address": "127.0.0.1:0",
            "auth_target": await stack.enter_async_context(listening_auth(peer)),
            "credential_file": credential_file(folder),
            "postgres_dsn": SecretStr(dsn),
        }
        stop = asyncio.Event()
        bound: asyncio.Future[wiring.Bound] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            wiring.serve(Settings.model_validate(given | settings), stop, bound.set_result)
        )
        try:
            await asyncio.wait((serving, bound), timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            address = bound.result().listen_address
            async with AsyncExitStack() as channels:
                yield Running(bound.result(), Listening(address, peer, channels), serving, stop)
        finally:
            stop.set()
            async with asyncio.timeout(SECONDS):
                await serving


@dataclass
class Assembled:
    """The gRPC side of an event-service, on a log of the test's.

    Attributes:
        calls: For calls to it.
        delivering: What is behind Attach.
        registry: Its sessions.
        emit: The servicer of EmitService.
        delivery: The servicer of DeliveryService.
        server: What they run in.
        credentials: Whom it knows.
        clock_ahead: How far its clock for credentials is ahead of the real one.
    """

    calls: Listening
    delivering: Delivering
    registry: Registry
    emit: EmitServicer
    delivery: DeliveryServicer
    server: aio.Server
    credentials: AuthServiceCredentials
    clock_ahead: timedelta


@asynccontextmanager
async def assembled_event_service(
    make_log: Callable[[Committed], EventLog], folder: Path, most_sessions: int = 20
) -> AsyncIterator[Assembled]:
    """The servicers on a log, guarded as in `wiring`.

    Args:
        make_log: Makes the log, given what it is to tell of commits; opened and closed by the caller.
        folder: Where a credential's file goes.
        most_sessions: How many connections a user may have.
    """
    async with AsyncExitStack() as stack:
        peer = known_callers()
        channel = open_channel(await stack.enter_async_context(listening_auth(peer)))
        stack.push_async_callback(channel.close, None)
        metrics = Metrics(CollectorRegistry())
        catalogue = Catalogue.reference()
        registry = Registry(max_sessions_per_user=most_sessions, size_of_catalogue=len(catalogue.types))

        def committed(events: Sequence[NumberedEvent]) -> None:
            delivering.announce(map(announced, events))

        log = make_log(committed)
        delivering = Delivering(log, registry, utc_now, Devices(MemoryDevices(), utc_now))
        running = asyncio.create_task(delivering.run())
        stack.push_async_callback(_end, running)
        stack.push_async_callback(delivering.close_all)
        credentials = AuthServiceCredentials(
            channel,
            Credential(credential_file(folder)),
            catalogue,
            lambda: time.time() + service.clock_ahead.total_seconds(),
        )
        guard: Guard[Caller] = Guard(wiring.RULES, wiring.identify(credentials))
        caller_now = wiring.look_again(credentials)
        server = create_server([guard])
        emit = EmitServicer(
            Emitting(
                log,
                catalogue,
                utc_now,
                wiring.mint_id,
                is_swamped=lambda: delivering.is_swamped,
                hand_on=delivering.announce_ephemeral,
            ),
            guard.caller,
            caller_now,
            metrics,
        )
        delivery = DeliveryServicer(delivering, guard.caller, caller_now, metrics)
        emit_grpc.add_EmitServiceServicer_to_server(emit, server)
        delivery_grpc.add_DeliveryServiceServicer_to_server(delivery, server)
        target = bind(server, "127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        channels = await stack.enter_async_context(AsyncExitStack())
        service = Assembled(
            calls=Listening(target, peer, channels),
            delivering=delivering,
            registry=registry,
            emit=emit,
            delivery=delivery,
            server=server,
            credentials=credentials,
            clock_ahead=timedelta(0),
        )
        yield service


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
