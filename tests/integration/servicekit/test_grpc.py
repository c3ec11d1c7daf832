"""gRPC servers and channels as services open them, over real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from harkara.auth.v1 import auth_service_pb2 as pb
from harkara.auth.v1 import auth_service_pb2_grpc as pb_grpc
from harkara_servicekit import grpc_server
from harkara_servicekit.grpc_client import is_caller_refused, open_channel
from harkara_servicekit.grpc_server import (
    MAX_CALLS,
    Guard,
    HealthBoard,
    StatusError,
    add_health_and_reflection,
    bind,
    create_server,
    stop_within,
)

if TYPE_CHECKING:
    # Known to the type checker only.
    from harkara.auth.v1.auth_service_pb2_grpc import AuthServiceAsyncStub

SERVICE = "harkara.auth.v1.AuthService"
AUTHENTICATE = f"/{SERVICE}/Authenticate"
WATCH = f"/{SERVICE}/WatchRevocations"
SECONDS = 20

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED
INTERNAL = grpc.StatusCode.INTERNAL
RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
NOT_FOUND = grpc.StatusCode.NOT_FOUND
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

Context = aio.ServicerContext[Any, Any]
One = Callable[[Any, Context], Awaitable[pb.AuthenticateResponse]]
Many = Callable[[Any, Context], Any]


async def echo(request: pb.AuthenticateRequest, _: Context) -> pb.AuthenticateResponse:
    return pb.AuthenticateResponse(user_id=request.token)


async def three(_: object, __: Context) -> AsyncIterator[pb.WatchRevocationsResponse]:
    for version in range(3):
        yield pb.WatchRevocationsResponse(version=version)


class Servicer(pb_grpc.AuthServiceServicer):
    """Does what a test says."""

    def __init__(self, one: One, many: Many) -> None:
        self._one = one
        self._many = many

    async def Authenticate(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._one(request, context)

    async def AuthenticateBatch(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    def WatchRevocations(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._many(request, context)


@dataclass(frozen=True)
class Served:
    """A running server.

    Attributes:
        address: Where it listens.
        channel: A channel to it.
        board: Its health.
    """

    address: str
    channel: aio.Channel
    board: HealthBoard

    @property
    def stub(self) -> AuthServiceAsyncStub:
        return pb_grpc.AuthServiceStub(self.channel)

    async def ask(self, token: str | None = None, text: str = "x") -> pb.AuthenticateResponse:
        """Call the unary method."""
        request = pb.AuthenticateRequest(token=text)
        return await self.stub.Authenticate(request, timeout=SECONDS, metadata=as_caller(token))

    async def watch(self, token: str | None = None) -> list[int]:
        """Call the streaming method; the versions that came."""
        call = self.stub.WatchRevocations(
            pb.WatchRevocationsRequest(), timeout=SECONDS, metadata=as_caller(token)
        )
        return [message.version async for message in call]


def as_caller(token: str | None) -> tuple[tuple[str, str], ...]:
    return () if token is None else (("authorization", f"Bearer {token}"),)


@asynccontextmanager
async def serving(
    one: One = echo,
    many: Many = three,
    *,
    guard: Guard[str] | None = None,
    with_reflection: bool = False,
    max_calls: int = MAX_CALLS,
) -> AsyncIterator[Served]:
    """A server of `AuthService` that runs for the block."""
    server = create_server([guard] if guard else [], max_calls=max_calls)
    pb_grpc.add_AuthServiceServicer_to_server(Servicer(one, many), server)
    board = add_health_and_reflection(server, [SERVICE], with_reflection=with_reflection)
    address = bind(server, "127.0.0.1:0")
    await server.start()
    try:
        async with open_channel(address) as channel:
            yield Served(address, channel, board)
    finally:
        await stop_within(server, 0)


async def identify(token: str) -> str:
    """A token is its caller's name; some are nobody's."""
    if token == "expired":
        raise StatusError(UNAUTHENTICATED, "who are you?")
    if token == "breaks":
        raise ZeroDivisionError("a secret of identify")
    return token


def edge_only(caller: str) -> bool:
    return caller == "edge"


def guarded(rules: Mapping[str, Callable[[str], bool]] | None = None) -> Guard[str]:
    return Guard({AUTHENTICATE: edge_only, WATCH: edge_only} if rules is None else rules, identify)


@asynccontextmanager
async def failing(code: grpc.StatusCode) -> AsyncIterator[pytest.ExceptionInfo[aio.AioRpcError]]:
    """What runs in the block ends with this status."""
    with pytest.raises(aio.AioRpcError) as caught:
        yield caught
    assert caught.value.code() is code


# ---- who may call


async def test_the_caller_is_known_inside_each_handler() -> None:
    guard = Guard[str](dict.fromkeys((AUTHENTICATE, WATCH), lambda _: True), identify)
    seen: list[str] = []

    async def one(_: object, __: Context) -> pb.AuthenticateResponse:
        await asyncio.sleep(0)
        return pb.AuthenticateResponse(user_id=guard.caller.get())

    async def generator(_: object, __: Context) -> AsyncIterator[pb.WatchRevocationsResponse]:
        seen.append(guard.caller.get())
        yield pb.WatchRevocationsResponse()
        seen.append(guard.caller.get())

    async def coroutine(_: object, context: Context) -> None:
        await context.write(pb.WatchRevocationsResponse())
        seen.append(guard.caller.get())

    async with serving(one, generator, guard=guard) as served:
        names = [f"caller-{number}" for number in range(8)]
        answers = await asyncio.gather(*(served.ask(name) for name in names))
        assert [answer.user_id for answer in answers] == names
        await served.watch("edge")
    assert seen == ["edge", "edge"]
    async with serving(many=coroutine, guard=guard) as served:
        await served.watch("operator")
    assert seen[2:] == ["operator"]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, UNAUTHENTICATED),
        ("", UNAUTHENTICATED),
        ("expired", UNAUTHENTICATED),
        ("else", PERMISSION_DENIED),
    ],
)
async def test_a_refused_caller_can_tell_that_it_is_itself_that_is_refused(
    token: str | None, code: grpc.StatusCode
) -> None:
    async with serving(guard=guarded()) as served:
        async with failing(code) as unary:
            await served.ask(token)
        async with failing(code) as stream:
            await served.watch(token)
        assert is_caller_refused(unary.value)
        assert is_caller_refused(stream.value)


async def test_what_a_handler_refuses_is_not_the_caller() -> None:
    async def one(_: object, __: Context) -> pb.AuthenticateResponse:
        raise StatusError(UNAUTHENTICATED, "this token is bad")

    async with serving(one, guard=guarded()) as served, failing(UNAUTHENTICATED) as refused:
        await served.ask("edge")
    assert not is_caller_refused(refused.value)


async def test_a_server_that_is_not_there_refuses_nobody() -> None:
    async with serving() as served:
        address = served.address
    async with open_channel(address) as channel, failing(grpc.StatusCode.UNAVAILABLE) as gone:
        await pb_grpc.AuthServiceStub(channel).Authenticate(pb.AuthenticateRequest(), timeout=SECONDS)
    assert not is_caller_refused(gone.value)


@pytest.mark.parametrize(
    "metadata",
    [
        (("authorization", "Basic edge"),),
        (("authorization", "edge"),),
        (("authorization", "Bearer edge"), ("authorization", "Bearer edge")),
    ],
)
async def test_a_call_has_one_bearer_token(metadata: tuple[tuple[str, str], ...]) -> None:
    async with serving(guard=guarded()) as served, failing(UNAUTHENTICATED):
        await served.stub.Authenticate(pb.AuthenticateRequest(), timeout=SECONDS, metadata=metadata)


async def test_a_method_without_a_rule_is_refused() -> None:
    asked: list[str] = []

    async def one(_: object, __: Context) -> pb.AuthenticateResponse:
        asked.append("unary")
        return pb.AuthenticateResponse()

    async with serving(one, guard=guarded({WATCH: edge_only})) as served:
        assert await served.watch("edge") == [0, 1, 2]
        async with failing(PERMISSION_DENIED) as refused:
            await served.ask("edge")
        assert is_caller_refused(refused.value)
    assert not asked


async def test_an_identify_that_breaks_lets_nobody_in_and_tells_nothing() -> None:
    with capture_logs() as records:
        async with serving(guard=guarded()) as served, failing(INTERNAL) as refused:
            await served.ask("breaks")
    assert_only_an_id_is_told(refused.value, records, "identify_failed")


# ---- errors become statuses


def assert_only_an_id_is_told(
    error: aio.AioRpcError, records: list[Any], event: str, method: str = AUTHENTICATE
) -> None:
    details = error.details() or ""
    said, _, error_id = details.rpartition(" ")
    assert said == "internal error"
    assert len(error_id) == 16
    (record,) = [record for record in records if record["event"] == event]
    assert (record["error_id"], record["method"], record["log_level"]) == (error_id, method, "error")
    assert "secret" in str(record["exc_info"])


async def test_a_status_error_of_a_unary_handler_becomes_its_status() -> None:
    async def one(_: object, __: Context) -> pb.AuthenticateResponse:
        raise StatusError(NOT_FOUND, "no such user")

    async with serving(one) as served, failing(NOT_FOUND) as refused:
        await served.ask()
    assert refused.value.details() == "no such user"


async def generator_that_fails(error: Exception, _: Context) -> AsyncIterator[pb.WatchRevocationsResponse]:
    yield pb.WatchRevocationsResponse(version=7)
    raise error


async def coroutine_that_fails(error: Exception, context: Context) -> None:
    await context.write(pb.WatchRevocationsResponse(version=7))
    raise error


STREAMS = pytest.mark.parametrize("handler", [generator_that_fails, coroutine_that_fails])


@STREAMS
async def test_a_status_error_of_a_stream_handler_becomes_its_status(handler: Many) -> None:
    def many(_: object, context: Context) -> Any:
        return handler(StatusError(NOT_FOUND, "gone"), context)

    async with serving(many=many) as served:
        call = served.stub.WatchRevocations(pb.WatchRevocationsRequest(), timeout=SECONDS)
        async with failing(NOT_FOUND) as refused:
            versions = []
            async for message in call:
                versions.append(message.version)  # noqa: PERF401 - what came before the end is asked.
    assert versions == [7]
    assert refused.value.details() == "gone"


@STREAMS
async def test_any_other_exception_of_a_stream_handler_becomes_an_id(handler: Many) -> None:
    def many(_: object, context: Context) -> Any:
        return handler(ValueError("a secret"), context)

    with capture_logs() as records:
        async with serving(many=many) as served, failing(INTERNAL) as refused:
            await served.watch()
    assert_only_an_id_is_told(refused.value, records, "handler_failed", WATCH)


async def test_any_other_exception_of_a_unary_handler_becomes_an_id() -> None:
    async def one(_: object, __: Context) -> pb.AuthenticateResponse:
        raise ValueError("a secret")

    with capture_logs() as records:
        async with serving(one) as served, failing(INTERNAL) as refused:
            await served.ask()
    assert_only_an_id_is_told(refused.value, records, "handler_failed")


async def test_what_a_handler_aborts_itself_stays_as_it_is() -> None:
    async def one(_: object, context: Context) -> pb.AuthenticateResponse:
        await context.abort(NOT_FOUND, "by hand")
        raise AssertionError

    async def many(_: object, context: Context) -> None:
        await context.abort(NOT_FOUND, "by hand")

    with capture_logs() as records:
        async with serving(one, many) as served:
            for call in (served.ask(), served.watch()):
                async with failing(NOT_FOUND) as refused:
                    await call
                assert refused.value.details() == "by hand"
    assert not records


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_call_that_is_cancelled_cancels_its_handler_and_is_no_failure(streaming: bool) -> None:
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def waits(_: object, __: Context) -> Any:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with capture_logs() as records:
        async with serving(waits, waits) as served:
            call = asyncio.create_task(served.watch() if streaming else served.ask())
            await entered.wait()
            call.cancel()
            await asyncio.wait_for(cancelled.wait(), SECONDS)
            with pytest.raises(asyncio.CancelledError):
                await call
    assert not records


async def test_an_unknown_method_is_unimplemented() -> None:
    async with serving(guard=guarded()) as served:
        for name in (f"/{SERVICE}/NoSuchMethod", "/no.such.Service/Method"):
            async with failing(UNIMPLEMENTED):
                await served.channel.unary_unary(name, bytes, bytes)(b"", timeout=SECONDS)


@pytest.mark.parametrize(
    ("method", "streams_requests"),
    [
        (AUTHENTICATE, False),
        (WATCH, False),
        ("/grpc.health.v1.Health/Check", False),
        ("/grpc.health.v1.Health/Watch", False),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", True),
    ],
)
async def test_bytes_that_are_no_message_are_an_invalid_argument_and_say_nothing_of_us(
    method: str, streams_requests: bool
) -> None:
    """gRPC itself answers UNKNOWN, which callers retry for ever, with the exception's text.

    Handlers that ignored their request answered OK; open methods answered as gRPC does.
    """

    async def ignore(_: object, __: Context) -> pb.AuthenticateResponse:
        return pb.AuthenticateResponse()

    with capture_logs() as records:
        async with serving(ignore, guard=guarded(), with_reflection=True) as served:
            call: Any  # Of a stream of answers; one that is answered once ends just the same.
            if streams_requests:
                call = served.channel.stream_stream(method, bytes, bytes)(
                    iter([b"\xff\xff"]), timeout=SECONDS, metadata=as_caller("edge")
                )
            else:
                call = served.channel.unary_stream(method, bytes, bytes)(
                    b"\xff\xff", timeout=SECONDS, metadata=as_caller("edge")
                )
            with pytest.raises(aio.AioRpcError) as refused:
                await anext(aiter(call))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "the request is not a message of this method"
    assert not records


async def test_health_of_an_unknown_service_is_not_found_and_no_failure() -> None:
    with capture_logs() as records:
        async with serving(guard=guarded()) as served, failing(NOT_FOUND):
            await health_pb2_grpc.HealthStub(served.channel).Check(
                health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=SECONDS
            )
    assert not records


# ---- limits and addresses


async def test_a_message_above_grpcs_own_limit_goes_both_ways() -> None:
    text = "x" * (7 * 1024 * 1024)
    async with serving() as served:
        assert len((await served.ask(text=text)).user_id) == len(text)


async def test_a_message_above_our_limit_is_refused() -> None:
    async with serving() as served, failing(grpc.StatusCode.RESOURCE_EXHAUSTED):
        await served.ask(text="x" * (8 * 1024 * 1024 + 1))


async def test_two_servers_cannot_have_one_port() -> None:
    async with serving() as served:
        with pytest.raises(OSError, match=f"cannot listen on {served.address}"):
            bind(create_server(), served.address)


async def test_a_channel_finds_a_server_that_comes_back() -> None:
    async with serving() as served:
        address = served.address
    async with open_channel(address) as channel:
        stub = pb_grpc.AuthServiceStub(channel)
        async with failing(grpc.StatusCode.UNAVAILABLE):
            await stub.Authenticate(pb.AuthenticateRequest(), timeout=SECONDS)
        server = create_server()
        pb_grpc.add_AuthServiceServicer_to_server(Servicer(echo, three), server)
        assert bind(server, address) == address
        await server.start()
        try:
            answer = await stub.Authenticate(
                pb.AuthenticateRequest(token="again"), timeout=SECONDS, wait_for_ready=True
            )
            assert answer.user_id == "again"
        finally:
            await stop_within(server, 0)


# ---- how much at once


async def succeeds(call: Awaitable[object]) -> bool:
    try:
        await call
    except aio.AioRpcError:
        return False
    return True


async def test_a_call_beyond_the_bound_is_resource_exhausted_and_one_after_it_is_served() -> None:
    gate = asyncio.Event()
    came = asyncio.Queue[str]()

    async def waiting(request: pb.AuthenticateRequest, _: Context) -> pb.AuthenticateResponse:
        came.put_nowait(request.token)
        await gate.wait()
        return pb.AuthenticateResponse(user_id=request.token)

    async def until_cancelled(_: object, __: Context) -> AsyncIterator[pb.WatchRevocationsResponse]:
        yield pb.WatchRevocationsResponse()
        await asyncio.Event().wait()

    async with serving(waiting, until_cancelled, max_calls=2) as served:
        stream = served.stub.WatchRevocations(pb.WatchRevocationsRequest(), timeout=SECONDS)
        await stream.read()
        under_way = asyncio.create_task(served.ask())
        await came.get()

        for _ in range(3):
            with pytest.raises(aio.AioRpcError) as refused:
                await served.ask()
            assert refused.value.code() is RESOURCE_EXHAUSTED

        gate.set()
        assert (await under_way).user_id == "x"
        # Its place is free when the server has seen its end, which may be after us.
        async with asyncio.timeout(SECONDS):
            while not await succeeds(served.ask()):
                pass
        stream.cancel()


async def test_those_who_watch_health_are_bounded_and_a_place_is_free_again_when_one_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grpc_server, "MAX_HEALTH_WATCHES", 2)
    async with serving() as served:

        def watch() -> Any:
            return health_pb2_grpc.HealthStub(served.channel).Watch(
                health_pb2.HealthCheckRequest(), timeout=SECONDS
            )

        watches = [watch() for _ in range(2)]
        for each in watches:
            await each.read()
        assert await watch().code() is RESOURCE_EXHAUSTED

        watches[0].cancel()
        # The server hears of it when it does.
        async with asyncio.timeout(SECONDS):
            while not await succeeds((again := watch()).read()):
                pass
        for each in (watches[1], again):
            each.cancel()


# ---- health and reflection


async def health_of(served: Served, name: str) -> int:
    answer = await health_pb2_grpc.HealthStub(served.channel).Check(
        health_pb2.HealthCheckRequest(service=name), timeout=SECONDS
    )
    return int(answer.status)


@pytest.mark.parametrize("name", ["", SERVICE])
async def test_health_needs_no_credential_and_says_what_it_is_told(name: str) -> None:
    async with serving(guard=guarded()) as served:
        assert await health_of(served, name) == health_pb2.HealthCheckResponse.NOT_SERVING
        await served.board.show(serving=True)
        assert await health_of(served, name) == health_pb2.HealthCheckResponse.SERVING
        await served.board.show(serving=False)
        assert await health_of(served, name) == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_health_of_an_unknown_service_is_not_found() -> None:
    async with serving() as served, failing(NOT_FOUND):
        await health_of(served, "no.such.Service")


async def reflected(served: Served) -> set[str]:
    call = reflection_pb2_grpc.ServerReflectionStub(served.channel).ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=SECONDS
    )
    return {item.name async for answer in call for item in answer.list_services_response.service}


async def test_reflection_is_served_only_where_it_is_wanted() -> None:
    async with serving(guard=guarded(), with_reflection=True) as served:
        assert SERVICE in await reflected(served)
    async with serving(guard=guarded()) as served, failing(UNIMPLEMENTED):
        await reflected(served)
