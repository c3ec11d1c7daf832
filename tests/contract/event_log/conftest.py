"""Both logs, to be held to the same promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from harkara_event_service.adapters.memory_log import MemoryLog
from harkara_event_service.adapters.postgres_log import PostgresLogSettings
from harkara_event_service.domain.event import Event, NumberedEvent
from harkara_event_service.ports import Chain, EventLog, Outcome
from tests.support.events import MovableClock
from tests.support.logs import SOON, append, open_log


@dataclass
class LogUnderTest:
    """A log, and what it announced."""

    clock: MovableClock = field(default_factory=MovableClock)
    announced: list[NumberedEvent] = field(default_factory=list)
    log: EventLog = field(init=False)

    async def append(
        self, *events: Event, chain: Chain | None = None, seconds: float = SOON
    ) -> list[Outcome]:
        return await append(self.log, *events, chain=chain, seconds=seconds)


@pytest.fixture(params=["memory", "postgres", "postgres in lanes"])
async def under_test(request: pytest.FixtureRequest) -> AsyncIterator[LogUnderTest]:
    it = LogUnderTest()
    if request.param == "memory":
        it.log = MemoryLog(it.announced.extend, clock=it.clock)
        yield it
        return
    database = request.getfixturevalue("database")
    settings = PostgresLogSettings(lanes=3 if request.param == "postgres in lanes" else 1)
    async with open_log(database.dsn_for("harkara_event_service"), clock=it.clock, settings=settings) as log:
        it.log, it.announced = log, log.announced
        yield it
