"""The auth-service: tokens verified, revocations watched.

A storm of clients waits here, in a queue of bounded length and time, rather than at the auth-service: only
so many questions are under way at once, and what has come meanwhile goes into the next one together, since
a call costs several times what a token does. A lone token waits for nothing. While the first in the queue
has waited for long, newcomers are turned away at the door (`crowded`): they would wait for nothing.

The watch is opened again for ever, from the version it knows, so nothing is missed; silence of three
seconds is its death. While our own credential is refused there, nobody's token can be judged.

What does not belong here: which sessions an answer or a revocation ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sys import getsizeof
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
CROWDED_SECONDS: Final = 5.0
"""How long the first in the queue has waited when newcomers are turned away."""

MAX_IN_FLIGHT: Final = 8
MAX_BATCH: Final = 64
MAX_WAITING: Final = 20_000
MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
"""Memory of the tokens in the queue: one may have 8 KiB."""

SILENCE_SECONDS: Final = 3.0
LONGEST_PAUSE_SECONDS: Final = 0.5
"""Before the watch is tried again."""

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


class _Code:
    """Of `google.rpc.Code`, what a token can be answered with."""

    PERMISSION_DENIED: Final = 7
    UNAVAILABLE: Final = 14
    UNAUTHENTICATED: Final = 16


_AWAY: Final = pb.AuthenticateResult(code=_Code.UNAVAILABLE)
_OUR_CREDENTIAL: Final = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Question:
    """A token in the queue."""

    token: str
    size: int
    answer: asyncio.Future[pb.AuthenticateResult]
    asked_at: float


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
        self._queue: deque[_Question] = deque()
        self._queued_bytes = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._credential_refused = False
        self._version: int | None = None
        self._watching = False
        self._told = False

    @property
    def watching(self) -> bool:
        """Whether the auth-service was heard of within the last seconds."""
        return self._watching

    @property
    def crowded(self) -> bool:
        """Whether whoever asks now would wait for too long."""
        queue = self._queue
        return bool(queue) and asyncio.get_running_loop().time() - queue[0].asked_at >= CROWDED_SECONDS

    async def verify(self, token: str) -> Principal:
        """Say whom a token speaks for. See the port."""
        if self._is_closed or self._credential_refused:
            raise VerifierAwayError
        size = getsizeof(token)
        if len(self._queue) >= MAX_WAITING or self._queued_bytes + size > MAX_WAITING_BYTES:
            self._metrics.verifications_turned_away.inc()
            raise VerifierAwayError
        loop = asyncio.get_running_loop()
        question = _Question(token, size, loop.create_future(), loop.time())
        self._queue.append(question)
        self._queued_bytes += size
        self._metrics.verifications_waiting.inc()
        self._send()
        result = await question.answer
        match result.code:
            case 0:
                return _principal(result.principal)
            case _Code.UNAUTHENTICATED:
                raise TokenRefusedError
            case _Code.PERMISSION_DENIED:
                raise UserRefusedError
        raise VerifierAwayError

    def _send(self) -> None:
        """Ask what waits, as far as there may be more calls."""
        while self._queue and len(self._calls) < MAX_IN_FLIGHT:
            call = asyncio.create_task(self._ask(self._take()))
            self._calls.add(call)
            call.add_done_callback(self._answered)

    def _take(self) -> list[_Question]:
        """Take the first of the queue; who has waited too long is told so, who was cancelled is left out."""
        now = asyncio.get_running_loop().time()
        taken: list[_Question] = []
        while self._queue and len(taken) < MAX_BATCH:
            question = self._queue.popleft()
            self._queued_bytes -= question.size
            self._metrics.verifications_waiting.dec()
            if question.answer.done():
                continue
            if now - question.asked_at >= QUEUE_SECONDS:
                question.answer.set_result(_AWAY)
            else:
                taken.append(question)
        return taken

    def _answered(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._send()

    async def _ask(self, questions: Sequence[_Question]) -> None:
        """Ask about some tokens, and hand out the answers; each gets one, whatever happens."""
        results: Sequence[pb.AuthenticateResult] = ()
        try:
            if questions:
                answer: pb.AuthenticateBatchResponse = await self._stub.AuthenticateBatch(
                    pb.AuthenticateBatchRequest(tokens=[question.token for question in questions]),
                    timeout=DEADLINE_SECONDS,
                    metadata=self._credential.metadata(),
                )
                results = answer.results
        except aio.AioRpcError as error:
            # Of the call, hence of none of the tokens: those have their own codes.
            _log.debug("authenticate_failed", code=error.code().name)
        finally:
            for index, question in enumerate(questions):
                if not question.answer.done():
                    question.answer.set_result(results[index] if index < len(results) else _AWAY)

    async def close(self) -> None:
        """Give up what is being asked; who waits for it is told that nobody can say."""
        self._is_closed = True
        queue, self._queue = self._queue, deque()
        for question in queue:
            if not question.answer.done():
                question.answer.set_result(_AWAY)
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def watch(self, revoked: Revoked, lost: Callable[[], None]) -> None:
        """Keep the watch open until cancelled.

        Args:
            revoked: Takes each answer: the version up to which everything is known, and what changed.
            lost: Told each time that there is no watch; the next answer says that there is one again.
        """
        while True:
            began = self._version is not None
            try:
                await self._watch_once(revoked)
                if not began and self._version is not None:
                    # That was only to learn where to begin.
                    continue
                self._lost("the auth-service ended it")
            except aio.AioRpcError as error:
                self._credential_refused = error.code() in _OUR_CREDENTIAL
                self._lost(f"{error.code().name}: {error.details()}")
            except TimeoutError:
                self._lost("silence")
            except Exception:  # noqa: BLE001 - a fault of ours must not end the only watch.
                _log.exception("watch_failed")
                self._lost("failed")
            lost()
            await asyncio.sleep(LONGEST_PAUSE_SECONDS * self._jitter())

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


def _principal(answer: pb.AuthenticateResponse) -> Principal:
    if answer.kind != pb.PRINCIPAL_KIND_USER:
        # A service's token is good, but not for this.
        raise UserRefusedError
    return Principal(
        user_id=answer.user_id,
        role=answer.role,
        expires_at=answer.expire_time.seconds + answer.expire_time.nanos / 1e9,
        version=answer.version,
    )


def _read(response: pb.WatchRevocationsResponse) -> list[Revocation]:
    return [
        Revocation(revocation.user_id, _REASONS[revocation.reason], response.version)
        for revocation in response.revocations
        # Services do not connect here.
        if not revocation.service and revocation.reason in _REASONS
    ]
