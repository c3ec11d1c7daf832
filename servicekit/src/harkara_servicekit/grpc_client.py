"""A gRPC channel as each service opens it: our limits, keepalive, quick reconnects, its credential.

Give every call a `timeout`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grpc import aio

from harkara_servicekit.grpc_server import CALLER_REFUSED, MAX_MESSAGE_BYTES

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Off by default in gRPC: without it a peer that vanished is noticed after minutes.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC's own backoff takes 2 s after the server is back, and grows to 120 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Channels to one target must not share a connection that one of them lost.
    ("grpc.use_local_subchannel_pool", 1),
)


class _AddsCredential:
    """Adds the bearer token to each call's metadata."""

    def __init__(self, token: str) -> None:
        self._pair = ("authorization", f"Bearer {token}")

    def _with_token(self, details: aio.ClientCallDetails) -> aio.ClientCallDetails:
        metadata = aio.Metadata(*(details.metadata or ()), self._pair)
        return aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )


# One class for each shape of call: grpc.aio files an interceptor under the first shape it fits. The
# base classes are generic in the type stubs only, hence the ignores.
class _OnUnaryUnary(_AddsCredential, aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._with_token(client_call_details), request)


class _OnUnaryStream(_AddsCredential, aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._with_token(client_call_details), request)


class _OnStreamUnary(_AddsCredential, aio.StreamUnaryClientInterceptor):  # type: ignore[type-arg]
    async def intercept_stream_unary(
        self,
        continuation: Callable[..., Any],
        client_call_details: aio.ClientCallDetails,
        request_iterator: Any,
    ) -> Any:
        return await continuation(self._with_token(client_call_details), request_iterator)


class _OnStreamStream(_AddsCredential, aio.StreamStreamClientInterceptor):  # type: ignore[type-arg]
    async def intercept_stream_stream(
        self,
        continuation: Callable[..., Any],
        client_call_details: aio.ClientCallDetails,
        request_iterator: Any,
    ) -> Any:
        return await continuation(self._with_token(client_call_details), request_iterator)


def open_channel(target: str, credential: str | None = None) -> aio.Channel:
    """A channel to `target` (`host:port`), in plain text.

    Args:
        target: where to; connected when first used, and again for ever.
        credential: a token to send with each call, or None.
    """
    interceptors: list[Any] = []
    if credential is not None:
        interceptors = [
            shape(credential) for shape in (_OnUnaryUnary, _OnUnaryStream, _OnStreamUnary, _OnStreamStream)
        ]
    return aio.insecure_channel(target, options=list(_OPTIONS), interceptors=interceptors)


def is_caller_refused(error: aio.AioRpcError) -> bool:
    """Whether the other side's `Guard` refused our own credential, and not what the call asked about."""
    pairs: Any = error.trailing_metadata() or ()
    return CALLER_REFUSED in map(tuple, pairs)
