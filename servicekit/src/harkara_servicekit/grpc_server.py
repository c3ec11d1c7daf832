"""A gRPC server as each service runs it: who may call what, one place where errors become statuses.

Deny by default: a method that has no rule is refused. A handler's exception never reaches the
caller: it becomes INTERNAL with an id that the log repeats.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]  # not in the stubs

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""Receive limit of every channel and server: above what any request may hold, so that our own
error answers and not gRPC's."""

MAX_CALLS = 4_000
"""How many calls a server has open at once unless told otherwise; gRPC answers what is more
RESOURCE_EXHAUSTED. A stream counts for as long as it lasts: of those there are some for each edge worker
and each emitter."""

MAX_HEALTH_WATCHES = 100
"""How many may watch a server's health: without a credential nobody may use up all calls for good."""

OPEN_METHODS = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    }
)
"""Methods that need no credential: health, and reflection where it is served at all."""

CALLER_REFUSED = ("harkara-refused", "caller")
"""Trailing metadata of a call that a `Guard` refused: the caller's own credential is at fault, and not
what the call asks about."""

END_OF_STREAM: Any = aio.EOF  # type: ignore[attr-defined]  # not in the stubs
"""What `context.read()` returns once the caller has ended its side."""

_FOLLOW_SECONDS = 0.1

_log = structlog.get_logger()

_OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Two servers on one port would each get a part of the calls, unseen.
    ("grpc.so_reuseport", 0),
    # The client pings every 10 s; a server that allows less answers too_many_pings.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 4_000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_ping_strikes", 0),
)


class StatusError(Exception):
    """Ends a call with this status.

    Args:
        code: the status.
        message: for the caller; never an exception's text, SQL, a path or a version.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


P = TypeVar("P")
if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
    # The stubs say that there always is a handler; an unknown method has none.
    Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


async def _abort(context: aio.ServicerContext[Any, Any], method: str, error: Exception) -> None:
    """End the call as `error` says; always raises."""
    if isinstance(error, StatusError):
        await context.abort(error.code, error.message)
    error_id = secrets.token_hex(8)
    _log.error("handler_failed", method=method, error_id=error_id, exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, f"internal error {error_id}")


class _Undecodable:
    """Stands for a message that is none: ends the call as soon as a handler looks at it.

    gRPC itself would answer with the exception's text, and with a status that callers retry.
    """

    def __getattr__(self, name: str) -> NoReturn:
        self.refuse()

    @staticmethod
    def refuse() -> NoReturn:
        """End the call."""
        raise StatusError(grpc.StatusCode.INVALID_ARGUMENT, "the request is not a message of this method")


def _looked_at(request: Any) -> Any:
    """A call's only message, or the stream of them; for handlers that have no use for what it says."""
    if isinstance(request, _Undecodable):
        request.refuse()
    return request


def _forgiving(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """The same deserializer, but for what it does with bytes that are no message."""

    def decode(data: bytes) -> Any:
        try:
            return deserialize(data) if deserialize is not None else data
        except DecodeError:
            return _Undecodable()

    return decode


def _remade(handler: Handler, behaviour: Callable[..., Any]) -> Handler:
    """A handler of the same shape that does `behaviour` instead."""
    make: Any = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[bool(handler.request_streaming), bool(handler.response_streaming)]
    return cast(
        "Handler",
        make(
            behaviour,
            request_deserializer=_forgiving(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        ),
    )


def _guarded(handler: Handler, method: str) -> Handler:
    """The same handler, with its exceptions turned into statuses."""
    inner: Any = handler.unary_unary or handler.stream_unary or handler.unary_stream or handler.stream_stream

    async def answer_one(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await inner(_looked_at(request), context)
        except aio.AbortError:  # What abort() itself raises: the status is said already.
            raise
        except Exception as error:  # noqa: BLE001 - that is what this wrapper is for.
            await _abort(context, method, error)

    async def answer_many(request: Any, context: aio.ServicerContext[Any, Any]) -> None:
        try:
            answer = inner(_looked_at(request), context)
            if hasattr(answer, "__aiter__"):
                async for item in answer:
                    await context.write(item)
            else:
                await answer
        except aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - that is what this wrapper is for.
            await _abort(context, method, error)

    return _remade(handler, answer_many if handler.response_streaming else answer_one)


# The stubs make it generic; grpc does not.
class ErrorInterceptor(aio.ServerInterceptor):  # type: ignore[type-arg]
    """Turns what a handler raises into a status: `StatusError` into its own, all else into INTERNAL."""

    def __init__(self) -> None:
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(  # noqa: D102 - grpc's own.
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        method = handler_call_details.method
        handler: Handler | None = await continuation(handler_call_details)
        if handler is None:
            return cast("Handler", handler)
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            wrapped = self._wrapped[method] = _guarded(handler, method)
        return wrapped


class Guard(aio.ServerInterceptor, Generic[P]):  # type: ignore[type-arg]
    """Lets a call in where its method's rule says so of the caller.

    Args:
        rules: for each full method name ("/package.Service/Method"), who may call it. A method without
            a rule is refused. Health and reflection need no credential.
        identify: says whom a token speaks for; raises `StatusError` where it speaks for nobody.
    """

    def __init__(
        self, rules: Mapping[str, Callable[[P], bool]], identify: Callable[[str], Awaitable[P]]
    ) -> None:
        self.rules = rules
        self.caller: ContextVar[P] = ContextVar("caller")
        self._identify = identify

    async def intercept_service(  # noqa: D102 - grpc's own.
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        method = handler_call_details.method
        handler: Handler | None = await continuation(handler_call_details)
        if handler is None or method in OPEN_METHODS:
            return cast("Handler", handler)
        try:
            rule = self.rules.get(method)
            if rule is None:
                raise StatusError(
                    grpc.StatusCode.PERMISSION_DENIED, "this credential may not call this method"
                )
            caller = await self._identify(_bearer_token(handler_call_details.invocation_metadata))
            if not rule(caller):
                raise StatusError(
                    grpc.StatusCode.PERMISSION_DENIED, "this credential may not call this method"
                )
        except StatusError as refusal:
            return _refusing(handler, refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller may not come in.
            error_id = secrets.token_hex(8)
            _log.error("identify_failed", method=method, error_id=error_id, exc_info=error)
            internal = StatusError(grpc.StatusCode.INTERNAL, f"internal error {error_id}")
            return _refusing(handler, internal)
        self.caller.set(caller)
        return handler


def _bearer_token(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The one bearer token of a call.

    Raises:
        StatusError: UNAUTHENTICATED where there is none, or more than one.
    """
    values = [value for key, value in metadata or () if key == "authorization"]
    if len(values) != 1 or not isinstance(values[0], str):
        raise StatusError(grpc.StatusCode.UNAUTHENTICATED, "a bearer token is required")
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise StatusError(grpc.StatusCode.UNAUTHENTICATED, "a bearer token is required")
    return token


def _refusing(handler: Handler, refusal: StatusError) -> Handler:
    """A handler of the same shape that only ends the call."""

    async def refuse(_: Any, context: aio.ServicerContext[Any, Any]) -> None:
        await context.abort(refusal.code, refusal.message, (CALLER_REFUSED,))

    return _remade(handler, refuse)


def create_server(interceptors: Sequence[Any] = (), *, max_calls: int = MAX_CALLS) -> aio.Server:
    """A server with our limits; behind the interceptors given stands an `ErrorInterceptor`.

    Args:
        interceptors: the first sees a call first.
        max_calls: see `MAX_CALLS`.
    """
    return aio.server(
        interceptors=[*interceptors, ErrorInterceptor()],
        options=list(_OPTIONS),
        maximum_concurrent_rpcs=max_calls,
    )


def bind(server: aio.Server, address: str) -> str:
    """Have `server` listen on `host:port`, and return it with the port bound.

    Raises:
        OSError: the address cannot be had.
    """
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        message = f"cannot listen on {address}"
        raise OSError(message) from error
    return f"{address.rpartition(':')[0]}:{port}"


class _Health(health_aio.HealthServicer):  # type: ignore[misc]  # not in the stubs
    """grpc's own, which would say SERVING of the server and nothing of its services before it is told."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._server_status = dict.fromkeys(("", *names), health_pb2.HealthCheckResponse.NOT_SERVING)
        self._watches = 0

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802 - grpc's own.
        if self._watches >= MAX_HEALTH_WATCHES:
            raise StatusError(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watch this server's health")
        self._watches += 1
        try:
            await super().Watch(request, context)
        finally:
            self._watches -= 1


class HealthBoard:
    """What the server's `grpc.health.v1` says: all services serving, or none."""

    def __init__(self, servicer: Any, names: Sequence[str]) -> None:
        self._servicer = servicer
        self._names = names

    async def show(self, *, serving: bool) -> None:
        """Say from now on whether the services can take calls."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *self._names):
            await self._servicer.set(name, status)

    async def follow(self, ready: Callable[[], bool]) -> None:
        """Show what `ready` says, and log each change of it; until cancelled.

        Args:
            ready: whether the services can take calls now; asked often.
        """
        shown = False
        while True:
            if ready() is not shown:
                shown = not shown
                await self.show(serving=shown)
                _log.info("ready" if shown else "not_ready")
            await asyncio.sleep(_FOLLOW_SECONDS)


def add_health_and_reflection(
    server: aio.Server, service_names: Sequence[str], *, with_reflection: bool
) -> HealthBoard:
    """Add `grpc.health.v1`, saying NOT_SERVING at first, and reflection where it is wanted.

    Args:
        server: not yet started.
        service_names: full names of the services, such as "harkara.auth.v1.AuthService".
        with_reflection: whether the services can be listed and described by callers.
    """
    servicer = _Health(service_names)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if with_reflection:
        from grpc_reflection.v1alpha import reflection  # noqa: PLC0415 - takes a while, and most want none.

        reflection.enable_server_reflection(
            [*service_names, "grpc.health.v1.Health", reflection.SERVICE_NAME], server
        )
    return HealthBoard(servicer, service_names)


async def stop_within(server: aio.Server, seconds: float) -> None:
    """Stop the server; calls that have not ended by then are cut."""
    await asyncio.wait_for(server.stop(seconds), seconds + 1)
