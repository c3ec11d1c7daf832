"""Asks whom tokens speak for, and trusts no answer that the watch over revocations may have overtaken.

`domain.revocations` tells the race. Before the watch has said anything, nothing can be compared, and while it
is lost nobody would be told that a user is out: then nobody comes in. Who asks waits a little for it.

What does not belong here: which sessions a revocation ends (`edge`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from harkara_edge.domain.commands import Principal
from harkara_edge.domain.errors import VerifierAwayError
from harkara_edge.domain.revocations import Revocation, RevocationMemory
from harkara_edge.ports import TokenVerifier

ASK_AGAIN_SECONDS: Final = (0.0, 0.2, 1.0)
"""The longest pauses before each time of asking."""

WATCH_SECONDS: Final = 3.0


class Verification:
    """One worker's.

    Args:
        verifier: The way to the auth-service.
        chance: Returns a number of 0 to 1 that differs between workers.
    """

    def __init__(self, verifier: TokenVerifier, chance: Callable[[], float]) -> None:
        self._verifier = verifier
        self._chance = chance
        self._memory = RevocationMemory()
        self._watching = asyncio.Event()

    @property
    def crowded(self) -> bool:
        """Whether whoever asks now would wait for too long."""
        return self._verifier.crowded

    def learn(self, version: int, revocations: list[Revocation]) -> bool:
        """Take in what the watch tells; see `RevocationMemory.learn`."""
        went_back = self._memory.learn(version, revocations)
        self._watching.set()
        return went_back

    def lost(self) -> None:
        """Take that the watch tells nothing any more; what it told stays true."""
        self._watching.clear()

    async def ask(self, token: str) -> Principal:
        """Say whom a token speaks for, as of all that the watch has told.

        The caller has to act on the answer before its next await: only until then it is one.

        Raises:
            VerificationError: The token did not turn into a user; see the port.
        """
        try:
            async with asyncio.timeout(WATCH_SECONDS):
                await self._watching.wait()
        except TimeoutError:
            raise VerifierAwayError from None
        for seconds in ASK_AGAIN_SECONDS:
            if seconds:
                await asyncio.sleep(seconds * self._chance())
            principal = await self._verifier.verify(token)
            if not self._memory.is_doubtful(principal):
                return principal
        raise VerifierAwayError
