"""A real auth-service in this process, on free ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr

from harkara.auth.v1 import auth_service_pb2 as pb
from harkara.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from harkara.auth.v1.user_service_pb2_grpc import UserServiceStub
from harkara_auth_service.settings import AuthServiceSettings
from harkara_auth_service.wiring import Bound, serve
from tests.support.auth_tokens import OWN_KEY, internal_claims, signed, write_own_key
from tests.support.channels import open_channel_as

if TYPE_CHECKING:
    # Known to the type checker only.
    from harkara.auth.v1.auth_service_pb2_grpc import AuthServiceAsyncStub
    from harkara.auth.v1.user_service_pb2_grpc import UserServiceAsyncStub

SECONDS = 20
"""How long a call may take: none of these tests is about slowness unless it says so."""


@dataclass(frozen=True)
class AuthService:
    """A running auth-service.

    Attributes:
        bound: Where it listens.
        edge: A channel with the edge's credential.
        operator: A channel with the operator's.
    """

    bound: Bound
    edge: aio.Channel
    operator: aio.Channel

    @property
    def auth(self) -> AuthServiceAsyncStub:
        """`AuthService`, as the edge calls it."""
        return AuthServiceStub(self.edge)

    @property
    def users(self) -> UserServiceAsyncStub:
        """`UserService`, as the operator calls it."""
        return UserServiceStub(self.operator)

    async def authenticate(self, token: str, seconds: float = SECONDS) -> pb.AuthenticateResponse:
        """What the edge is told of a token."""
        return await self.auth.Authenticate(pb.AuthenticateRequest(token=token), timeout=seconds)

    async def metric(self, name: str) -> float:
        """A metric of the service without labels; 0 where it is not there."""
        for line in (await self.get("/metrics")).text.splitlines():
            key, _, value = line.partition(" ")
            if key == f"harkara_auth_service_{name}":
                return float(value)
        return 0.0

    async def get(self, path: str) -> httpx.Response:
        """Ask the ops port."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://{self.bound.ops_address}{path}")


def auth_settings(folder: Path, dsn: str, **more: object) -> AuthServiceSettings:
    """Settings with `OWN_KEY` as the key, on free ports."""
    given: dict[str, object] = {
        "listen_address": "127.0.0.1:0",
        "ops_address": "127.0.0.1:0",
        "postgres_dsn": SecretStr(dsn),
        "hs256_key_file": write_own_key(folder, OWN_KEY),
    }
    return AuthServiceSettings.model_validate(given | more)


@asynccontextmanager
async def running_auth_service(
    settings: AuthServiceSettings, *, until_ready: bool = True
) -> AsyncIterator[AuthService]:
    """Serve while the block runs, and stop in order after it.

    Args:
        settings: What it is told; see `auth_settings`.
        until_ready: Whether to wait until it says that it is ready.
    """
    stop = asyncio.Event()
    bound: asyncio.Future[Bound] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, stop, bound.set_result))
    try:
        await asyncio.wait((serving, bound), timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        address = bound.result().listen_address
        async with (
            open_channel_as(address, signed(internal_claims("edge"))) as edge,
            open_channel_as(address, signed(internal_claims("operator"))) as operator,
        ):
            service = AuthService(bound.result(), edge, operator)
            if until_ready:
                await _until_ready(service)
            yield service
    finally:
        stop.set()
        async with asyncio.timeout(SECONDS):
            await serving


async def _until_ready(service: AuthService) -> None:
    health = health_pb2_grpc.HealthStub(service.edge)
    watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    async for answer in watch:
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            break
    watch.cancel()
