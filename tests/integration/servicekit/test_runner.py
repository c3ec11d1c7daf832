"""The runner, in processes of its own: orderly stops, and hard ends of what hangs."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_until

PROGRAM = """
import asyncio
import os
import resource
import sys
import time

import uvloop
from harkara_servicekit import logs, runner
from harkara_servicekit.settings import SettingsError

logs.configure("sample")


async def orderly(stop, started):
    print("ready", flush=True)
    await stop.wait()
    print("stopped", flush=True)


async def takes_its_time(stop, started):
    print("ready", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    await hurry.wait()
    print("hurrying", flush=True)


async def hangs(stop, started):
    print("ready", flush=True)
    await stop.wait()
    await asyncio.Event().wait()


async def keeps_a_thread(stop, started):
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
    print("ready", flush=True)
    await stop.wait()


async def blocks_when_asked(stop, started):
    print("ready", flush=True)
    await stop.wait()
    time.sleep(600)


async def is_blocked_already(stop, started):
    print("ready", flush=True)
    time.sleep(600)


async def bad_setting(stop, started):
    raise SettingsError("/etc/token: empty")


async def no_address(stop, started):
    raise OSError("cannot listen on 127.0.0.1:1")


async def no_file(stop, started):
    open("/no/such/file")


async def loses_a_file(stop, started):
    started("where it listens")
    print("ready", flush=True)
    open("/no/such/file")


async def broken(stop, started):
    raise ZeroDivisionError("a bug")


async def limits(stop, started):
    print(*resource.getrlimit(resource.RLIMIT_NOFILE), flush=True)


def bad_failpoints(stop, started):
    raise AssertionError("it must not come that far")


hurry = asyncio.Event()
runner.SAME_REQUEST_SECONDS = 0.1


def run(name, shutdown_seconds, loop):
    if name == "bad_failpoints":
        os.environ["HARKARA_FAILPOINTS"] = "somewhere=explode"
    factory = uvloop.new_event_loop if loop == "uvloop" else None
    return runner.run(
        globals()[name], shutdown_seconds=float(shutdown_seconds), hurry=hurry, loop_factory=factory
    )


os.dup2(1, 2)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
while line := sys.stdin.readline():
    child = os.fork()
    if child == 0:
        print("pid", os.getpid(), flush=True)
        sys.exit(run(*line.split()))
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Processes:
    """Starts processes that run one function of `PROGRAM`, one after another.

    One process imports what they need, which takes a second, and forks each of them.
    """

    def __init__(self, parent: subprocess.Popen[str]) -> None:
        assert parent.stdin
        assert parent.stdout
        self._requests = parent.stdin
        self._lines = parent.stdout

    def start(self, serve: str, *, shutdown_seconds: float = 30, loop: str = "asyncio") -> int:
        """Start one; its process id."""
        self._requests.write(f"{serve} {shutdown_seconds} {loop}\n")
        self._requests.flush()
        word, pid = self._lines.readline().split()
        assert word == "pid"
        return int(pid)

    def until_ready(self) -> None:
        """Return once its function runs."""
        assert self._lines.readline() == "ready\n"

    def line(self) -> str:
        """The next line that it writes."""
        return self._lines.readline().rstrip("\n")

    def has_written(self) -> bool:
        """Whether a line waits to be read."""
        return bool(select.select([self._lines], [], [], 0)[0])

    def ended(self) -> tuple[int, list[str]]:
        """Its exit status, and the lines that it wrote since it was ready."""
        told = []
        while not (line := self._lines.readline()).startswith("ended "):
            assert line
            told.append(line.rstrip("\n"))
        return int(line.split()[1]), told


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with subprocess.Popen(  # noqa: S603 - our own program.
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        try:
            yield Processes(parent)
        finally:
            # With whatever of its children is there still.
            os.killpg(parent.pid, signal.SIGKILL)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_for_an_orderly_stop(processes: Processes, number: int, loop: str) -> None:
    pid = processes.start("orderly", loop=loop)
    processes.until_ready()
    os.kill(pid, number)
    assert processes.ended() == (0, ["stopped"])


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_second_signal_asks_it_to_hurry_and_the_same_one_twice_does_not(
    processes: Processes, loop: str
) -> None:
    pid = processes.start("takes_its_time", loop=loop)
    processes.until_ready()
    os.kill(pid, signal.SIGTERM)
    assert processes.line() == "stopping"
    os.kill(pid, signal.SIGTERM)
    with pytest.raises(TimeoutError):
        wait_until(processes.has_written, 0.15)
    os.kill(pid, signal.SIGTERM)
    assert processes.ended() == (0, ["hurrying"])


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("serve", ["hangs", "keeps_a_thread", "blocks_when_asked", "is_blocked_already"])
def test_a_stop_that_takes_too_long_is_ended_hard(processes: Processes, serve: str, loop: str) -> None:
    # A loop that was blocked before the signal came once stayed: its signal handler, and with it the
    # deadline, was the loop's own.
    pid = processes.start(serve, shutdown_seconds=0.05, loop=loop)
    processes.until_ready()
    os.kill(pid, signal.SIGTERM)
    assert processes.ended() == (70, ["the orderly stop took too long: ending hard"])


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        ("bad_setting", "/etc/token: empty"),
        ("no_address", "cannot listen on 127.0.0.1:1"),
        ("no_file", "/no/such/file: No such file or directory"),
        (
            "bad_failpoints",
            "HARKARA_FAILPOINTS: 'somewhere=explode' is not name=kill or name=stop, with :count or without",
        ),
    ],
)
def test_what_keeps_a_service_from_starting_is_told_in_one_line(
    processes: Processes, serve: str, reason: str
) -> None:
    processes.start(serve)
    status, (line,) = processes.ended()
    assert status == 1
    record = json.loads(line)
    assert (record["event"], record["reason"]) == ("cannot_start", reason)


def test_what_fails_once_a_service_has_started_is_told_as_that(processes: Processes) -> None:
    processes.start("loses_a_file")
    processes.until_ready()
    status, (line,) = processes.ended()
    assert status == 1
    record = json.loads(line)
    assert (record["event"], record["reason"]) == ("failed", "/no/such/file: No such file or directory")
    assert "in loses_a_file" in json.dumps(record)


def test_a_bug_ends_the_process_with_its_traceback(processes: Processes) -> None:
    processes.start("broken")
    status, told = processes.ended()
    assert status == 1
    assert told[0].startswith("Traceback")
    assert told[-1] == "ZeroDivisionError: a bug"


def test_a_process_may_open_as_many_files_as_the_system_lets(processes: Processes) -> None:
    processes.start("limits")
    assert processes.ended() == (0, ["300 300"])
