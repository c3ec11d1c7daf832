"""Work that ends when nobody reads what it writes."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harkara_cli.errors import ReaderGoneError
from harkara_cli.output_reader import while_read


class Work:
    """Something that goes on until it is ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = False

    async def run(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


Ends = tuple[int, int]


@pytest.fixture
def make_ends() -> Iterator[Callable[[str], Ends]]:
    """Makes the descriptors of a pipe's or a socket's two ends, the writer's first."""
    made: list[int] = []

    def make(kind: str) -> Ends:
        if kind == "pipe":
            made.extend(reversed(os.pipe()))
        else:
            made.extend(end.detach() for end in socket.socketpair())
        return made[0], made[1]

    yield make
    for descriptor in made:
        try:
            os.close(descriptor)
        except OSError:
            continue  # The test closed it.


@pytest.mark.parametrize("kind", ["pipe", "socket"])
async def test_work_ends_at_once_when_the_reader_goes(make_ends: Callable[[str], Ends], kind: str) -> None:
    writer, reader = make_ends(kind)
    work = Work()
    task = asyncio.create_task(while_read(work.run(), writer))
    await work.begun.wait()
    os.close(reader)
    with pytest.raises(ReaderGoneError):
        await asyncio.wait_for(task, 10)
    assert work.ended


async def test_work_whose_reader_has_gone_before_ends_too(make_ends: Callable[[str], Ends]) -> None:
    writer, reader = make_ends("pipe")
    os.close(reader)
    with pytest.raises(ReaderGoneError):
        await asyncio.wait_for(while_read(Work().run(), writer), 10)


async def test_a_reader_who_says_something_or_has_no_more_to_say_is_a_reader_still(
    make_ends: Callable[[str], Ends],
) -> None:
    writer, reader = make_ends("socket")
    work = Work()
    task = asyncio.create_task(while_read(work.run(), writer))
    await work.begun.wait()
    os.write(reader, b"hello")
    with socket.socket(fileno=os.dup(reader)) as other_end:
        other_end.shutdown(socket.SHUT_WR)
    for _ in range(5):  # Turns of the loop, each of which looks what is ready.
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.ended


async def test_a_file_needs_no_reader_and_work_that_is_done_is_done(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        await while_read(asyncio.sleep(0), file.fileno())


async def test_a_failure_of_the_work_is_passed_on(make_ends: Callable[[str], Ends]) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await while_read(fail(), make_ends("pipe")[0])
