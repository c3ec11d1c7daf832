"""A line at the terminal that says how far a long command is: on standard error, and gone at the end.

Results go to standard output meanwhile, often on the same terminal: the line is taken away before each
of them and drawn again after it. rich makes the line; it does not draw it, since its live display would
send what we print to standard error too.

What does not belong here: whether there shall be one.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

_DRAW_SECONDS = 0.1
_ERASE = "\r\033[K"


class ProgressLine:
    """How far it is.

    Args:
        total: How many bytes there are; None where nobody knows.
        clock: Seconds that only rise.
    """

    def __init__(self, total: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._console = Console(file=sys.stderr, force_terminal=True)
        known: tuple[ProgressColumn, ...] = (BarColumn(), TaskProgressColumn())
        columns = (*(known if total else ()), TextColumn("{task.fields[told]}"))
        more = (TimeRemainingColumn(compact=True),) if total else ()
        self._progress = Progress(*columns, *more, console=self._console, get_time=clock)
        self._task = self._progress.add_task("", total=total, told="")
        self._drawn_at: float | None = None
        self._is_shown = False
        self._done = 0

    def advance(self, done: int, position: int) -> None:
        """Says how far it is now, and draws that if the last time was a while ago.

        Args:
            done: How many events.
            position: How many bytes.
        """
        self._done = done
        seconds = self._clock() - self._started
        told = f"{done:,} events" + (f", {done / seconds:,.0f} a second" if seconds > 0 else "")
        self._progress.update(self._task, completed=position, told=told)
        if self._drawn_at is None or self._clock() - self._drawn_at >= _DRAW_SECONDS:
            self._drawn_at = self._clock()
            self._draw()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Takes the line away for as long as something else is written."""
        was_shown = self._is_shown
        self.erase()
        yield
        if was_shown:
            self._draw()

    def erase(self) -> None:
        """Takes the line away."""
        if self._is_shown:
            self._is_shown = False
            _write(_ERASE)

    def summary(self) -> str:
        """What it came to, in words."""
        seconds = self._clock() - self._started
        return f"{self._done:,} events in {seconds:,.1f} s, {self._done / max(seconds, 0.001):,.0f} a second"

    def _draw(self) -> None:
        with self._console.capture() as captured:
            self._console.print(
                self._progress.get_renderable(), soft_wrap=False, overflow="crop", no_wrap=True
            )
        self._is_shown = True
        _write(f"{_ERASE}{captured.get().splitlines()[0]}")


def _write(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()
