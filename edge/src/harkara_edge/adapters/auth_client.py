"""The auth-service: tokens verified, revocations watched.

A storm of clients waits here, in a queue of bounded length and time, rather than at the auth-service:
only so many questions are under way at once. The watch is opened again for ever, from the version it
knows, so nothing is missed; silence of three seconds is its death.

The auth-service answers UNAUTHENTICATED both for a client's bad token and for our own bad credential. The
watch has the same credential and no client's token: while it is refused, nobody's token can be judged.

What does not belong here: which sessions an answer or a revocation ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
import structlog
from grpc import aio

from harkara.auth.v1 import auth_service_pb2 as pb
from harkara.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from harkara_edge.domain.commands import Principal, RevocationReason
from harkara_edge.domain.errors import TokenRefusedError, UserRefusedError, VerifierAwayError
from harkara_edge.domain.revocations import Revocation
from harkara_edge.metrics import Metrics
from harkara_servicekit.credential import Credential

DEADLINE_SECONDS: Final = 3.0
QUEUE_SECONDS: Final = 10.0
MAX_IN_FLIGHT: Final = 64
MAX_WAITING: Final = 20_000
SILENCE_SECONDS: Final = 3.0

LOOK_BACK: Final = 1_000
"""How many changes before its first answer the watch asks for: the auth-service keeps answers for seconds,
and one of before the watch began must be found good or bad, not doubtful."""

Revoked = Callable[[int, list[Revocation]], None]
Call = aio.UnaryStreamCall[pb.WatchRevocationsRequest, pb.WatchRevocationsResponse]

_REASONS: Final = {
    pb.REVOCATION_REASON_DISABLED: RevocationReason.REMOVED_OR_DISABLED,
    pb.REVOCATION_REASON_REMOVED: RevocationReason.REMOVED_OR_DISABLED,
    pb.REVOCATION_REASON_ROLE_CHANGED: RevocationReason.ROLE_CHANGED,
}
_OUR_CREDENTIAL: Final = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class AuthClient:
    """The way to the auth-service.

    Args:
        channel: To it.
        credential: This worker's.
        jitter: Returns a number of 0 to 1 that differs between workers.
        metrics: What is counted.
    """

    def __init__(
        self,
        *,
        channel: aio.Channel,
        credential: Credential,
        jitter: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._stub = AuthServiceStub(channel)
        self._credential = credential
        self._jitter = jitter
        self._metrics = metrics
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._waiting = 0
        self._credential_refused = False
        self._version: int | None = None
        self._watching = False
        self._told = False

    @property
    def watching(self) -> bool:
        """Whether the auth-service was heard of within the last seconds."""
        return self._watching

    async def verify(self, token: str) -> Principal:
        """Say whom a token speaks for. See the port."""
        await self._take_turn()
        try:
            answer = await self._ask(token)
        finally:
            self._in_flight.release()
        if answer.kind != pb.PRINCIPAL_KIND_USER:
            # A service's token is good, but not for this.
            raise UserRefusedError
        return Principal(
            user_id=answer.user_id,
            role=answer.role,
            expires_at=answer.expire_time.seconds + answer.expire_time.nanos / 1e9,
            version=answer.version,
        )

    async def _take_turn(self) -> None:
        if self._credential_refused or self._waiting >= MAX_WAITING:
            raise VerifierAwayError
        if not self._in_flight.locked():
            await self._in_flight.acquire()
            return
        self._waiting += 1
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self._in_flight.acquire()
        except TimeoutError:
            raise VerifierAwayError from None
        finally:
            self._waiting -= 1

    async def _ask(self, token: str) -> pb.AuthenticateResponse:
        try:
            return await self._stub.Authenticate(
                pb.AuthenticateRequest(token=token),
                timeout=DEADLINE_SECONDS,
                metadata=self._credential.metadata(),
            )
        except aio.AioRpcError as error:
            match error.code():
                case grpc.StatusCode.UNAUTHENTICATED:
                    raise TokenRefusedError from None
                case grpc.StatusCode.PERMISSION_DENIED:
                    raise UserRefusedError from None
                case _:
                    raise VerifierAwayError from None

    async def watch(self, revoked: Revoked) -> None:
        """Keep the watch open until cancelled.

        Args:
            revoked: Takes each answer: the version up to which everything is known, and what changed.
        """
        while True:
            began = self._version is not None
            try:
                await self._watch_once(revoked)
                if not began:
                    # That was only to learn where to begin.
                    continue
            except aio.AioRpcError as error:
                self._credential_refused = error.code() in _OUR_CREDENTIAL
                self._lost(f"{error.code().name}: {error.details()}")
            except TimeoutError:
                self._lost("silence")
            except Exception:  # noqa: BLE001 - a fault of ours must not end the only watch.
                _log.exception("watch_failed")
                self._lost("failed")
            await asyncio.sleep(0.1 + 0.4 * self._jitter())

    async def _watch_once(self, revoked: Revoked) -> None:
        request = pb.WatchRevocationsRequest()
        if self._version is not None:
            request.since_version = self._version
        call: Call = self._stub.WatchRevocations(request, metadata=self._credential.metadata())
        try:
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    response = await call.read()
                if not isinstance(response, pb.WatchRevocationsResponse):
                    self._lost("the auth-service ended it")
                    return
                self._found()
                if self._version is None:
                    self._version = max(0, response.version - LOOK_BACK)
                    revoked(self._version, [])
                    return
                revoked(response.version, _read(response))
                self._version = response.version
        finally:
            call.cancel()

    def _found(self) -> None:
        self._credential_refused = False
        if not self._watching:
            self._watching = True
            self._metrics.watching.set(1)
            _log.info("watching")

    def _lost(self, why: str) -> None:
        # Told once: while the service is away, this is tried several times a second.
        if self._watching or not self._told:
            _log.warning("watch_ended", why=why)
        self._told = True
        self._watching = False
        self._metrics.watching.set(0)


def _read(response: pb.WatchRevocationsResponse) -> list[Revocation]:
    return [
        Revocation(revocation.user_id, _REASONS[revocation.reason], response.version)
        for revocation in response.revocations
        # Services do not connect here.
        if not revocation.service and revocation.reason in _REASONS
    ]
