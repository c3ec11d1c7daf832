"""What people see: one place for colours, the prefixed logs of `up`, and the output of commands.

Results go to standard output, everything else to standard error. `NO_COLOR` is respected.
"""

import contextlib
import os
import queue
import sys
import threading
import zlib
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

_MAX_WAITING_LINES = 10_000
_FLUSH_SECONDS = 2.0
_NAME_WIDTH = 15
# Of the 16 terminal colours those that read well on dark and light ground; red is for errors.
_NAME_COLOURS = ("36", "35", "34", "32", "33")
_KNOWN_NAMES = ("edge", "event-service", "auth-service", "query-service", "postgres", "nats")
# What a terminal would obey. JSON escapes those below space; from DEL on they stand for themselves there.
CONTROLS = {code: f"\\u{code:04x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
LEVEL_COLOURS = {"critical": "1;31", "high": "33", "medium": "36", "low": "2"}
_LOUD = (("[error", "31"), ("[critical", "31"), ("FATAL", "31"), ("PANIC", "31"), ("[warning", "33"))


def use_colour(descriptor: int) -> bool:
    """Whether to colour what goes to this file descriptor."""
    return os.isatty(descriptor) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(line: str) -> None:
    """One line to the person at the terminal, on standard error; whatever is in it, it is one."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"harkara: {line.translate(CONTROLS)}\n")
        sys.stderr.flush()


def put(line: str) -> None:
    """One line of the result, on standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def put_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output."""
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second; most commands need none.
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    if sys.stdout.isatty():
        Console(highlight=False, markup=False).print(table)
        return
    # A pipe has no width to fit into, and who reads it wants no blanks behind a line's end.
    console = Console(width=1_000, highlight=False, markup=False)
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().splitlines():
        put(line.rstrip())


def paint(text: str, code: str, *, when: bool) -> str:
    """The text in a colour (an SGR code)."""
    return f"\033[{code}m{text}\033[0m" if when else text


class LogWriter:
    """Writes the lines of many programs to standard error, each behind its name.

    A thread of its own writes, so that a reader who does not read cannot hold up the supervisor; the
    lines wait in a queue of 10,000, past which new ones are dropped, counted and told.

    Args:
        descriptor: Where to write.
    """

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._colour = use_colour(descriptor)
        self._lines: queue.Queue[str | None] = queue.Queue(_MAX_WAITING_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log writer", daemon=True)

    def __enter__(self) -> Self:
        """Starts the thread."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes what waits; gives up after two seconds."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=_FLUSH_SECONDS)
        self._thread.join(_FLUSH_SECONDS)

    def line(self, name: str, text: str) -> None:
        """A line that a program wrote."""
        colour = next((code for mark, code in _LOUD if mark in text), None)
        self._put(
            f"{self._prefix(name)}{paint(text, colour or '', when=self._colour and colour is not None)}"
        )

    def news(self, name: str, sentence: str) -> None:
        """What the launcher has to say about a program."""
        self._put(f"{self._prefix(name)}{paint(sentence, '1', when=self._colour)}")

    def _prefix(self, name: str) -> str:
        service = name.rstrip("0123456789").rstrip("-")
        index = _KNOWN_NAMES.index(service) if service in _KNOWN_NAMES else zlib.crc32(service.encode())
        colour = _NAME_COLOURS[index % len(_NAME_COLOURS)]
        return paint(f"{name:<{_NAME_WIDTH}} │ ", colour, when=self._colour)

    def _put(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                line += f"\n{self._prefix('harkara')}{dropped} log lines dropped: nobody read them in time"
            data = f"{line}\n".encode()
            # Whoever read our log may be gone; the mesh runs on.
            with contextlib.suppress(OSError):
                while data:
                    data = data[os.write(self._descriptor, data) :]
