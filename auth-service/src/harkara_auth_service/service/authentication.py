"""Says whom a token speaks for: the token's rules, then the list of the revoked, then the user."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from harkara_auth_service.domain.errors import (
    AuthError,
    TokenFault,
    TokenRefusedError,
    TooSlowError,
    UnavailableError,
    UserRefusedError,
)
from harkara_auth_service.domain.token_rules import Claims, PrincipalKind
from harkara_auth_service.domain.users import Principal, judge_user
from harkara_auth_service.metrics import Metrics
from harkara_auth_service.service.changes import ChangeFeed
from harkara_auth_service.service.lookups import UserLookups
from harkara_auth_service.service.tokens import TokenVerifier

ANSWER_SECONDS: Final = 2.5
"""An answer that is not there by then is UNAVAILABLE, also for a caller that would wait longer."""

LOGGED_PER_SECOND: Final = 20

_log = structlog.get_logger()


class Authentication:
    """Judges tokens.

    Args:
        verifier: judges what a token is by itself.
        lookups: says who the user is.
        feed: knows the revoked credentials.
        monotonic: seconds that never go back.
        metrics: what is counted.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        lookups: UserLookups,
        feed: ChangeFeed,
        monotonic: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._verifier = verifier
        self._lookups = lookups
        self._feed = feed
        self._monotonic = monotonic
        self._metrics = metrics
        self._logged_second = 0.0
        self._logged = 0

    async def authenticate(self, token: str, seconds: float = ANSWER_SECONDS) -> Principal:
        """Whom `token` speaks for. Cancelling it has no effect on others.

        Args:
            token: as the caller sent it.
            seconds: when the answer must be there.

        Raises:
            TokenRefusedError: the token is bad, revoked or stale.
            UserRefusedError: its user is unknown or disabled.
            UnavailableError: it cannot be known now, or not in time.
        """
        started = self._monotonic()
        outcome = "ok"
        try:
            async with asyncio.timeout(min(seconds, ANSWER_SECONDS)):
                return await self._judge(token)
        except TimeoutError:
            outcome = "unavailable"
            raise TooSlowError from None
        except UnavailableError:
            outcome = "unavailable"
            raise
        except TokenRefusedError as refusal:
            outcome = refusal.fault
            self._record(refusal)
            raise
        except UserRefusedError as refusal:
            outcome = f"user_{refusal.fault}"
            self._record(refusal)
            raise
        finally:
            self._metrics.authentications.labels(outcome).inc()
            self._metrics.authentication_seconds.observe(self._monotonic() - started)

    async def _judge(self, token: str) -> Principal:
        claims = await self._verifier.verify(token)
        if claims.kind is PrincipalKind.USER:
            known = await self._lookups.find(claims.user_id)
            return judge_user(claims, known.user, known.version)
        if self._feed.is_revoked(claims.user_id):
            raise TokenRefusedError(TokenFault.REVOKED)
        return _speaking_for_itself(claims)

    def _record(self, refusal: AuthError) -> None:
        """Log why, which the client is not told; bounded, because strangers cause these records."""
        second = self._monotonic() // 1
        if second != self._logged_second:
            self._logged_second, self._logged = second, 0
        self._logged += 1
        if self._logged > LOGGED_PER_SECOND:
            return
        if isinstance(refusal, UserRefusedError):
            _log.info("user_refused", user_id=refusal.user_id, fault=refusal.fault)
        elif isinstance(refusal, TokenRefusedError):
            _log.info("token_refused", fault=refusal.fault)


def _speaking_for_itself(claims: Claims) -> Principal:
    """Of a service or an internal part: its credential says all."""
    return Principal(
        kind=claims.kind,
        user_id=claims.user_id,
        role=claims.role or "",
        event_types=claims.event_types,
        expires_at=claims.expires_at,
        version=0,
    )
