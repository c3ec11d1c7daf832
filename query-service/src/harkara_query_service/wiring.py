"""The composition root: builds the service from its settings, starts it, and stops it in order."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import structlog
from prometheus_client import CollectorRegistry

from harkara_catalogue.catalogue_file import CatalogueFileError, load_catalogue
from harkara_query_service.adapters.audit_log import StructlogAudit
from harkara_query_service.adapters.auth_client import AuthClient
from harkara_query_service.adapters.console import Console
from harkara_query_service.adapters.event_stats import EventStats
from harkara_query_service.adapters.postgres_history import PostgresHistory, open_engine
from harkara_query_service.adapters.postgres_probe import PostgresProbe
from harkara_query_service.adapters.routes import create_app
from harkara_query_service.metrics import Metrics
from harkara_query_service.service import QueryService
from harkara_query_service.settings import QueryServiceSettings
from harkara_schema.errors import SchemaVersionError
from harkara_schema.version import require_current_async
from harkara_servicekit.credential import Credential
from harkara_servicekit.grpc_client import open_channel
from harkara_servicekit.http_server import HttpServer
from harkara_servicekit.ops_http import OpsServer
from harkara_servicekit.origins import OriginRule
from harkara_servicekit.settings import SettingsError, split_address

_SCHEMA_SECONDS = 5.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the service listens: `host:port` each.

    Attributes:
        listen_address: REST.
        ops_address: The ops port.
    """

    listen_address: str
    ops_address: str


async def serve(
    settings: QueryServiceSettings,
    stop: asyncio.Event,
    started: Callable[[Bound], None] | None = None,
) -> None:
    """Serve until told to stop; then finish the requests under way, and close everything.

    Args:
        settings: What to serve.
        stop: Set from outside to end it.
        started: Told where it listens, once it does. Postgres and the other services may be away then:
            questions that need them answer 503 until they are back.

    Raises:
        SettingsError: a file that the settings name cannot be used, or the tables are of an older release.
        OSError: an address cannot be had.
    """
    credential = Credential(settings.credential_file)
    try:
        catalogue = load_catalogue(settings.catalogue_file)
    except CatalogueFileError as error:
        raise SettingsError("; ".join(str(error).splitlines())) from None
    dsn = settings.postgres_dsn.get_secret_value()
    try:
        async with asyncio.timeout(_SCHEMA_SECONDS):
            await require_current_async(dsn)
    except SchemaVersionError as error:
        raise SettingsError(str(error)) from None
    except (psycopg.Error, TimeoutError):
        pass  # Away: the probe says so, and says when it is back.
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    stopping = False

    async with contextlib.AsyncExitStack() as closing:
        auth_channel = open_channel(settings.auth_target)
        closing.push_async_callback(auth_channel.close, None)
        event_channels = [open_channel(target) for target in settings.event_targets]
        for channel in event_channels:
            closing.push_async_callback(channel.close, None)
        history = PostgresHistory(
            open_engine(
                dsn,
                pool_size=settings.pool_size,
                pool_wait_seconds=settings.pool_wait_seconds,
                statement_seconds=settings.statement_seconds,
            ),
            deadline_seconds=settings.pool_wait_seconds + settings.statement_seconds + 1,
        )
        closing.push_async_callback(history.close)
        verifier = AuthClient(auth_channel, credential, clock=_now, monotonic=time.monotonic)
        closing.push_async_callback(verifier.close)
        stats = EventStats(event_channels, credential, clock=_now, monotonic=time.monotonic)
        closing.push_async_callback(stats.close)
        service = QueryService(
            history=history,
            stats=stats,
            verifier=verifier,
            audit=StructlogAudit(),
            known_types=catalogue.types.keys(),
            clock=_now,
        )
        app = create_app(
            service,
            catalogue=catalogue,
            websocket_url=settings.websocket_url,
            origins=OriginRule.parse(settings.allowed_origins),
            max_requests=settings.max_requests,
            metrics=metrics,
            console=Console(settings.websocket_url) if settings.console else None,
        )
        probe = PostgresProbe(history)
        closing.push_async_callback(probe.stop)
        await probe.start()
        ops = OpsServer(
            settings.ops_address, registry, live=lambda: True, ready=lambda: probe.good and not stopping
        )
        ops_address = await ops.start()
        closing.push_async_callback(ops.stop)
        http = HttpServer(
            app,
            *split_address(settings.listen_address),
            # So that there is time left to close the rest.
            close_seconds=settings.shutdown_seconds / 2,
            max_connections=settings.max_connections,
            on_refused=metrics.connections_refused.inc,
        )
        listen_address = await http.start()
        closing.push_async_callback(http.stop)

        _log.info("started", listen_address=listen_address, ops_address=ops_address)
        if started is not None:
            started(Bound(listen_address, ops_address))
        await stop.wait()
        stopping = True
        _log.info("stopping")
    _log.info("stopped")


def _now() -> datetime:
    return datetime.now(UTC)
