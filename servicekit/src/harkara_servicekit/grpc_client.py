"""A gRPC channel as each service opens it: our limits, keepalive, quick reconnects.

Give every call a `timeout`, and `Credential.metadata()` where the method wants a credential.
"""

from __future__ import annotations

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
    # Whatever its name says: how long a connection may take before it counts as failed. A process that is
    # frozen takes it, and says nothing.
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Channels to one target must not share a connection that one of them lost.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(target: str) -> aio.Channel:
    """A channel to `target` (`host:port`), in plain text; connected when first used, and again for ever."""
    return aio.insecure_channel(target, options=list(_OPTIONS))


def is_caller_refused(error: aio.AioRpcError) -> bool:
    """Whether the other side's `Guard` refused our own credential, and not what the call asked about."""
    pairs: Any = error.trailing_metadata() or ()
    return CALLER_REFUSED in map(tuple, pairs)
