"""Whom a credential speaks for, asked of auth-service once and kept (docs/architecture.md, Identity).

An answer is kept under the token's SHA-256 until the token expires, asked for again in the
background, and kept while auth-service is away: an Emit costs one look-up, and goes on without
auth-service. A refusal is never kept.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import grpc
import structlog
from grpc import aio

from harkara.auth.v1 import auth_service_pb2 as pb
from harkara.auth.v1 import auth_service_pb2_grpc as pb_grpc
from harkara_catalogue.event_types import Catalogue
from harkara_event_service.domain.acceptance import Emitter
from harkara_event_service.ports import (
    Caller,
    CallerKind,
    CredentialRefusedError,
    CredentialsUnavailableError,
)
from harkara_servicekit.credential import Credential
from harkara_servicekit.grpc_client import is_caller_refused

_log = structlog.get_logger()

ASK_SECONDS = 3.0
REFRESH_SECONDS = 60.0
MAX_KEPT = 10_000
MAX_ASKED = 1_000
"""How many credentials are asked about at once; a call with one more is turned away."""


_KINDS = {
    pb.PRINCIPAL_KIND_USER: CallerKind.USER,
    pb.PRINCIPAL_KIND_SERVICE: CallerKind.SERVICE,
    pb.PRINCIPAL_KIND_INTERNAL: CallerKind.INTERNAL,
}

_REFUSALS = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})


class _Kept:
    """An answer, and the token to ask about again."""

    __slots__ = ("caller", "expires_at", "token")

    def __init__(self, token: str, caller: Caller, expires_at: float) -> None:
        self.token = token
        self.caller = caller
        self.expires_at = expires_at


class AuthServiceCredentials:
    """Implements `ports.Credentials` over `AuthService.Authenticate`.

    Args:
        channel: to auth-service.
        credential: this service's own.
        catalogue: what the globs of a service's grant are matched against.
        clock: the time now, in seconds since 1970.
    """

    def __init__(
        self,
        channel: aio.Channel,
        credential: Credential,
        catalogue: Catalogue,
        clock: Callable[[], float],
    ) -> None:
        self._credential = credential
        self._stub = pb_grpc.AuthServiceStub(channel)
        self._catalogue = catalogue
        self._clock = clock
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Caller]] = {}

    async def caller_of(self, token: str) -> Caller:
        """See `ports.Credentials.caller_of`."""
        key = hashlib.sha256(token.encode()).digest()
        kept = self._kept.get(key)
        if kept is not None:
            if kept.expires_at > self._clock():
                return kept.caller
            del self._kept[key]
        asking = self._asking.get(key)
        if asking is None:
            if len(self._asking) >= MAX_ASKED:
                raise CredentialsUnavailableError("too many are asked about")
            # Calls that arrive together ask once; one that is cancelled does not take the others along.
            asking = asyncio.get_running_loop().create_task(self._ask(key, token))
            self._asking[key] = asking
            asking.add_done_callback(lambda task: self._asked(key, task))
        return await asyncio.shield(asking)

    def _asked(self, key: bytes, task: asyncio.Task[Caller]) -> None:
        del self._asking[key]
        if not task.cancelled():
            # Seen, if everybody who waited was cancelled.
            task.exception()

    async def _ask(self, key: bytes, token: str) -> Caller:
        try:
            answer: pb.AuthenticateResponse = await self._stub.Authenticate(
                pb.AuthenticateRequest(token=token),
                timeout=ASK_SECONDS,
                metadata=self._credential.metadata(),
            )
        except aio.AioRpcError as error:
            if error.code() in _REFUSALS and not is_caller_refused(error):
                self._kept.pop(key, None)
                raise CredentialRefusedError from None
            raise CredentialsUnavailableError(error.code().name) from None
        caller = self._caller(answer, key)
        self._kept[key] = _Kept(token, caller, answer.expire_time.seconds)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return caller

    def caller_now(self, caller: Caller) -> Caller:
        """See `ports.Credentials.caller_now`."""
        kept = self._kept.get(caller.credential)
        if kept is None:
            raise CredentialsUnavailableError("revoked or forgotten")
        if kept.expires_at <= self._clock():
            raise CredentialRefusedError
        return kept.caller

    def _caller(self, answer: pb.AuthenticateResponse, key: bytes) -> Caller:
        kind = _KINDS.get(answer.kind)
        if kind is None:
            raise CredentialRefusedError
        if kind is not CallerKind.SERVICE:
            return Caller(kind, answer.user_id, credential=key)
        granted = frozenset(
            name for name in self._catalogue.types for glob in answer.event_types if fnmatchcase(name, glob)
        )
        return Caller(kind, answer.user_id, Emitter(answer.user_id, granted), key)

    async def keep_fresh(self) -> None:
        """Ask about every kept credential again each minute, until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Ask about every kept credential again: what was revoked is forgotten."""
        now = self._clock()
        for key, kept in list(self._kept.items()):
            if kept.expires_at <= now:
                self._kept.pop(key, None)
                continue
            try:
                await self._ask(key, kept.token)
            except CredentialRefusedError:
                _log.info("credential_revoked", name=kept.caller.name)
            except CredentialsUnavailableError:
                return


def utc_now() -> datetime:
    """The clock of this service."""
    return datetime.now(UTC)
