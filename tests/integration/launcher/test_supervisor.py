"""The supervisor with small real processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harkara_cli.child_process import spawn
from harkara_cli.errors import CliError
from harkara_cli.supervisor import Patience, Program, StartError, Supervisor
from tests.support.processes import is_gone, wait_until_gone

QUICK = Patience(first_wait=0.02, longest_wait=0.08, start_tries=3, start_seconds=20)

# Says that it is ready by a file, notes its end in another, and ends when asked to.
SERVER = """
import pathlib, signal, sys, time
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
def end(*_):
    with open(folder / "ends", "a") as ends: ends.write(name + "\\n")
    print("bye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("hello", flush=True)
(folder / f"{name}.ready").touch()
while True: signal.pause()
"""
STUBBORN = SERVER.replace("    sys.exit(0)", "    return")


@dataclass
class Told:
    """What the supervisor told, and a way to wait until it has told something."""

    supervisor: Supervisor | None = None
    lines: list[tuple[str, str]] = field(default_factory=list)
    news: list[tuple[str, str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def on_line(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self.changed.set()

    def on_news(self, name: str, sentence: str) -> None:
        self.news.append((name, sentence))
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def said(self, words: str) -> int:
        return sum(words in sentence for _, sentence in self.news)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def supervisor(told: Told) -> AsyncIterator[Supervisor]:
    running = Supervisor(
        on_line=told.on_line, on_news=told.on_news, on_change=told.changed.set, patience=QUICK
    )
    yield running
    running.hurry()
    await running.stop()


def program(name: str, folder: Path, *, source: str = SERVER, rank: int = 0, **more: float) -> Program:
    ready = folder / f"{name}.ready"

    def start(log: int) -> "subprocess.Popen[bytes]":
        ready.unlink(missing_ok=True)
        return spawn([sys.executable, "-c", source, name, str(folder)], stdout=log, stderr=log)

    async def is_ready() -> bool:
        return ready.exists()

    return Program(name, rank, start, is_ready, **more)  # type: ignore[arg-type]


async def test_start_returns_when_all_programs_are_ready(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    await supervisor.start([program("one", tmp_path), program("two", tmp_path)])
    assert (tmp_path / "one.ready").exists()
    assert (tmp_path / "two.ready").exists()
    assert all(not is_gone(pid) for pid in supervisor.pids.values())
    assert supervisor.pids.keys() == {"one", "two"}
    await told.until(lambda: {("one", "hello"), ("two", "hello")} <= set(told.lines))


async def test_a_program_that_dies_is_started_again_at_once_and_that_is_said(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    await supervisor.start([program("one", tmp_path)])
    first = supervisor.pids["one"]
    died = time.monotonic()
    os.kill(first, signal.SIGKILL)
    await told.until(lambda: supervisor.pids.get("one", first) != first)
    # Far less than the first wait of a real mesh; there is none after a death of a ready program.
    assert time.monotonic() - died < 0.4
    await told.until(lambda: told.said("ready again") == 1)
    assert told.said(f"pid {first} was ended by SIGKILL: starting it again") == 1


async def test_what_a_program_wrote_last_before_it_died_is_passed_on(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    await supervisor.start([program("one", tmp_path)])
    os.kill(supervisor.pids["one"], signal.SIGTERM)
    await told.until(lambda: told.said("ended with status 0") == 1)
    assert ("one", "bye") in told.lines


async def test_one_that_dies_before_it_is_ready_waits_longer_each_time_until_it_succeeds(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    def waits() -> list[str]:
        return [
            sentence.rsplit(" in ", 1)[1] for _, sentence in told.news if "before it was ready" in sentence
        ]

    home = tmp_path / "home"
    os.mkdir(home)  # noqa: PTH102 - pathlib is refused in a coroutine.
    await supervisor.start([program("one", home)])
    # Without its folder it dies before it is ready.
    os.rename(home, tmp_path / "away")  # noqa: PTH104
    os.kill(supervisor.pids["one"], signal.SIGKILL)
    await told.until(lambda: len(waits()) >= 4)
    assert waits()[:4] == ["0.02 s", "0.04 s", "0.08 s", "0.08 s"]
    os.rename(tmp_path / "away", home)  # noqa: PTH104
    await told.until(lambda: told.said("ready again") == 1)


async def test_the_start_fails_where_a_program_keeps_dying(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    with pytest.raises(StartError, match=r"^one: pid \d+ ended with status 1 before it was ready$"):
        await supervisor.start([program("one", tmp_path, source="raise SystemExit(1)")])
    assert told.said("starting it again in") == QUICK.start_tries - 1


async def test_the_start_fails_at_once_where_the_settings_are_wrong(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    with pytest.raises(StartError, match=r"^one: its settings are wrong, see its log$"):
        await supervisor.start([program("one", tmp_path, source="print('LOOP: bad'); raise SystemExit(2)")])
    assert told.lines == [("one", "LOOP: bad")]
    assert told.said("starting it again") == 0


async def test_the_start_fails_at_once_where_a_program_cannot_be_spawned(
    supervisor: Supervisor,
) -> None:
    def spawn_nothing(_: int) -> "subprocess.Popen[bytes]":
        raise CliError("no PostgreSQL found")

    async def never() -> bool:
        return False

    with pytest.raises(CliError, match=r"^no PostgreSQL found$"):
        await supervisor.start([Program("postgres", 0, spawn_nothing, never)])


async def test_the_start_fails_where_a_program_never_becomes_ready(told: Told, tmp_path: Path) -> None:
    slow = Supervisor(on_line=told.on_line, on_news=told.on_news, patience=Patience(start_seconds=0.2))
    with pytest.raises(StartError, match=r"^one: not ready after 0 s$"):
        await slow.start([program("one", tmp_path, source="import signal; signal.pause()")])
    assert "one" in slow.pids
    await slow.stop()


async def test_programs_stop_in_order_the_highest_rank_first(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    for rank, name in enumerate(["postgres", "auth", "event", "edge"]):
        await supervisor.start([program(name, tmp_path, rank=rank)])
    pids = set(supervisor.pids.values())
    await supervisor.stop()
    assert (tmp_path / "ends").read_text().split() == ["edge", "event", "auth", "postgres"]
    assert all(is_gone(pid) for pid in pids)
    assert supervisor.pids == {}
    assert told.said("starting it again") == 0


async def test_a_program_that_does_not_stop_is_killed(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    await supervisor.start([program("one", tmp_path, source=STUBBORN, stop_seconds=0.1)])
    pid = supervisor.pids["one"]
    await supervisor.stop()
    assert told.said("does not stop: killed") == 1
    assert is_gone(pid)


async def test_a_hurried_stop_waits_for_nobody(supervisor: Supervisor, told: Told, tmp_path: Path) -> None:
    await supervisor.start([program("one", tmp_path, source=STUBBORN, stop_seconds=60)])
    stopping = asyncio.create_task(supervisor.stop())
    await told.until(lambda: ("one", "bye") in told.lines)
    supervisor.hurry()
    await asyncio.wait_for(stopping, 5)


async def test_a_stop_while_a_program_waits_for_its_next_start_does_not_wait(
    told: Told, tmp_path: Path
) -> None:
    waiting = Supervisor(on_line=told.on_line, on_news=told.on_news, patience=Patience(first_wait=60))
    starting = asyncio.create_task(waiting.start([program("one", tmp_path, source="raise SystemExit(1)")]))
    await told.until(lambda: told.said("starting it again in 60 s") == 1)
    await asyncio.wait_for(waiting.stop(), 5)
    with pytest.raises(StartError, match="stopped before it was ready"):
        await starting


# A supervisor of its own, so that it can be killed; its program has a child that dies with it too.
LAUNCHER = """
import asyncio, sys
from harkara_cli.child_process import spawn
from harkara_cli.supervisor import Program, Supervisor

CHILD = '''
import os, signal, sys
from harkara_cli.child_process import spawn
grandchild = spawn([sys.executable, "-c", "import signal; signal.pause()"])
print(os.getpid(), grandchild.pid, flush=True)
signal.pause()
'''

async def main():
    told = asyncio.get_running_loop().create_future()
    supervisor = Supervisor(on_line=lambda _, line: told.set_result(line), on_news=lambda *_: None)
    async def ready(): return told.done()
    await supervisor.start(
        [Program("one", 0, lambda log: spawn([sys.executable, "-c", CHILD], stdout=log), ready)]
    )
    print(told.result(), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_killing_the_launcher_leaves_no_child_and_no_grandchild() -> None:
    launcher = subprocess.Popen(  # noqa: S603 - our own interpreter.
        [sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, text=True
    )
    with launcher:
        assert launcher.stdout is not None
        family = [int(pid) for pid in launcher.stdout.readline().split()]
        assert len(family) == 2
        launcher.kill()
    wait_until_gone(family)
