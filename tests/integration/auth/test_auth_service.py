"""auth-service as its callers see it: real gRPC, real Postgres."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import psycopg
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from harkara.auth.v1 import auth_service_pb2 as auth_pb
from harkara.auth.v1 import user_service_pb2 as users_pb
from harkara.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from harkara.auth.v1.user_service_pb2_grpc import UserServiceStub
from harkara_auth_service.settings import AuthServiceSettings
from harkara_servicekit.grpc_client import open_channel
from tests.support.auth_service import SECONDS, AuthService, running_auth_service
from tests.support.auth_tokens import internal_claims, service_claims, signed, user_claims
from tests.support.channels import open_channel_as
from tests.support.postgres import Database

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE

Watch = aio.UnaryStreamCall[auth_pb.WatchRevocationsRequest, auth_pb.WatchRevocationsResponse]


@asynccontextmanager
async def refusing(code: grpc.StatusCode) -> AsyncIterator[pytest.ExceptionInfo[aio.AioRpcError]]:
    """What runs in it is refused with this status, and in words that give nothing away."""
    with pytest.raises(aio.AioRpcError) as caught:
        yield caught
    assert caught.value.code() is code
    details = caught.value.details() or ""
    assert len(details) < 200
    for leak in (
        "Traceback",
        "Error(",
        "SELECT",
        "app_user",
        "psycopg",
        "sqlalchemy",
        "/",
        "expired",
        "claim",
    ):
        assert leak not in details


async def add(service: AuthService, *user_ids: str, role: int = users_pb.ROLE_SHOP) -> None:
    users = [users_pb.User(user_id=user_id, role=role) for user_id in user_ids]  # type: ignore[arg-type]
    await service.users.AddUsers(users_pb.AddUsersRequest(users=users), timeout=SECONDS)


async def test_of_a_batch_each_token_is_judged_by_itself_and_users_are_looked_up_together(
    service: AuthService,
) -> None:
    await add(service, "anna", "bert")
    await service.users.DisableUsers(users_pb.DisableUsersRequest(user_ids=["bert"]), timeout=SECONDS)
    tokens = [
        signed(user_claims("anna")),
        "not a token",
        signed(user_claims("bert")),
        signed(user_claims("nobody")),
        signed(user_claims("anna")),
        signed(service_claims("orders")),
    ]
    before = await service.metric("lookup_statements_total")

    answer = await service.auth.AuthenticateBatch(
        auth_pb.AuthenticateBatchRequest(tokens=tokens), timeout=SECONDS
    )

    codes = [result.code for result in answer.results]
    refused, unknown = UNAUTHENTICATED.value[0], PERMISSION_DENIED.value[0]
    assert codes == [0, refused, unknown, unknown, 0, 0]
    assert [result.HasField("principal") for result in answer.results] == [code == 0 for code in codes]
    assert answer.results[0].principal == await service.authenticate(tokens[0])
    assert answer.results[5].principal.kind == auth_pb.PRINCIPAL_KIND_SERVICE
    # One lone look-up goes at once; what comes meanwhile goes together.
    assert await service.metric("lookup_statements_total") - before <= 2


@pytest.mark.parametrize("count", [0, 257])
async def test_a_batch_of_none_or_of_too_many_is_refused(service: AuthService, count: int) -> None:
    async with refusing(INVALID_ARGUMENT):
        await service.auth.AuthenticateBatch(
            auth_pb.AuthenticateBatchRequest(tokens=["x"] * count), timeout=SECONDS
        )


async def disable(service: AuthService, *user_ids: str) -> None:
    await service.users.DisableUsers(users_pb.DisableUsersRequest(user_ids=user_ids), timeout=SECONDS)


async def remove(service: AuthService, *user_ids: str) -> None:
    await service.users.RemoveUsers(users_pb.RemoveUsersRequest(user_ids=user_ids), timeout=SECONDS)


def watch(service: AuthService, since: int | None = None) -> Watch:
    return service.auth.WatchRevocations(auth_pb.WatchRevocationsRequest(since_version=since), timeout=60)


async def read(call: Watch) -> auth_pb.WatchRevocationsResponse:
    """The next message."""
    async with asyncio.timeout(SECONDS):
        message = await call.read()
    assert isinstance(message, auth_pb.WatchRevocationsResponse)
    return message


async def news(call: Watch) -> list[tuple[str, str]]:
    """The next message that is more than a tick: who, and why."""
    while not (message := await read(call)).revocations:
        pass
    return [
        (
            revocation.user_id,
            auth_pb.RevocationReason.Name(revocation.reason).removeprefix("REVOCATION_REASON_"),
        )
        for revocation in message.revocations
    ]


# ---- Authenticate


async def test_a_users_token_speaks_for_the_user_as_the_table_has_it(service: AuthService) -> None:
    await add(service, "user_1")
    claims = user_claims("user_1")
    answer = await service.authenticate(signed(claims))
    assert answer.kind == auth_pb.PRINCIPAL_KIND_USER
    assert (answer.user_id, answer.role, list(answer.event_types)) == ("user_1", "shop", [])
    assert (answer.expire_time.seconds, answer.expire_time.nanos) == (claims["exp"], 0)
    assert answer.version == 1
    assert await service.authenticate(signed({**claims, "user_role": "shop"})) == answer


async def test_a_services_token_speaks_for_the_service_and_its_event_types(service: AuthService) -> None:
    answer = await service.authenticate(
        signed(service_claims("orders", event_types=["order_*", "eta_updated"]))
    )
    assert answer.kind == auth_pb.PRINCIPAL_KIND_SERVICE
    assert (answer.user_id, answer.role) == ("orders", "service")
    assert list(answer.event_types) == ["order_*", "eta_updated"]


async def test_an_internal_token_speaks_for_a_part_of_harkara(service: AuthService) -> None:
    answer = await service.authenticate(signed(internal_claims("query-service")))
    assert (answer.kind, answer.user_id, answer.role) == (
        auth_pb.PRINCIPAL_KIND_INTERNAL,
        "query-service",
        "internal",
    )


BAD_TOKENS = {
    "none": "",
    "not a token": "no token",
    "too large": "x" * 100_000,
    "expired": signed(user_claims(exp=1)),
    "signed by another key": signed(user_claims(), b"another key of more than 32 bytes!!"),
    "more than a day ahead": signed(user_claims(exp=int(time.time()) + 90_000)),
    "an odd user id": signed(user_claims(user_id="../user_1")),
    "a fetched key": signed(user_claims(), jku="https://example.test/"),
    "an unknown key": signed(user_claims(), kid="x"),
    "no part of Harkara": signed(internal_claims("auth-service")),
    "a service that may emit nothing": signed(service_claims(event_types=[])),
}


async def test_a_bad_token_is_unauthenticated_and_nobody_is_told_why(service: AuthService) -> None:
    told: set[str | None] = set()
    for token in BAD_TOKENS.values():
        async with refusing(UNAUTHENTICATED) as caught:
            await service.authenticate(token)
        told.add(caught.value.details())
    assert len(told) == 1


async def test_a_user_who_is_unknown_disabled_or_removed_may_not_come_in(service: AuthService) -> None:
    await add(service, "disabled", "removed")
    await disable(service, "disabled")
    await remove(service, "removed")
    for user_id in ("unknown", "disabled", "removed"):
        async with refusing(PERMISSION_DENIED):
            await service.authenticate(signed(user_claims(user_id)))


async def test_a_token_of_another_role_than_the_users_is_stale(service: AuthService) -> None:
    await add(service, "user_1")
    token = signed(user_claims("user_1", user_role="shop"))
    await service.authenticate(token)
    await add(service, "user_1", role=users_pb.ROLE_ADMIN)
    async with refusing(UNAUTHENTICATED):
        await service.authenticate(token)
    assert (await service.authenticate(signed(user_claims("user_1")))).role == "admin"


async def test_every_change_is_felt_by_the_next_call(service: AuthService) -> None:
    token = signed(user_claims("user_1"))
    for _ in range(3):
        async with refusing(PERMISSION_DENIED):
            await service.authenticate(token)
        await add(service, "user_1")
        await service.authenticate(token)
        await disable(service, "user_1")
        async with refusing(PERMISSION_DENIED):
            await service.authenticate(token)
        await add(service, "user_1")
        await service.authenticate(token)
        await remove(service, "user_1")


async def test_a_change_made_by_another_process_is_felt_through_the_history(
    service: AuthService, make_settings: Callable[..., AuthServiceSettings]
) -> None:
    await add(service, "user_1")
    token = signed(user_claims("user_1"))
    async with running_auth_service(make_settings()) as other:
        await other.authenticate(token)
        call = watch(other)
        await read(call)
        await disable(service, "user_1")
        assert await news(call) == [("user_1", "DISABLED")]
        async with refusing(PERMISSION_DENIED):
            await other.authenticate(token)
        call.cancel()


async def test_a_change_made_by_another_process_is_notified_and_not_waited_for(
    service: AuthService, make_settings: Callable[..., AuthServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harkara_auth_service.service.changes.READ_SECONDS", 3600)
    await add(service, "user_1")
    async with running_auth_service(make_settings()) as other:
        call = watch(other)
        await read(call)
        await disable(service, "user_1")
        assert await news(call) == [("user_1", "DISABLED")]
        call.cancel()


async def test_lookups_that_arrive_together_are_made_together(service: AuthService) -> None:
    ids = [f"user_{n}" for n in range(200)]
    await add(service, *ids)
    answers = await asyncio.gather(*(service.authenticate(signed(user_claims(user_id))) for user_id in ids))
    assert [answer.user_id for answer in answers] == ids
    assert await service.metric("user_lookup_users_total") == 200
    assert await service.metric("user_lookup_statements_total") < 100


# ---- WatchRevocations


async def test_disabling_removing_and_a_new_role_reach_a_watcher_and_adding_does_not(
    service: AuthService,
) -> None:
    call = watch(service)
    assert await read(call) == auth_pb.WatchRevocationsResponse(version=0)
    await add(service, "a", "b", "c")
    await disable(service, "b", "a")
    assert await news(call) == [("b", "DISABLED"), ("a", "DISABLED")]
    await remove(service, "c")
    assert await news(call) == [("c", "REMOVED")]
    await add(service, "a", role=users_pb.ROLE_ADMIN)
    assert await news(call) == [("a", "ROLE_CHANGED")]
    call.cancel()


async def test_a_watch_replays_from_a_version_and_misses_nothing(service: AuthService) -> None:
    await add(service, "a", "b")  # 1, 2
    call = watch(service)
    version = (await read(call)).version
    call.cancel()
    assert version <= 2
    await disable(service, "a")  # 3
    await add(service, "a")  # 4
    await remove(service, "b")  # 5
    again = watch(service, since=version)
    seen: list[tuple[str, str]] = []
    while version < 5:
        message = await read(again)
        version = message.version
        seen += [(revocation.user_id, str(revocation.reason)) for revocation in message.revocations]
    assert seen == [
        ("a", str(auth_pb.REVOCATION_REASON_DISABLED)),
        ("b", str(auth_pb.REVOCATION_REASON_REMOVED)),
    ]
    again.cancel()


async def test_a_stop_ends_watches_at_once_and_says_that_it_is_temporary(
    make_settings: Callable[..., AuthServiceSettings],
) -> None:
    async with running_auth_service(make_settings()) as service:
        channel = open_channel_as(service.bound.listen_address, signed(internal_claims("edge")))
        call = AuthServiceStub(channel).WatchRevocations(auth_pb.WatchRevocationsRequest(), timeout=60)
        await read(call)
        started = time.monotonic()
    assert time.monotonic() - started < 2
    async with refusing(UNAVAILABLE):
        while await call.read():
            pass
    await channel.close(None)


async def test_a_credential_is_revoked_by_its_name(
    make_settings: Callable[..., AuthServiceSettings], tmp_path: Path
) -> None:
    names = tmp_path / "revoked"
    names.write_text("# nobody yet\n")
    async with running_auth_service(make_settings(revoked_credentials_file=names)) as service:
        orders, payment = signed(service_claims("orders")), signed(service_claims("payment"))
        call = watch(service)
        assert not (await read(call)).revocations
        await service.authenticate(orders)
        names.write_text("orders\nquery-service\n")
        while not (message := await read(call)).revocations:
            pass
        assert [(item.user_id, item.service, item.reason) for item in message.revocations] == [
            ("orders", True, auth_pb.REVOCATION_REASON_CREDENTIAL_REVOKED),
            ("query-service", True, auth_pb.REVOCATION_REASON_CREDENTIAL_REVOKED),
        ]
        assert message.version == 0
        for token in (orders, signed(internal_claims("query-service"))):
            async with refusing(UNAUTHENTICATED):
                await service.authenticate(token)
        await service.authenticate(payment)
        call.cancel()


# ---- who may call


async def test_only_parts_of_harkara_may_ask_whom_a_token_speaks_for(service: AuthService) -> None:
    await add(service, "admin_1", role=users_pb.ROLE_ADMIN)
    good = auth_pb.AuthenticateRequest(token=signed(user_claims("admin_1")))
    await service.authenticate(good.token)
    callers: Sequence[tuple[str | None, grpc.StatusCode]] = [
        (None, UNAUTHENTICATED),
        ("rubbish", UNAUTHENTICATED),
        (signed(internal_claims("edge", exp=1)), UNAUTHENTICATED),
        (signed(internal_claims("operator")), PERMISSION_DENIED),
        (signed(service_claims("edge")), PERMISSION_DENIED),
        (signed(user_claims("admin_1")), PERMISSION_DENIED),
    ]
    for credential, code in callers:
        async with open_channel_as(service.bound.listen_address, credential) as channel:
            stub = AuthServiceStub(channel)
            async with refusing(code):
                await stub.Authenticate(good, timeout=SECONDS)
            async with refusing(code):
                await stub.WatchRevocations(auth_pb.WatchRevocationsRequest(), timeout=SECONDS).read()


async def test_the_operator_and_admins_keep_users_and_nobody_else(service: AuthService) -> None:
    await add(service, "admin_1", role=users_pb.ROLE_ADMIN)
    await add(service, "support_1", role=users_pb.ROLE_SUPPORT)
    callers: Sequence[tuple[str | None, grpc.StatusCode]] = [
        (None, UNAUTHENTICATED),
        (signed(user_claims("support_1")), PERMISSION_DENIED),
        (signed(user_claims("nobody")), PERMISSION_DENIED),
        (signed(internal_claims("edge")), PERMISSION_DENIED),
        (signed(service_claims("operator")), PERMISSION_DENIED),
    ]
    for credential, code in callers:
        async with open_channel_as(service.bound.listen_address, credential) as channel:
            stub = UserServiceStub(channel)
            for call in (
                stub.AddUsers(users_pb.AddUsersRequest(), timeout=SECONDS),
                stub.ListUsers(users_pb.ListUsersRequest(), timeout=SECONDS),
                stub.DisableUsers(users_pb.DisableUsersRequest(), timeout=SECONDS),
                stub.RemoveUsers(users_pb.RemoveUsersRequest(), timeout=SECONDS),
            ):
                async with refusing(code):
                    await call
    async with open_channel_as(service.bound.listen_address, signed(user_claims("admin_1"))) as channel:
        await UserServiceStub(channel).ListUsers(users_pb.ListUsersRequest(), timeout=SECONDS)


# ---- UserService


async def test_users_are_added_listed_in_pages_disabled_and_removed(service: AuthService) -> None:
    ids = [f"u{n}" for n in range(5)]
    await add(service, *reversed(ids))
    first = await service.users.ListUsers(users_pb.ListUsersRequest(page_size=3), timeout=SECONDS)
    assert [user.user_id for user in first.users] == ids[:3]
    request = users_pb.ListUsersRequest(page_size=3, page_token=first.next_page_token)
    second = await service.users.ListUsers(request, timeout=SECONDS)
    assert ([user.user_id for user in second.users], second.next_page_token) == (ids[3:], "")
    answer = await service.users.DisableUsers(
        users_pb.DisableUsersRequest(user_ids=["u3", "u1"]), timeout=SECONDS
    )
    assert [(user.user_id, user.status) for user in answer.users] == [
        ("u3", users_pb.USER_STATUS_DISABLED),
        ("u1", users_pb.USER_STATUS_DISABLED),
    ]
    await remove(service, "u0", "u4")
    some = users_pb.ListUsersRequest(user_ids=["u4", "u3", "u2", "nobody", "no/body"])
    listed = await service.users.ListUsers(some, timeout=SECONDS)
    assert [(user.user_id, user.role) for user in listed.users] == [
        ("u2", users_pb.ROLE_SHOP),
        ("u3", users_pb.ROLE_SHOP),
    ]
    assert listed.users[0].create_time.seconds >= time.time() - 60


async def test_a_fault_in_a_request_is_named_and_nothing_is_done(service: AuthService) -> None:
    good = users_pb.User(user_id="good", role=users_pb.ROLE_SHOP)
    for users in (
        [],
        [good, users_pb.User(user_id="bad id", role=users_pb.ROLE_SHOP)],
        [good, users_pb.User(user_id="no_role")],
        [good, good],
    ):
        async with refusing(INVALID_ARGUMENT):
            await service.users.AddUsers(users_pb.AddUsersRequest(users=users), timeout=SECONDS)
    async with refusing(INVALID_ARGUMENT):
        await service.users.ListUsers(users_pb.ListUsersRequest(page_size=-1), timeout=SECONDS)
    async with refusing(INVALID_ARGUMENT):
        await disable(service)
    async with refusing(INVALID_ARGUMENT):
        await remove(service, "nul\0")
    assert not (await service.users.ListUsers(users_pb.ListUsersRequest(), timeout=SECONDS)).users


@pytest.mark.parametrize("role", [0, 6, -1])
async def test_a_role_that_there_is_not_is_refused_and_the_roles_are_named(
    service: AuthService, role: users_pb.Role.ValueType
) -> None:
    users = [users_pb.User(user_id="user_1", role=role)]
    async with refusing(INVALID_ARGUMENT) as caught:
        await service.users.AddUsers(users_pb.AddUsersRequest(users=users), timeout=SECONDS)
    assert caught.value.details() == (
        "users.role: must be one of ROLE_CUSTOMER, ROLE_DELIVERY_BOY, ROLE_SHOP, ROLE_SUPPORT, ROLE_ADMIN"
    )
    assert not (await service.users.ListUsers(users_pb.ListUsersRequest(), timeout=SECONDS)).users


async def test_an_unknown_user_is_not_found_and_then_nobody_is_touched(service: AuthService) -> None:
    await add(service, "user_1")
    for change in (disable, remove):
        async with refusing(NOT_FOUND):
            await change(service, "user_1", "nobody")
    assert (await service.authenticate(signed(user_claims("user_1")))).version == 1


async def test_10000_users_go_through_one_call(service: AuthService) -> None:
    ids = [f"user_{n}" for n in range(10_000)]
    await add(service, *ids)
    await disable(service, *ids)
    everybody = users_pb.ListUsersRequest(page_size=10_000)
    assert len((await service.users.ListUsers(everybody, timeout=SECONDS)).users) == 10_000
    call = watch(service, since=0)
    seen = 0
    while seen < 10_000:
        seen += len((await read(call)).revocations)
    call.cancel()


# ---- health


async def test_health_and_readiness_say_when_it_can_take_calls(service: AuthService) -> None:
    async with open_channel(service.bound.listen_address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "harkara.auth.v1.AuthService", "harkara.auth.v1.UserService"):
            status = stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=SECONDS)
            async for answer in status:
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    break
            status.cancel()
    assert (await service.get("/readyz")).status_code == 200


async def test_no_metric_shows_a_token_or_a_user(service: AuthService) -> None:
    await add(service, "user_1")
    token = signed(user_claims("user_1"))
    await service.authenticate(token)
    text = (await service.get("/metrics")).text
    assert 'harkara_auth_service_authentications_total{outcome="ok"}' in text
    assert "user_1" not in text
    assert token not in text


async def test_no_log_record_holds_a_token(
    service: AuthService, capsys: pytest.CaptureFixture[str], database: Database
) -> None:
    await add(service, "user_1")
    good, bad = signed(user_claims("user_1")), signed(user_claims(), b"another key of more than 32 bytes!!")
    await service.authenticate(good)
    for token in (bad, "rubbish", signed(user_claims("nobody"))):
        with pytest.raises(aio.AioRpcError):
            await service.authenticate(token)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE app_user RENAME TO elsewhere")
    async with refusing(UNAVAILABLE):
        await service.authenticate(signed(user_claims("somebody")))
    output = capsys.readouterr()
    log = output.out + output.err
    assert "token_refused" in log
    assert "directory_failed" in log
    for secret in (good, bad, good.split(".")[2], "rubbish", "SELECT"):
        assert secret not in log
