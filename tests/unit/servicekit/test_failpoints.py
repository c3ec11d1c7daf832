"""What a test can let a process do at a named place."""

from __future__ import annotations

import signal

import pytest

from harkara_servicekit.failpoints import planned
from harkara_servicekit.settings import SettingsError


def test_without_the_variable_nothing_ever_happens() -> None:
    failpoints = planned({})
    assert not failpoints
    assert failpoints.due("event-service.after-commit") is None


def test_a_place_does_what_was_planned_once() -> None:
    failpoints = planned({"HARKARA_FAILPOINTS": "a.b=kill, a.c=stop:3"})
    assert failpoints
    assert [failpoints.due("a.b") for _ in range(3)] == [signal.SIGKILL, None, None]
    assert [failpoints.due("a.c") for _ in range(4)] == [None, None, signal.SIGSTOP, None]
    assert failpoints.due("a.d") is None


@pytest.mark.parametrize("text", ["a", "a=", "=kill", "a=explode", "a=kill:", "a=kill:0", "a=kill:x"])
def test_a_plan_that_cannot_be_read_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="HARKARA_FAILPOINTS"):
        planned({"HARKARA_FAILPOINTS": text})
