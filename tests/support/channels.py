"""gRPC channels that send one token with each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grpc import aio


class _AddsToken:
    def __init__(self, token: str) -> None:
        self._pair = ("authorization", f"Bearer {token}")

    def _with_token(self, details: aio.ClientCallDetails) -> aio.ClientCallDetails:
        metadata = aio.Metadata(*(details.metadata or ()), self._pair)
        return aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )


# One class for each shape of call: grpc.aio files an interceptor under the first shape it fits. The
# base classes are generic in the type stubs only, hence the ignores.
class _OnUnaryUnary(_AddsToken, aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._with_token(client_call_details), request)


class _OnUnaryStream(_AddsToken, aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._with_token(client_call_details), request)


class _OnStreamStream(_AddsToken, aio.StreamStreamClientInterceptor):  # type: ignore[type-arg]
    async def intercept_stream_stream(
        self,
        continuation: Callable[..., Any],
        client_call_details: aio.ClientCallDetails,
        request_iterator: Any,
    ) -> Any:
        return await continuation(self._with_token(client_call_details), request_iterator)


def open_channel_as(target: str, token: str | None) -> aio.Channel:
    """A channel to `target` (`host:port`) whose every call carries a bearer token.

    For tests. A service sends `Credential.metadata()` with each call instead: grpc.aio wraps a stream that
    has an interceptor, and every message on it then costs more.

    Args:
        target: Where to.
        token: The bearer token; None sends none.
    """
    shapes = (_OnUnaryUnary, _OnUnaryStream, _OnStreamStream)
    interceptors: list[Any] = [] if token is None else [shape(token) for shape in shapes]
    # No connection of an earlier test's server that had this port.
    options = [("grpc.use_local_subchannel_pool", 1)]
    return aio.insecure_channel(target, options=options, interceptors=interceptors)
