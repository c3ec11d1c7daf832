"""The line that says how far a long command is."""

import re

import pytest

from harkara_cli.progress import ProgressLine


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Screen:
    """What was written to standard error so far."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured
        self._written = ""

    def getvalue(self) -> str:
        self._written += self._captured.readouterr().err
        return self._written


@pytest.fixture
def screen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    return Screen(capsys)


def visible(screen: Screen) -> str:
    """What stands on the line now."""
    return re.sub(r"\033\[[0-9;]*m", "", screen.getvalue().rpartition("\033[K")[2])


def test_it_says_how_much_of_a_file_is_done_how_fast_and_how_long_it_will_take(screen: Screen) -> None:
    clock = Clock()
    line = ProgressLine(1_000, clock)
    clock.now = 2.0
    line.advance(5_000, 500)
    shown = visible(screen)
    assert " 50%" in shown
    assert "5,000 events, 2,500 a second" in shown
    assert len(shown) <= 80
    assert "\n" not in screen.getvalue()


def test_where_nobody_knows_the_size_it_says_how_many_and_how_fast(screen: Screen) -> None:
    clock = Clock()
    line = ProgressLine(None, clock)
    clock.now = 2.0
    line.advance(5_000, 500)
    assert visible(screen).strip() == "5,000 events, 2,500 a second"


def test_it_is_drawn_ten_times_a_second_at_most(screen: Screen) -> None:
    clock = Clock()
    line = ProgressLine(1_000, clock)
    for _ in range(500):
        clock.now += 0.002
        line.advance(1, 1)
    assert screen.getvalue().count("\r") <= 11


def test_it_is_gone_while_something_else_is_written_and_at_the_end(screen: Screen) -> None:
    line = ProgressLine(1_000, Clock())
    line.advance(1, 1)
    with line.hidden():
        assert visible(screen) == ""
    assert visible(screen) != ""
    line.erase()
    assert visible(screen) == ""


def test_at_the_end_it_says_what_it_came_to(screen: Screen) -> None:
    clock = Clock()
    line = ProgressLine(1_000, clock)
    clock.now = 4.0
    line.advance(12_000, 1_000)
    line.erase()
    assert line.summary() == "12,000 events in 4.0 s, 3,000 a second"
    assert visible(screen) == ""
