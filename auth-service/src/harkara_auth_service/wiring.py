"""Puts auth-service together, starts it in order, and stops it in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import structlog
from prometheus_client import CollectorRegistry

from harkara.auth.v1 import auth_service_pb2_grpc, user_service_pb2_grpc
from harkara_auth_service.adapters import auth_servicer, user_servicer
from harkara_auth_service.adapters.auth_servicer import AuthServicer
from harkara_auth_service.adapters.change_listener import listen
from harkara_auth_service.adapters.jwt_keys import JwtKeys
from harkara_auth_service.adapters.postgres_session import PostgresSession, open_engine
from harkara_auth_service.adapters.postgres_users import PostgresUsers
from harkara_auth_service.adapters.revoked_list import RevokedList
from harkara_auth_service.adapters.statuses import as_status
from harkara_auth_service.adapters.user_servicer import UserServicer
from harkara_auth_service.adapters.watched_file import WatchedFile
from harkara_auth_service.domain.access import RPC_RULES
from harkara_auth_service.domain.key_rules import MAX_KEY_SET_BYTES, BadKeysError, read_shared_key
from harkara_auth_service.domain.token_rules import TokenRules
from harkara_auth_service.domain.users import Principal
from harkara_auth_service.metrics import Metrics
from harkara_auth_service.service.authentication import Authentication
from harkara_auth_service.service.changes import ChangeFeed
from harkara_auth_service.service.lookups import UserLookups
from harkara_auth_service.service.tokens import TokenVerifier
from harkara_auth_service.service.user_keeping import UserKeeping
from harkara_auth_service.settings import AuthServiceSettings
from harkara_schema.errors import SchemaError
from harkara_schema.version import require_current_async
from harkara_servicekit.grpc_server import (
    Guard,
    add_health_and_reflection,
    bind,
    create_server,
    stop_within,
)
from harkara_servicekit.ops_http import OpsServer
from harkara_servicekit.settings import SettingsError, read_secret_file

DRAIN_SECONDS: Final = 3.0
"""Longer than any call takes: look-ups give up sooner, and watches are ended."""

if TYPE_CHECKING:
    from harkara_auth_service.adapters.key_set_url import KeySetUrl

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the service listens, as `host:port`."""

    listen_address: str
    ops_address: str


class _Readiness:
    """Whether the service can take calls: Postgres answers, the keys are there, nobody asked it to stop."""

    def __init__(self, keys: JwtKeys, feed: ChangeFeed) -> None:
        self._keys = keys
        self._feed = feed
        self._stopping = False

    def __call__(self) -> bool:
        return not self._stopping and self._keys.loaded and self._feed.in_step

    def stop(self) -> None:
        self._stopping = True


async def serve(
    settings: AuthServiceSettings,
    stop: asyncio.Event,
    started: Callable[[Bound], None] | None = None,
) -> None:
    """Serve until `stop` is set, then stop in order.

    Postgres may be away at the start: the service then listens and is not ready.

    Args:
        settings: what it was told.
        stop: asks for the orderly stop.
        started: is called once, when all addresses are bound.

    Raises:
        SettingsError: a file that a setting names cannot be used, or the tables are too old.
        OSError: an address cannot be had.
    """
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    keys = _open_keys(settings, metrics)
    dsn = settings.postgres_dsn.get_secret_value()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(keys.close)
        await _check_tables(dsn)
        session = PostgresSession(open_engine(dsn), metrics)
        stack.push_async_callback(session.close)
        directory = PostgresUsers(session)
        lookups = UserLookups(directory, time.monotonic, metrics)
        stack.push_async_callback(lookups.close)
        feed = ChangeFeed(directory, lookups, time.monotonic, metrics)
        revoked = _open_revoked(settings.revoked_credentials_file, feed)
        verifier = TokenVerifier(keys, _rules_of(settings), time.time, time.monotonic, metrics)
        authentication = Authentication(verifier, lookups, feed, time.monotonic, metrics)
        ready = _Readiness(keys, feed)

        async def identify(token: str) -> Principal:
            with as_status():
                return await authentication.authenticate(token)

        guard = Guard(RPC_RULES, identify)
        server = create_server([guard])
        auth_service_pb2_grpc.add_AuthServiceServicer_to_server(AuthServicer(authentication, feed), server)
        user_service_pb2_grpc.add_UserServiceServicer_to_server(
            UserServicer(UserKeeping(directory, lookups, feed, time.time), guard.caller.get), server
        )
        board = add_health_and_reflection(
            server,
            [auth_servicer.SERVICE_NAME, user_servicer.SERVICE_NAME],
            with_reflection=settings.reflection,
        )

        ops = OpsServer(settings.ops_address, registry, live=lambda: True, ready=ready)
        ops_address = await ops.start()
        stack.push_async_callback(ops.stop)
        works = [feed.run(), listen(dsn, feed.wake), keys.run(), board.follow(ready)]
        if revoked is not None:
            works.append(revoked.run())
        broken = await stack.enter_async_context(_in_background(works))
        listen_address = bind(server, settings.listen_address)
        await board.show(serving=False)
        await server.start()
        stack.push_async_callback(stop_within, server, DRAIN_SECONDS)
        _log.info("started", listen_address=listen_address, ops_address=ops_address)
        if started is not None:
            started(Bound(listen_address, ops_address))

        await _any_of(stop, broken)
        ready.stop()
        await board.show(serving=False)
        feed.close()
    _log.info("stopped")


def _key_set_url(settings: AuthServiceSettings) -> KeySetUrl | None:
    if not settings.jwks_url:
        return None
    from harkara_auth_service.adapters.key_set_url import KeySetUrl  # noqa: PLC0415 - see there.

    return KeySetUrl(settings.jwks_url, settings.jwks_refresh_seconds)


def _open_keys(settings: AuthServiceSettings, metrics: Metrics) -> JwtKeys:
    """The keys, read for the first time; every fault of theirs is told at once."""
    faults: list[str] = []
    shared_key: bytes | None = None
    if settings.hs256_key_file is None:
        _log.warning("no_internal_callers", reason="without HS256_KEY_FILE no internal token is good")
    else:
        try:
            shared_key = read_shared_key(read_secret_file(settings.hs256_key_file))
        except SettingsError as error:
            faults.append(str(error))
        except BadKeysError as error:
            faults.append(f"{settings.hs256_key_file}: {error}")
    keys = JwtKeys(
        shared_key=shared_key,
        file=WatchedFile(settings.jwks_file, MAX_KEY_SET_BYTES) if settings.jwks_file else None,
        url=_key_set_url(settings),
        monotonic=time.monotonic,
        metrics=metrics,
    )
    try:
        keys.read_file()
    except OSError as error:
        faults.append(f"{settings.jwks_file}: {error.strerror}")
    except BadKeysError as error:
        faults.append(f"{settings.jwks_file}: {error}")
    if faults:
        raise SettingsError("; ".join(faults))
    return keys


def _open_revoked(path: Path | None, feed: ChangeFeed) -> RevokedList | None:
    """The list of revoked credentials, read for the first time."""
    if path is None:
        return None
    revoked = RevokedList(path, feed.revoke)
    try:
        revoked.read()
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise SettingsError(message) from None
    return revoked


def _rules_of(settings: AuthServiceSettings) -> TokenRules:
    return TokenRules(
        issuer=settings.issuer,
        audience=settings.audience,
        service_lifetime_seconds=settings.service_token_max_days * 86_400,
        key_set_may_sign_services=settings.jwks_service_tokens,
    )


async def _check_tables(dsn: str) -> None:
    """Refuse a database whose tables are too old; one that is away is waited for later."""
    try:
        await require_current_async(dsn)
    except SchemaError as error:
        raise SettingsError(str(error)) from None
    except psycopg.Error as error:
        _log.warning("postgres_away", error=type(error).__name__, sqlstate=error.sqlstate)


@asynccontextmanager
async def _in_background(works: list[Coroutine[Any, Any, None]]) -> AsyncIterator[asyncio.Event]:
    """Do these meanwhile; the event is set when one of them ends, which none ever should.

    Raises:
        Exception: at the end, what a work failed with.
    """
    tasks = [asyncio.create_task(work) for work in works]
    broken = asyncio.Event()
    for task in tasks:
        task.add_done_callback(lambda _: broken.set())
    try:
        yield broken
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _any_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
