"""An event-service for the Python client on a log that does as a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.event_service import Assembled, assembled_event_service
from tests.support.held_log import HeldLog


@pytest.fixture
def log() -> HeldLog:
    """The log of `held`."""
    return HeldLog()


@pytest.fixture
async def held(log: HeldLog, tmp_path: Path) -> AsyncIterator[Assembled]:
    """An event-service on a log that waits and fails as the test says."""
    async with assembled_event_service(lambda _: log, tmp_path) as service:
        yield service
