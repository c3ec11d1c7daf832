"""`AuthService` on gRPC: translates, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final, cast

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from harkara.auth.v1 import auth_service_pb2 as pb
from harkara.auth.v1 import auth_service_pb2_grpc as rpc
from harkara_auth_service.adapters.statuses import as_status, status_of
from harkara_auth_service.domain.errors import AuthError
from harkara_auth_service.domain.token_rules import PrincipalKind
from harkara_auth_service.domain.users import ChangeReason, Principal
from harkara_auth_service.service.authentication import ANSWER_SECONDS, Authentication
from harkara_auth_service.service.changes import ChangeFeed, Revocations
from harkara_servicekit.grpc_server import StatusError

MAX_BATCH: Final = 256

SERVICE_NAME: Final = "harkara.auth.v1.AuthService"

_KINDS: Final = {
    PrincipalKind.USER: pb.PRINCIPAL_KIND_USER,
    PrincipalKind.SERVICE: pb.PRINCIPAL_KIND_SERVICE,
    PrincipalKind.INTERNAL: pb.PRINCIPAL_KIND_INTERNAL,
}
_REASONS: Final = {
    ChangeReason.DISABLED: pb.REVOCATION_REASON_DISABLED,
    ChangeReason.REMOVED: pb.REVOCATION_REASON_REMOVED,
    ChangeReason.ROLE_CHANGED: pb.REVOCATION_REASON_ROLE_CHANGED,
}


class AuthServicer(rpc.AuthServiceServicer):
    """As the proto says.

    Args:
        authentication: judges tokens.
        feed: tells of what no longer holds.
    """

    def __init__(self, authentication: Authentication, feed: ChangeFeed) -> None:
        self._authentication = authentication
        self._feed = feed

    async def Authenticate(  # noqa: D102, N802 - the proto's.
        self, request: pb.AuthenticateRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.AuthenticateResponse:
        with as_status():
            principal = await self._authentication.authenticate(request.token, _seconds_for(context))
        return _response_for(principal)

    async def AuthenticateBatch(  # noqa: D102, N802 - the proto's.
        self, request: pb.AuthenticateBatchRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.AuthenticateBatchResponse:
        if not 1 <= len(request.tokens) <= MAX_BATCH:
            raise StatusError(grpc.StatusCode.INVALID_ARGUMENT, f"tokens: 1 to {MAX_BATCH}")
        seconds = _seconds_for(context)
        # Side by side: their users are looked up together.
        results = await asyncio.gather(*(self._result(token, seconds) for token in request.tokens))
        return pb.AuthenticateBatchResponse(results=results)

    async def _result(self, token: str, seconds: float) -> pb.AuthenticateResult:
        try:
            principal = await self._authentication.authenticate(token, seconds)
        except AuthError as error:
            return pb.AuthenticateResult(code=status_of(error).code.value[0])
        return pb.AuthenticateResult(principal=_response_for(principal))

    async def WatchRevocations(  # noqa: D102, N802 - the proto's.
        self, request: pb.WatchRevocationsRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.WatchRevocationsResponse]:
        del context
        since = request.since_version if request.HasField("since_version") else None
        with as_status():
            # Closed by us and at once, not by the collector, when the caller goes.
            async with aclosing(self._feed.watch(since)) as watch:
                async for revocations in watch:
                    yield _message_for(revocations)


def _seconds_for(context: aio.ServicerContext[Any, Any]) -> float:
    """How long the answer may take: a little less than the caller waits, so that it hears it."""
    # None where the caller set no deadline, whatever the stubs say.
    remaining = cast("float | None", context.time_remaining())
    return ANSWER_SECONDS if remaining is None else remaining * 0.9


def _response_for(principal: Principal) -> pb.AuthenticateResponse:
    expire_time = Timestamp()
    expire_time.FromMicroseconds(int(principal.expires_at * 1_000_000))
    return pb.AuthenticateResponse(
        kind=_KINDS[principal.kind],
        user_id=principal.user_id,
        role=principal.role,
        event_types=principal.event_types,
        expire_time=expire_time,
        version=principal.version,
    )


def _message_for(revocations: Revocations) -> pb.WatchRevocationsResponse:
    ended = [
        pb.Revocation(user_id=change.user_id, reason=_REASONS[change.reason])
        for change in revocations.changes
    ]
    ended += [
        pb.Revocation(user_id=name, reason=pb.REVOCATION_REASON_CREDENTIAL_REVOKED, service=True)
        for name in revocations.names
    ]
    return pb.WatchRevocationsResponse(revocations=ended, version=revocations.version)
