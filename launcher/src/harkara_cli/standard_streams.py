"""The three standard streams, made so that whatever goes wrong with them ends a command in one way.

`prepare` is called once, as the process begins. From then on

- text goes out as UTF-8, whatever the locale says: events may be in any script, and `--json` is JSON;
- a write that fails raises `OutputError`, a read `InputError`. Neither is an `OSError`: nobody takes them
  for a failure of the network or of a file;
- nothing waits in a buffer for the end of the process, when nobody could tell any more that it is lost;
- a stream that whoever started us had closed is one that fails, and its number stays taken: the next file
  we open would get it, and with it what is meant for the stream.

What is written, and for whom, does not belong here.
"""

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING

from harkara_cli.errors import InputError, OutputError, ReaderGoneError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_GONE = (errno.EPIPE, errno.ECONNRESET)


class Input(io.FileIO):
    """A file or a descriptor whose failures are told with its name. It is for a `BufferedReader`.

    Args:
        file: Its path, or the number of a descriptor, which stays open.
        name: What it is called in messages.

    Raises:
        InputError: It cannot be opened; in `readinto` and `readall`, that it cannot be read.
    """

    def __init__(self, file: str | int, name: str) -> None:
        self._called = name
        try:
            super().__init__(file, "rb", closefd=isinstance(file, str))
        except OSError as error:
            raise self._fault(error) from error

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Reads some."""
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise self._fault(error) from error

    def readall(self) -> bytes:
        """Reads all."""
        try:
            return super().readall()
        except OSError as error:
            raise self._fault(error) from error

    def _fault(self, error: OSError) -> InputError:
        return InputError(f"{self._called}: {error.strerror}")


class _Whole(io.FileIO):
    """A descriptor to which everything or nothing is written; it stays open."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)

    def write(self, data: "ReadableBuffer", /) -> int:
        """Writes all of it, however long that takes."""
        rest = memoryview(data).cast("B")
        length = len(rest)
        while rest:
            # None where it does not block and has no room: whoever shares the descriptor wanted it so.
            written: int | None = super().write(rest)
            if written is None:
                select.select([], [self], [])
            else:
                rest = rest[written:]
        return length


class _Output(_Whole):
    """Standard output."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Writes all of it, or tells why not."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno in _GONE:
                raise ReaderGoneError from error
            message = f"standard output cannot be written: {error.strerror}"
            raise OutputError(message) from error


def prepare() -> None:
    """Puts our streams in the place of `sys.stdin`, `sys.stdout` and `sys.stderr`."""
    _fill_closed()
    standard_input = io.BufferedReader(Input(0, "standard input"))
    # Bytes that are no UTF-8 are found by whoever wants an id or an event there.
    sys.stdin = io.TextIOWrapper(standard_input, "utf-8", "surrogateescape")
    sys.stdout = io.TextIOWrapper(_Output(1), "utf-8", "backslashreplace", write_through=True)
    sys.stderr = io.TextIOWrapper(_Whole(2), "utf-8", "backslashreplace", write_through=True)


def _fill_closed() -> None:
    """Opens what of 0, 1 and 2 is closed, in the direction in which it cannot be used."""
    for descriptor, direction in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, direction)  # Gets the lowest number that is free: this one.
