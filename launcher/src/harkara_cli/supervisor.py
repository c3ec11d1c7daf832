"""Keeps programs running: starts them in order, starts again what died, stops them in order.

The rules, for each program:

    spawned ──ready──▶ running ──died──▶ spawned again, at once
       │
       └─died before it was ready──▶ waits 0.5 s, 1 s, 2 s, … 30 s ──▶ spawned again

The waits begin anew once it was ready. While the mesh itself is being started, a program that dies a few
times, or says by its exit status that its settings are wrong, ends the start.

It must run in the main thread: children die with the thread that forked them. What the programs are, and
who is told, does not belong here.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from harkara_cli.errors import CliError

MISUSE_STATUS = 2
_POLL_SECONDS = 0.025
_READ_BYTES = 65_536
_READS = 16  # At most in one turn: a talkative program must not hold up the others.


@dataclass(frozen=True)
class Program:
    """One process to keep running.

    Attributes:
        name: For messages; one of its own.
        rank: Its place in the order: stopped before everything of a lower rank.
        spawn: Starts it, writing its log to the file descriptor given. Called in the main thread.
        is_ready: Whether it can be used now.
        stop_signal: Asks it to end in order.
        hurry_signal: Ends it at once.
        stop_seconds: How long it may take before it is killed.
    """

    name: str
    rank: int
    spawn: Callable[[int], "subprocess.Popen[bytes]"]
    is_ready: Callable[[], Awaitable[bool]]
    stop_signal: signal.Signals = signal.SIGTERM
    hurry_signal: signal.Signals = signal.SIGKILL
    stop_seconds: float = 12


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds, before what.

    Attributes:
        first_wait: Before the second start of a program that died before it was ready.
        longest_wait: What that doubles up to.
        start_tries: How often a program may die before it is ready while the mesh is being started.
        start_seconds: How long it may take to become ready then.
    """

    first_wait: float = 0.5
    longest_wait: float = 30
    start_tries: int = 3
    start_seconds: float = 60


class StartError(CliError):
    """A program does not start."""


class Supervisor:
    """Keeps programs running until it is stopped.

    Args:
        on_line: Told each line that a program writes: its name, the line.
        on_news: Told what the supervisor does with a program: its name, a sentence.
        on_change: Called after each change of `pids`.
        patience: How long to wait.
    """

    def __init__(
        self,
        *,
        on_line: Callable[[str, str], None],
        on_news: Callable[[str, str], None],
        on_change: Callable[[], None] = lambda: None,
        patience: Patience = Patience(),
    ) -> None:
        self._on_line = on_line
        self._on_news = on_news
        self._on_change = on_change
        self._patience = patience
        self._kept: dict[str, _Kept] = {}
        self._stopping = asyncio.Event()
        self._hurried = False

    @property
    def pids(self) -> dict[str, int]:
        """The process of each program that has one now, by name."""
        return {
            name: kept.process.pid
            for name, kept in self._kept.items()
            if kept.process is not None and kept.process.returncode is None
        }

    async def start(self, programs: Iterable[Program]) -> None:
        """Starts programs side by side, and returns when all of them are ready.

        They are kept running from then on, also when this is cancelled: only `stop` ends them.

        Raises:
            StartError: One of them does not become ready.
        """
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)
        started = []
        for program in programs:
            kept = self._kept[program.name] = _Kept(program, self._on_line)
            kept.task = asyncio.create_task(self._keep(kept), name=f"keep {program.name}")
            started.append(kept)
        try:
            async with asyncio.timeout(self._patience.start_seconds):
                await asyncio.gather(*(kept.first_ready for kept in started))
        except TimeoutError:
            late = ", ".join(kept.program.name for kept in started if not kept.was_ready)
            message = f"{late}: not ready after {self._patience.start_seconds:.0f} s"
            raise StartError(message) from None

    async def stop(self) -> None:
        """Stops all programs, the highest rank first, and returns when none is left.

        Cancelling it leaves programs running; call it again.
        """
        self._stopping.set()
        for kept in self._kept.values():
            kept.wake.set()
        for rank in sorted({kept.program.rank for kept in self._kept.values()}, reverse=True):
            await asyncio.gather(
                *(self._stop_one(kept) for kept in self._kept.values() if kept.program.rank == rank)
            )
        for kept in self._kept.values():
            if kept.task is not None:
                await kept.task
            kept.close()
        self._kept.clear()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)

    def hurry(self) -> None:
        """Ends at once what `stop` still waits for."""
        self._hurried = True
        for kept in self._kept.values():
            kept.send(kept.program.hurry_signal)

    async def _stop_one(self, kept: "_Kept") -> None:
        kept.send(kept.program.hurry_signal if self._hurried else kept.program.stop_signal)
        try:
            await asyncio.wait_for(kept.gone.wait(), kept.program.stop_seconds)
        except TimeoutError:
            self._on_news(kept.program.name, "does not stop: killed")
            kept.send(signal.SIGKILL)
            await kept.gone.wait()

    async def _keep(self, kept: "_Kept") -> None:
        """Runs one program again and again, by the rules above."""
        wait = self._patience.first_wait
        failures = 0
        try:
            while not self._stopping.is_set():
                how = await self._run_once(kept)
                if self._stopping.is_set():
                    return
                if kept.is_ready:
                    kept.is_ready = False
                    wait, failures = self._patience.first_wait, 0
                    self._on_news(kept.program.name, f"{how}: starting it again")
                    continue
                failures += 1
                if kept.has_wrong_settings():
                    kept.fail_start(StartError(f"{kept.program.name}: its settings are wrong, see its log"))
                elif failures >= self._patience.start_tries:
                    kept.fail_start(StartError(f"{kept.program.name}: {how} before it was ready"))
                if kept.gave_up:
                    return
                self._on_news(
                    kept.program.name, f"{how} before it was ready: starting it again in {wait:g} s"
                )
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(kept.wake.wait(), wait)
                wait = min(wait * 2, self._patience.longest_wait)
        finally:
            kept.fail_start(StartError(f"{kept.program.name}: stopped before it was ready"))
            kept.gone.set()

    async def _run_once(self, kept: "_Kept") -> str:
        """One life of a program; says how it ended."""
        try:
            kept.process = kept.program.spawn(kept.log_end)
        except CliError as error:
            kept.fail_start(error)  # It says all, and would say it again.
            return str(error)
        except OSError as error:
            return f"cannot be started: {error}"
        kept.ended.clear()
        started = time.monotonic()
        pid = kept.process.pid
        self._on_change()
        self._reap()  # It may have ended before we were ready to hear of it.
        while not kept.ended.is_set():
            if not kept.is_ready and await kept.program.is_ready() and not kept.ended.is_set():
                kept.is_ready = True
                again = "again " if kept.was_ready else ""
                self._on_news(
                    kept.program.name, f"ready {again}(pid {pid}, {time.monotonic() - started:.1f} s)"
                )
                kept.succeed_start()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(kept.ended.wait(), None if kept.is_ready else _POLL_SECONDS)
        kept.pump()
        self._on_change()
        return f"pid {pid} {_how_it_ended(kept.process.returncode)}"

    def _reap(self) -> None:
        """Notes which processes have ended."""
        for kept in self._kept.values():
            if kept.process is not None and kept.process.poll() is not None:
                kept.ended.set()


class _Kept:
    """A program, and where it stands."""

    def __init__(self, program: Program, on_line: Callable[[str, str], None]) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.task: asyncio.Task[None] | None = None
        self.first_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_ready = False
        self.was_ready = False
        self.gave_up = False  # It never became ready, and will not be tried again.
        self.ended = asyncio.Event()  # The process is no more.
        self.gone = asyncio.Event()  # And there will be no other.
        self.wake = asyncio.Event()  # Do not wait any longer.
        self._on_line = on_line
        self._rest = b""
        # One pipe for all its lives: we hold both ends, and no last word is lost between two of them.
        self._read_end, self.log_end = os.pipe()
        os.set_blocking(self._read_end, False)
        asyncio.get_running_loop().add_reader(self._read_end, self.pump)

    def send(self, number: signal.Signals) -> None:
        """Signals the process, if it has not ended."""
        if self.process is not None and not self.ended.is_set():
            self.process.send_signal(number)

    def succeed_start(self) -> None:
        """Lets `start` go on."""
        self.was_ready = True
        if not self.first_ready.done():
            self.first_ready.set_result(None)

    def fail_start(self, error: CliError) -> None:
        """Ends `start` with an error, if the program never became ready."""
        if self.was_ready or self.gave_up:
            return
        self.gave_up = True
        if not self.first_ready.done():
            self.first_ready.set_exception(error)
            self.first_ready.exception()  # Whether or not anybody still waits for it.

    def has_wrong_settings(self) -> bool:
        """Whether the process said so, by its exit status."""
        return self.process is not None and self.process.returncode == MISUSE_STATUS

    def pump(self) -> None:
        """Passes on what the process has written, line by line."""
        for _ in range(_READS):
            try:
                data = os.read(self._read_end, _READ_BYTES)
            except BlockingIOError:
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > _READ_BYTES:  # No line is that long: pass it on as it is.
                lines, self._rest = [*lines, self._rest], b""
            for line in lines:
                self._on_line(self.program.name, line.decode(errors="replace").rstrip())

    def close(self) -> None:
        """Lets go of the pipe."""
        self.pump()
        asyncio.get_running_loop().remove_reader(self._read_end)
        os.close(self._read_end)
        os.close(self.log_end)


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
