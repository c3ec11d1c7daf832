"""Verifies tokens: the rules, our keys, and a short memory of signatures that were good."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from harkara_auth_service.domain.cache import BoundedCache
from harkara_auth_service.domain.errors import TokenFault, TokenRefusedError
from harkara_auth_service.domain.token_rules import (
    MAX_TOKEN_BYTES,
    Claims,
    TokenRules,
    check_expiry,
    judge_claims,
    take_apart,
)
from harkara_auth_service.metrics import Metrics
from harkara_auth_service.ports import KeyRing

CACHE_ENTRIES: Final = 20_000
CACHE_SECONDS: Final = 10.0


class TokenVerifier:
    """Says what a token claims, once it is believed.

    A good token is remembered under its SHA-256 for seconds, until it ends or a key comes or goes. A bad one
    is not: strangers could fill the memory with them.

    Args:
        keys: our keys.
        rules: what the deployment decided.
        clock: the time, in seconds since the epoch.
        monotonic: seconds that never go back.
        metrics: what is counted.
    """

    def __init__(
        self,
        keys: KeyRing,
        rules: TokenRules,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._keys = keys
        self._rules = rules
        self._clock = clock
        self._monotonic = monotonic
        self._metrics = metrics
        self._good: BoundedCache[bytes, tuple[int, Claims]] = BoundedCache(CACHE_ENTRIES, CACHE_SECONDS)

    async def verify(self, token: str) -> Claims:
        """What `token` claims.

        It waits only where the token names a key that we do not have and a key set may be read again.

        Raises:
            TokenRefusedError: it is not to be believed.
            KeysUnavailableError: the key set that it asks for was never read.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenRefusedError(TokenFault.TOO_LARGE)
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        remembered = self._good.get(digest, self._monotonic())
        if remembered is not None and remembered[0] == self._keys.generation:
            check_expiry(remembered[1].expires_at, self._clock())
            return remembered[1]
        parts = take_apart(token)
        key = self._keys.find(parts.algorithm, parts.key_id)
        if key is None:
            await self._keys.look_again(parts.algorithm)
            key = self._keys.find(parts.algorithm, parts.key_id)
        if key is None:
            raise TokenRefusedError(TokenFault.UNKNOWN_KEY)
        self._metrics.signatures.inc()
        if not key.verifies(parts.signing_input, parts.signature):
            raise TokenRefusedError(TokenFault.SIGNATURE)
        claims = judge_claims(parts.payload, key.source, self._rules, self._clock())
        self._good.put(digest, (self._keys.generation, claims), self._monotonic())
        return claims
