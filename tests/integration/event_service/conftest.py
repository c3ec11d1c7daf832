"""Calls to the event-service of a file."""

from __future__ import annotations

import pytest

from tests.support.event_service import Listening, Running


@pytest.fixture
def calls(running: Running) -> Listening:
    """For calls to it."""
    return running.calls
