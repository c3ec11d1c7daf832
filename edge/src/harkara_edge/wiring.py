"""Puts one edge worker together, starts it, and stops it in order."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from harkara_catalogue import CatalogueFileError, load_catalogue
from harkara_edge.adapters.attaching import Finder
from harkara_edge.adapters.auth_client import AuthClient
from harkara_edge.adapters.event_stream import AttachStream
from harkara_edge.adapters.socket_server import BACKLOG, Listening, SocketServer
from harkara_edge.domain.commands import Moment
from harkara_edge.domain.limits import UnsentTotal
from harkara_edge.domain.session import Rules
from harkara_edge.domain.targets import Targets
from harkara_edge.metrics import Metrics
from harkara_edge.service import EdgeService
from harkara_edge.settings import EdgeSettings
from harkara_servicekit.credential import Credential
from harkara_servicekit.grpc_client import open_channel
from harkara_servicekit.listening import sockets_of_clients
from harkara_servicekit.ops_http import OpsServer
from harkara_servicekit.origins import OriginRule
from harkara_servicekit.settings import SettingsError


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a worker listens, `host:port` each.

    Args:
        listen_address: For clients.
        ops_address: For /livez, /readyz and /metrics.
    """

    listen_address: str
    ops_address: str


def read_clocks() -> Moment:
    """Read both clocks."""
    return Moment(time.monotonic(), time.time())


def new_connection_id() -> str:
    """Return a name that nobody can guess."""
    return f"conn_{secrets.token_hex(12)}"


async def serve(  # noqa: PLR0913 - what every service takes, and what tests put in place of the world.
    settings: EdgeSettings,
    stop: asyncio.Event,
    started: Callable[[Bound], None] | None = None,
    *,
    hurry: asyncio.Event | None = None,
    clock: Callable[[], Moment] = read_clocks,
    registry: CollectorRegistry | None = None,
) -> None:
    """Run a worker until it is asked to stop.

    Args:
        settings: What it is told.
        stop: Set to stop it.
        started: Called with where it listens, once it does.
        hurry: Set, while it stops, to tell all clients at once that are still to be told.
        clock: Reads both clocks.
        registry: Where its metrics are shown; None for one of its own.

    Raises:
        SettingsError: A file that a setting names cannot be used.
        OSError: An address cannot be had.
    """
    limits = settings.limits()
    registry = registry or CollectorRegistry()
    metrics = Metrics(registry)
    credential = Credential(settings.credential_file)
    try:
        types = frozenset(load_catalogue(settings.catalogue_file).types)
    except CatalogueFileError as error:
        raise SettingsError(str(error)) from None
    jitter = random.SystemRandom().random
    unsent = UnsentTotal(limits)

    async with AsyncExitStack() as stack:
        auth_channel = await stack.enter_async_context(open_channel(settings.auth_target))
        auth = AuthClient(channel=auth_channel, credential=credential, jitter=jitter, metrics=metrics)
        stack.push_async_callback(auth.close)
        finder = Finder(
            targets=Targets(settings.event_targets, settings.worker),
            credential=credential,
            worker=settings.worker,
            chance=jitter,
        )
        stream = AttachStream(finder=finder, worker=settings.worker, metrics=metrics)
        service = EdgeService(
            rules=Rules(limits, types),
            stream=stream,
            verifier=auth,
            unsent=unsent,
            clock=clock,
            new_connection_id=new_connection_id,
            chance=jitter,
            metrics=metrics,
        )
        sockets = SocketServer(
            listening=_listening(settings),
            service=service,
            limits=limits,
            unsent=unsent,
            clock=clock,
            metrics=metrics,
        )
        stack.push_async_callback(service.stop)
        await _start_task(stack, auth.watch(service.revoked, service.unwatched))
        await _start_task(stack, stream.run(service))
        ops = OpsServer(
            settings.ops_address,
            registry,
            live=lambda: True,
            ready=lambda: stream.attached and auth.watching and not stop.is_set(),
        )
        ops_address = await ops.start()
        stack.push_async_callback(ops.stop)
        listen_address = await sockets.start()
        stack.push_async_callback(sockets.stop, limits.close_seconds + 1)
        if started is not None:
            started(Bound(listen_address, ops_address))
        await stop.wait()
        sockets.stop_accepting()
        await service.drain(settings.drain_seconds, hurry or asyncio.Event())
        # The exit stack does the rest: sockets closed, ops port, stream, watch, channels.


def _listening(settings: EdgeSettings) -> Listening:
    files = sockets_of_clients()
    told = min(BACKLOG, files // 4)
    return Listening(
        address=settings.listen_address,
        shared=settings.workers > 1,
        origins=OriginRule.parse(settings.allowed_origins),
        max_connections=min(settings.max_connections, files - told),
        max_told=told,
        max_connections_per_address=-(-settings.max_connections_per_address // settings.workers),
    )


async def _start_task(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
