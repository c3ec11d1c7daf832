"""Whom a token speaks for, asked of the auth-service and remembered for seconds.

An answer is kept under the token's SHA-256, never under the token, for at most 5 s and not beyond the
token's own end: so long may a disabled user go on reading, and so long a page survives a restart of the
auth-service. A refusal is not kept: who was just let in should not wait. Requests that bring one token at
the same moment share one question.
"""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import grpc
from grpc import aio

from harkara.auth.v1 import auth_service_pb2 as auth
from harkara.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from harkara_query_service.domain.access import Reader
from harkara_query_service.domain.errors import ForbiddenError, UnauthenticatedError, UnavailableError
from harkara_servicekit.credential import Credential
from harkara_servicekit.grpc_client import is_caller_refused

AUTH_SERVICE = "auth-service"
"""Its name in logs and metrics."""

MAX_TOKEN_BYTES = 8 * 1024
"""A longer one is refused unread."""

CACHE_SECONDS = 5.0
CACHE_ENTRIES = 10_000

_CALL_SECONDS = 2.0
_PEOPLE = auth.PRINCIPAL_KIND_USER


class AuthClient:
    """`TokenVerifier` on the auth-service's Authenticate.

    Args:
        channel: To the auth-service.
        credential: Our own.
        clock: Now, in UTC: for the ends of tokens.
        monotonic: Seconds that never go back: for the age of answers.
    """

    def __init__(
        self,
        channel: aio.Channel,
        credential: Credential,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._stub = AuthServiceStub(channel)
        self._credential = credential
        self._clock = clock
        self._monotonic = monotonic
        # In the order of arrival, which is nearly that of expiry.
        self._known: dict[bytes, tuple[Reader, float]] = {}
        self._asked: dict[bytes, asyncio.Task[Reader]] = {}

    async def verify(self, token: str) -> Reader:
        """See `TokenVerifier.verify`. A cancelled caller does not take the answer from others."""
        if len(token) > MAX_TOKEN_BYTES:
            raise UnauthenticatedError
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._monotonic() < known[1]:
            return known[0]
        task = self._asked.get(digest)
        if task is None:
            task = self._asked[digest] = asyncio.create_task(self._ask(token, digest))
            task.add_done_callback(lambda done: self._forget(digest, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Give up what is being asked."""
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, digest: bytes, task: asyncio.Task[Reader]) -> None:
        del self._asked[digest]
        if not task.cancelled():
            task.exception()  # Nobody may be left to be told.

    async def _ask(self, token: str, digest: bytes) -> Reader:
        asked_at = self._monotonic()
        try:
            answer = await self._stub.Authenticate(
                auth.AuthenticateRequest(token=token),
                timeout=_CALL_SECONDS,
                metadata=self._credential.metadata(),
            )
        except aio.AioRpcError as error:
            if is_caller_refused(error):
                raise UnavailableError(AUTH_SERVICE) from error
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise UnauthenticatedError from None
            if error.code() is grpc.StatusCode.PERMISSION_DENIED:
                raise ForbiddenError from None
            raise UnavailableError(AUTH_SERVICE) from error
        # Services and our own parts read nothing here, whatever role they claim.
        role = answer.role if answer.kind == _PEOPLE else "service"
        reader = Reader(answer.user_id, role)
        left = (answer.expire_time.ToDatetime(UTC) - self._clock()).total_seconds()
        self._known.pop(digest, None)
        while len(self._known) >= CACHE_ENTRIES:
            del self._known[next(iter(self._known))]
        self._known[digest] = (reader, asked_at + min(CACHE_SECONDS, left))
        return reader
