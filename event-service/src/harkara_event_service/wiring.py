"""Builds the event-service, starts it in order, and stops it in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import structlog
from prometheus_client import CollectorRegistry
from ulid import ULID

from harkara.event.v1 import delivery_service_pb2_grpc, emit_service_pb2_grpc
from harkara_catalogue import Catalogue, CatalogueFileError, load_catalogue
from harkara_event_service.adapters.credentials import AuthServiceCredentials, utc_now
from harkara_event_service.adapters.delivery_servicer import DeliveryServicer
from harkara_event_service.adapters.emit_servicer import EmitServicer
from harkara_event_service.adapters.postgres_devices import PostgresDevices
from harkara_event_service.adapters.postgres_log import PostgresLog, PostgresLogSettings
from harkara_event_service.domain.batches import BatchId
from harkara_event_service.domain.event import NumberedEvent, announced
from harkara_event_service.domain.registry import Registry
from harkara_event_service.metrics import BackplaneMetrics, Metrics
from harkara_event_service.ports import (
    Caller,
    CallerKind,
    CredentialRefusedError,
    Credentials,
    CredentialsUnavailableError,
)
from harkara_event_service.service import Delivering, Devices, Emitting, Hearing
from harkara_event_service.settings import Settings
from harkara_schema.errors import SchemaError
from harkara_servicekit import grpc_server
from harkara_servicekit.credential import Credential
from harkara_servicekit.grpc_client import open_channel
from harkara_servicekit.grpc_server import Guard, StatusError
from harkara_servicekit.ops_http import OpsServer
from harkara_servicekit.settings import SettingsError

if TYPE_CHECKING:
    from harkara_event_service.adapters.nats_backplane import NatsBackplane

_log = structlog.get_logger()

EDGES_SECONDS = 2.0
"""How long edges have to find another replica when this one stops."""

EDGES_SHARE, CALLS_SHARE, LOG_SHARE = 0.2, 0.3, 0.15
"""How much of the time for a stop each may use up that waits for others: the edges, the calls under way,
what is being stored. What is left is for cutting off the rest."""

SERVICES = ("harkara.event.v1.EmitService", "harkara.event.v1.DeliveryService")


def _is_service(caller: Caller) -> bool:
    return caller.kind is CallerKind.SERVICE


def _is_part(*names: str) -> Callable[[Caller], bool]:
    return lambda caller: caller.kind is CallerKind.INTERNAL and caller.name in names


RULES: dict[str, Callable[[Caller], bool]] = {
    "/harkara.event.v1.EmitService/Emit": _is_service,
    "/harkara.event.v1.EmitService/EmitBatch": _is_service,
    "/harkara.event.v1.EmitService/EmitStream": _is_service,
    "/harkara.event.v1.DeliveryService/Attach": _is_part("edge"),
    "/harkara.event.v1.DeliveryService/GetStats": _is_part("edge", "query-service"),
}
"""Who may call what (docs/security.md); what is not here is refused."""


@dataclass(frozen=True)
class Bound:
    """Where the service listens."""

    listen_address: str
    ops_address: str


def identify(credentials: Credentials) -> Callable[[str], Awaitable[Caller]]:
    """What says whom a token speaks for, as `Guard` wants it."""

    async def caller_of(token: str) -> Caller:
        with _as_status():
            return await credentials.caller_of(token)

    return caller_of


def look_again(credentials: Credentials) -> Callable[[Caller], Caller]:
    """What says what a caller has become, as the servicers of streams want it."""

    def caller_now(caller: Caller) -> Caller:
        with _as_status():
            return credentials.caller_now(caller)

    return caller_now


@contextmanager
def _as_status() -> Iterator[None]:
    try:
        yield
    except CredentialRefusedError:
        raise StatusError(grpc.StatusCode.UNAUTHENTICATED, "the credential is not valid") from None
    except CredentialsUnavailableError:
        raise StatusError(grpc.StatusCode.UNAVAILABLE, "the credential cannot be verified now") from None


async def serve(
    settings: Settings, stop: asyncio.Event, started: Callable[[Bound], None] | None = None
) -> None:
    """Run the event-service until `stop` is set.

    Postgres may be away at the start: the service then listens and is not ready.

    Args:
        settings: what it is told.
        stop: ends it.
        started: is told where it listens, once it takes calls.

    Raises:
        SettingsError: a file that a setting names cannot be used, or the tables are too old.
        OSError: an address cannot be had.
    """
    metrics_registry = CollectorRegistry()
    metrics = Metrics(metrics_registry)
    catalogue = _catalogue(settings)
    credential = Credential(settings.credential_file)
    core = _core(settings, len(catalogue.types), metrics, metrics_registry)
    log, delivering = core.log, core.delivering
    stopping = False

    def ready() -> bool:
        return log.healthy and not stopping

    async with AsyncExitStack() as stack:
        ops = OpsServer(
            settings.ops_address,
            metrics_registry,
            live=lambda: not running.done(),
            ready=ready,
        )
        auth = open_channel(settings.auth_target)
        stack.push_async_callback(auth.close, None)
        if core.backplane is not None:
            core.backplane.start()
            # Closed after the log, whose last commits are told too.
            stack.push_async_callback(core.backplane.close)
        await _open(log)
        stack.push_async_callback(log.close)
        stack.push_async_callback(_close_devices, core)
        credentials = AuthServiceCredentials(auth, credential, catalogue, time.time)
        running = _in_background(stack, _run(core, credentials))
        stack.push_async_callback(delivering.close_all)

        guard: Guard[Caller] = Guard(RULES, identify(credentials))
        caller_now = look_again(credentials)
        server = grpc_server.create_server([guard])
        emitting = Emitting(
            log,
            catalogue,
            utc_now,
            mint_id,
            is_swamped=lambda: delivering.is_swamped,
            hand_on=delivering.announce_ephemeral if core.hearing is None else core.hearing.hand_on,
        )
        emit = EmitServicer(emitting, guard.caller, caller_now, metrics)
        emit_service_pb2_grpc.add_EmitServiceServicer_to_server(emit, server)
        delivery = DeliveryServicer(delivering, guard.caller, caller_now, metrics)
        delivery_service_pb2_grpc.add_DeliveryServiceServicer_to_server(delivery, server)
        health = grpc_server.add_health_and_reflection(server, SERVICES, with_reflection=settings.reflection)
        listen_address = grpc_server.bind(server, settings.listen_address)
        await server.start()
        stack.push_async_callback(server.stop, None)
        ops_address = await ops.start()
        stack.push_async_callback(ops.stop)
        _in_background(stack, health.follow(ready))
        _log.info("started", listen_address=listen_address, ops_address=ops_address)
        if started is not None:
            started(Bound(listen_address, ops_address))

        await _either(stop, running)

        # Not ready, then the edges move, then the emitters' streams, then what is being stored is finished,
        # then all is closed.
        stopping = True
        await health.show(serving=False)
        await delivery.drain(min(EDGES_SECONDS, settings.shutdown_seconds * EDGES_SHARE))
        emit.drain()
        await grpc_server.stop_within(server, settings.shutdown_seconds * CALLS_SHARE)
        if running.done():
            running.result()
    _log.info("stopped")


@dataclass(frozen=True)
class _Core:
    """The log, those who bring its events to the edges, and what joins them to other replicas, if any."""

    log: PostgresLog
    devices: Devices
    device_cursors: PostgresDevices
    delivering: Delivering
    hearing: Hearing | None
    backplane: NatsBackplane | None


def _core(
    settings: Settings, size_of_catalogue: int, metrics: Metrics, metrics_registry: CollectorRegistry
) -> _Core:
    def committed(events: Sequence[NumberedEvent]) -> None:
        delivering.announce(map(announced, events))

    def batched(batch: BatchId, events: Sequence[NumberedEvent]) -> None:
        if hearing is not None:
            hearing.committed(batch, events)

    servers = settings.backplane_servers
    log = PostgresLog(
        settings.postgres_dsn.get_secret_value(),
        committed=committed,
        clock=utc_now,
        registry=metrics_registry,
        settings=PostgresLogSettings(
            retention=timedelta(days=settings.retention_days),
            lanes=settings.write_lanes,
            drain_seconds=settings.shutdown_seconds * LOG_SHARE,
        ),
        batched=batched if servers else None,
    )
    device_cursors = PostgresDevices(settings.postgres_dsn.get_secret_value())
    devices = Devices(device_cursors, utc_now)
    registry = Registry(
        max_sessions_per_user=settings.max_connections_per_user,
        size_of_catalogue=size_of_catalogue,
        collapse_seconds=settings.collapse_ms / 1000,
    )
    delivering = Delivering(log, registry, utc_now, devices)
    metrics.sessions.set_function(lambda: registry.session_count)
    metrics.acknowledgements.set_function(lambda: devices.waiting)
    hearing: Hearing | None = None
    backplane: NatsBackplane | None = None
    if servers:
        # Where this replica is alone, a tenth of a second less until it serves again.
        from harkara_event_service.adapters.nats_backplane import NatsBackplane  # noqa: PLC0415

        backplane_metrics = BackplaneMetrics(metrics_registry)
        backplane = NatsBackplane(servers, backplane_metrics)
        hearing = Hearing(log, backplane, delivering, backplane_metrics)
    return _Core(log, devices, device_cursors, delivering, hearing, backplane)


def _catalogue(settings: Settings) -> Catalogue:
    try:
        return load_catalogue(settings.catalogue_file)
    except CatalogueFileError as error:
        raise SettingsError(str(error)) from None


async def _close_devices(core: _Core) -> None:
    await core.devices.close()
    await core.device_cursors.close()


async def _open(log: PostgresLog) -> None:
    try:
        await log.open()
    except SchemaError as error:
        raise SettingsError(str(error)) from None


async def _run(core: _Core, credentials: AuthServiceCredentials) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(core.delivering.run())
        group.create_task(core.devices.run())
        group.create_task(credentials.keep_fresh())
        if core.hearing is not None:
            group.create_task(core.hearing.run())


async def _either(stop: asyncio.Event, running: asyncio.Task[None]) -> None:
    """Return when the service is to stop, or cannot go on."""
    stopper = asyncio.create_task(stop.wait())
    await asyncio.wait({stopper, running}, return_when=asyncio.FIRST_COMPLETED)
    stopper.cancel()


def _in_background(stack: AsyncExitStack, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Do this until `stack` is closed."""
    task = asyncio.create_task(work)
    stack.push_async_callback(_end, task)
    return task


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def mint_id() -> str:
    """A fresh event_id."""
    return f"evt_{ULID()}"
