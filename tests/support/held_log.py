"""A log whose appends wait until a test lets them through, and fail as it says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harkara_event_service.adapters.memory_log import MemoryLog
from harkara_event_service.domain.event import Event, NumberedEvent
from harkara_event_service.ports import Chain, Failure, Outcome
from tests.support.events import MovableClock
from tests.support.waiting import wait_until_async


class HeldLog(MemoryLog):
    """A log in memory whose appends wait, in order, until let through; some fail as told.

    Attributes:
        gate: While it is clear appends wait.
        answers: While it is clear what was stored is not answered.
        arrived: How many appends came.
        failures: For which append, counted from 1, what becomes of it.
        stored: What was stored, in order.
    """

    def __init__(self) -> None:
        super().__init__(self._committed_to, clock=MovableClock())
        self.gate = asyncio.Event()
        self.gate.set()
        self.answers = asyncio.Event()
        self.answers.set()
        self.arrived = 0
        self.failures: dict[int, Failure] = {}
        self.stored: list[NumberedEvent] = []
        self._turn = asyncio.Lock()

    async def has_got(self, appends: int) -> None:
        """Wait until so many came."""
        await wait_until_async(lambda: self.arrived >= appends)

    def _committed_to(self, events: Sequence[NumberedEvent]) -> None:
        self.stored += events

    async def append(
        self, events: Sequence[Event], *, deadline: float, chain: Chain | None = None
    ) -> Sequence[Outcome]:
        self.arrived += 1
        failure = self.failures.get(self.arrived)
        async with self._turn:
            await self.gate.wait()
            if failure is not None and chain is not None:
                chain.broken = True
                return [failure] * len(events)
            outcomes = await super().append(events, deadline=deadline, chain=chain)
        await self.answers.wait()
        return outcomes
