"""A real query-service in this process, between real gRPC peers that a test scripts.

The peers speak the real protos; what they answer is the test's. Tests of the whole mesh run the real
services instead.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import httpx
from grpc import aio
from pydantic import SecretStr

from harkara.auth.v1 import auth_service_pb2 as auth
from harkara.auth.v1 import auth_service_pb2_grpc
from harkara.event.v1 import delivery_service_pb2 as delivery
from harkara.event.v1 import delivery_service_pb2_grpc
from harkara_query_service.settings import QueryServiceSettings
from harkara_query_service.wiring import Bound, serve
from harkara_servicekit.grpc_server import bind, create_server

_NUMBERS = count()

CREDENTIAL = "internal-token-of-the-query-service"


def _credential(context: aio.ServicerContext[Any, Any]) -> str:
    return str(dict(context.invocation_metadata() or ()).get("authorization", ""))


class AuthPeer(auth_service_pb2_grpc.AuthServiceServicer):
    """Answers Authenticate from a table; a token it does not hold is UNAUTHENTICATED.

    Attributes:
        answers: Token → answer, or the status to end with.
        asked: The tokens asked about, in order.
        was_asked: Set by the first question.
        credentials: Who asked.
        gate: While it is clear, answers wait.
    """

    def __init__(self) -> None:
        self.answers: dict[str, auth.AuthenticateResponse | grpc.StatusCode] = {}
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()
        self.credentials: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def add(
        self,
        user_id: str,
        role: str,
        *,
        kind: "auth.PrincipalKind.ValueType" = auth.PRINCIPAL_KIND_USER,
        expires_in: float = 3600,
        token: str | None = None,
    ) -> str:
        """Let somebody in; return the token: unless given, one that nobody had before."""
        token = token or f"token-{next(_NUMBERS)}-of-{user_id}"
        answer = auth.AuthenticateResponse(kind=kind, user_id=user_id, role=role)
        answer.expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=expires_in))
        self.answers[token] = answer
        return token

    async def Authenticate(  # noqa: N802 - gRPC's name.
        self,
        request: auth.AuthenticateRequest,
        context: aio.ServicerContext[auth.AuthenticateRequest, auth.AuthenticateResponse],
    ) -> auth.AuthenticateResponse:
        """Answer from the table."""
        self.asked.append(request.token)
        self.was_asked.set()
        self.credentials.append(_credential(context))
        await self.gate.wait()
        answer = self.answers.get(request.token, grpc.StatusCode.UNAUTHENTICATED)
        if isinstance(answer, grpc.StatusCode):
            await context.abort(answer, "refused")
        return answer

    async def AuthenticateBatch(  # noqa: N802 - gRPC's name.
        self,
        request: auth.AuthenticateBatchRequest,
        context: aio.ServicerContext[auth.AuthenticateBatchRequest, auth.AuthenticateBatchResponse],
    ) -> auth.AuthenticateBatchResponse:
        """For an edge alone."""
        del request
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "refused")
        raise AssertionError

    async def WatchRevocations(  # noqa: N802 - gRPC's name.
        self,
        request: auth.WatchRevocationsRequest,
        context: aio.ServicerContext[auth.WatchRevocationsRequest, auth.WatchRevocationsResponse],
    ) -> AsyncIterator[auth.WatchRevocationsResponse]:
        """Not for the query-service."""
        del request
        for response in list[auth.WatchRevocationsResponse]():
            yield response
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "refused")


class EventPeer(delivery_service_pb2_grpc.DeliveryServiceServicer):
    """Answers GetStats with what a test puts into `stats`.

    Attributes:
        stats: The answer.
        calls: How often it was asked.
        credentials: Who asked.
        gate: While it is clear, answers wait.
    """

    def __init__(self, replica: str) -> None:
        self.stats = delivery.GetStatsResponse(replica=replica)
        self.calls = 0
        self.credentials: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def GetStats(  # noqa: N802 - gRPC's name.
        self,
        request: delivery.GetStatsRequest,
        context: aio.ServicerContext[delivery.GetStatsRequest, delivery.GetStatsResponse],
    ) -> delivery.GetStatsResponse:
        """Answer what the test says."""
        del request
        self.calls += 1
        self.credentials.append(_credential(context))
        await self.gate.wait()
        return self.stats

    async def Attach(  # noqa: N802 - gRPC's name.
        self,
        request_iterator: AsyncIterator[delivery.AttachRequest],
        context: aio.ServicerContext[delivery.AttachRequest, delivery.AttachResponse],
    ) -> AsyncIterator[delivery.AttachResponse]:
        """Not for the query-service."""
        del request_iterator
        for response in list[delivery.AttachResponse]():
            yield response
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "refused")


def auth_server_of(peer: AuthPeer) -> aio.Server:
    """A server, not yet started, in which that peer answers."""
    server = create_server()
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(peer, server)
    return server


def event_server_of(peer: EventPeer) -> aio.Server:
    """A server, not yet started, in which that peer answers."""
    server = create_server()
    delivery_service_pb2_grpc.add_DeliveryServiceServicer_to_server(peer, server)
    return server


@contextlib.asynccontextmanager
async def listening(server: aio.Server) -> AsyncIterator[str]:
    """Run a server on a free port of this machine; yield its `host:port`."""
    address = bind(server, "127.0.0.1:0")
    await server.start()
    try:
        yield address
    finally:
        await server.stop(None)


@dataclass
class QueryMesh:
    """A running query-service and what it talks to.

    Attributes:
        bound: Where it listens.
        auth: Its auth-service.
        events: The replicas of its event-service.
        http: A client with no token.
        auth_server: What `auth` runs in; stopping it takes the auth-service away.
        stop: Set, it ends the service.
        event_servers: The same for `events`.
    """

    bound: Bound
    auth: AuthPeer
    events: list[EventPeer]
    http: httpx.AsyncClient
    auth_server: aio.Server
    stop: asyncio.Event
    event_servers: list[aio.Server] = field(default_factory=list)

    async def get(self, path: str, token: str | None = None, **headers: str) -> httpx.Response:
        """GET a path (with its query string as it stands) with a token."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        return await self.http.get(path, headers=sent)


def credential_file(folder: Path) -> Path:
    """A file with the query-service's credential."""
    path = folder / "query-service.token"
    path.touch(mode=0o600)
    path.write_text(CREDENTIAL)
    return path


def query_settings(dsn: str, folder: Path, **settings: Any) -> QueryServiceSettings:
    """Settings of a query-service on free ports.

    Args:
        dsn: Its database.
        folder: Where its credential's file goes.
        settings: Further settings.
    """
    given = {"listen_address": "127.0.0.1:0", "ops_address": "127.0.0.1:0", **settings}
    return QueryServiceSettings(postgres_dsn=SecretStr(dsn), credential_file=credential_file(folder), **given)


@contextlib.asynccontextmanager
async def running_query_service(
    dsn: str, folder: Path, *, replicas: int = 1, **settings: Any
) -> AsyncIterator[QueryMesh]:
    """A query-service on free ports, through its own `serve`.

    Args:
        dsn: Its database.
        folder: Where its credential's file goes.
        replicas: How many event-services it asks.
        settings: Further settings.
    """
    async with contextlib.AsyncExitStack() as stack:
        auth_peer = AuthPeer()
        auth_server = auth_server_of(auth_peer)
        auth_target = await stack.enter_async_context(listening(auth_server))
        events = [EventPeer(f"replica-{number}") for number in range(replicas)]
        event_servers = [event_server_of(peer) for peer in events]
        event_targets = [await stack.enter_async_context(listening(server)) for server in event_servers]
        given = {"auth_target": auth_target, "event_targets": tuple(event_targets), **settings}
        stop = asyncio.Event()
        bound = await stack.enter_async_context(_serving(query_settings(dsn, folder, **given), stop))
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://{bound.listen_address}", timeout=20)
        )
        yield QueryMesh(bound, auth_peer, events, http, auth_server, stop, event_servers)


@contextlib.asynccontextmanager
async def _serving(settings: QueryServiceSettings, stop: asyncio.Event) -> AsyncIterator[Bound]:
    started: asyncio.Future[Bound] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, stop, started.set_result))
    first: set[asyncio.Future[Any]] = {task, started}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield await started
    finally:
        stop.set()
        await task
