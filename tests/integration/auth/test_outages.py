"""Postgres away, frozen, and back: never a wrong answer, and always one in time."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc import aio

from harkara.auth.v1 import auth_service_pb2 as auth_pb
from harkara.auth.v1 import user_service_pb2 as users_pb
from harkara_auth_service.settings import AuthServiceSettings
from tests.support.auth_service import SECONDS, AuthService, auth_settings, running_auth_service
from tests.support.auth_tokens import service_claims, signed, user_claims
from tests.support.cutting_proxy import CuttingProxy, Fault, cutting_proxy
from tests.support.postgres import Database

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@dataclass(frozen=True)
class Away:
    """A way to Postgres that can be cut, and settings that lead over it."""

    proxy: CuttingProxy
    settings: AuthServiceSettings

    def go(self) -> None:
        self.proxy.accepts = False
        self.proxy.cut_all()

    def come_back(self) -> None:
        self.proxy.accepts = True


@pytest.fixture
async def postgres(database: Database, tmp_path: Path) -> AsyncIterator[Away]:
    async with cutting_proxy(database.dsn_for("harkara_auth_service")) as (proxy, dsn):
        yield Away(proxy, auth_settings(tmp_path, dsn))


async def add(service: AuthService, user_id: str) -> None:
    user = users_pb.User(user_id=user_id, role=users_pb.ROLE_SHOP)
    await service.users.AddUsers(users_pb.AddUsersRequest(users=[user]), timeout=SECONDS)


async def status_of(call: Awaitable[object]) -> grpc.StatusCode:
    """How a call ends."""
    try:
        await call
    except aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def until_ready_says(service: AuthService, status: int) -> None:
    async with asyncio.timeout(30):
        while (await service.get("/readyz")).status_code != status:  # noqa: ASYNC110 - nothing tells it.
            await asyncio.sleep(0.02)


async def test_a_service_whose_postgres_goes_says_unavailable_and_comes_back_with_it(postgres: Away) -> None:
    async with running_auth_service(postgres.settings) as service:
        await add(service, "user_1")
        call = service.auth.WatchRevocations(auth_pb.WatchRevocationsRequest(), timeout=60)
        messages = aiter(call)
        await anext(messages)
        postgres.go()
        started = time.monotonic()
        assert await status_of(service.authenticate(signed(user_claims("user_1")))) is UNAVAILABLE
        assert await status_of(add(service, "user_2")) is UNAVAILABLE
        assert time.monotonic() - started < 5
        # What needs no table is answered still, and who watches hears that we are there.
        assert (await service.authenticate(signed(service_claims()))).user_id == "orders"
        await anext(messages)
        await until_ready_says(service, 503)
        postgres.come_back()
        await until_ready_says(service, 200)
        assert (await service.authenticate(signed(user_claims("user_1")))).role == "shop"
        await add(service, "user_2")
        disable = users_pb.DisableUsersRequest(user_ids=["user_1"])
        await service.users.DisableUsers(disable, timeout=SECONDS)
        async for message in messages:
            if message.revocations:
                assert [revocation.user_id for revocation in message.revocations] == ["user_1"]
                break
        call.cancel()


async def read_up_to(service: AuthService, version: int) -> None:
    """Wait until the service has read its own change: a cut would end that read, and no idle connection."""
    async with asyncio.timeout(SECONDS):
        while await service.metric("user_change_version") < version:  # noqa: ASYNC110 - told by HTTP only.
            await asyncio.sleep(0.005)


async def test_no_caller_notices_that_connections_died_in_the_pool(postgres: Away) -> None:
    async with running_auth_service(postgres.settings) as service:
        await add(service, "user_1")
        await read_up_to(service, 1)
        postgres.proxy.cut_all()
        assert await status_of(add(service, "user_2")) is grpc.StatusCode.OK
        await read_up_to(service, 2)
        postgres.proxy.cut_all()
        assert (await service.authenticate(signed(user_claims("user_1")))).role == "shop"


async def test_a_statement_that_is_never_answered_holds_up_no_other(postgres: Away) -> None:
    async with running_auth_service(postgres.settings) as service:
        await add(service, "user_1")
        postgres.proxy.plan(b"LEFT OUTER JOIN app_user", Fault.SILENT)
        assert await status_of(service.authenticate(signed(user_claims("user_1")))) is UNAVAILABLE
        assert (await service.authenticate(signed(user_claims("user_1")))).role == "shop"


async def test_a_change_whose_commit_is_not_answered_is_unknown_and_safe_to_repeat(postgres: Away) -> None:
    async with running_auth_service(postgres.settings) as service:
        postgres.proxy.plan(b"COMMIT", Fault.UNANSWERED)
        assert await status_of(add(service, "user_1")) is UNAVAILABLE
        await add(service, "user_1")
        assert (await service.authenticate(signed(user_claims("user_1")))).version == 1


async def test_a_service_that_starts_before_postgres_becomes_ready_with_it(postgres: Away) -> None:
    postgres.go()
    async with running_auth_service(postgres.settings, until_ready=False) as service:
        assert (await service.get("/readyz")).status_code == 503
        assert (await service.get("/livez")).status_code == 200
        assert await status_of(service.authenticate(signed(user_claims()))) is UNAVAILABLE
        watch = service.auth.WatchRevocations(auth_pb.WatchRevocationsRequest(), timeout=SECONDS)
        with pytest.raises(aio.AioRpcError):
            await watch.read()
        postgres.come_back()
        await until_ready_says(service, 200)
        await add(service, "user_1")


async def test_a_frozen_postgres_is_given_up_in_time(service: AuthService, database: Database) -> None:
    """SIGSTOP: the connections stay open and nothing answers, neither a statement nor its cancellation."""
    await add(service, "user_1")
    frozen = _family_of(database.server.embedded.pid)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        # Within the caller's deadline, and within our own where the caller would wait longer.
        token = signed(user_claims("user_1"))
        assert await status_of(service.authenticate(token, seconds=1)) is UNAVAILABLE
        assert time.monotonic() - started < 1
        assert await status_of(service.authenticate(token)) is UNAVAILABLE
        assert time.monotonic() - started < 5
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    await until_ready_says(service, 200)
    assert (await service.authenticate(signed(user_claims("user_1")))).role == "shop"


def _family_of(pid: int) -> list[int]:
    """A process and its children, the parent first."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]
