"""Keeps `.venv` as `constraints.txt` and the `pyproject.toml` files say, then becomes the command line.

`./harkara` runs this file with whatever Python it found, before anything is installed: it imports the
standard library and one module of ours that does no more. An install that is cut off leaves a mark, and
the next run starts again from nothing. Two first runs at once wait for each other.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harkara_cli.child_process import spawn

ROOT = Path(__file__).resolve().parents[3]
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class BootstrapError(Exception):
    """The install cannot be done; the text is for the person at the terminal."""


class Install:
    """What should be in a checkout's `.venv`, and what is.

    Args:
        root: The checkout.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self._stamp = self.venv / "harkara-installed.json"
        self._cut_off_mark = self.venv / "harkara-installing"

    def is_current(self, *, test: bool) -> bool:
        """Whether everything is there, the test tools too if they are wanted."""
        stamp = self._read_stamp()
        return bool(stamp) and stamp == {**self._wanted(), "test": stamp["test"] or test}

    def bring_up_to_date(self, *, test: bool) -> None:
        """Installs what is missing.

        Raises:
            BootstrapError: It cannot be done.
            OSError: The folder cannot be written.
        """
        with self._locked():
            if self.is_current(test=test):  # Another run has done it meanwhile.
                return
            stamp, wanted = self._read_stamp(), self._wanted()
            groups = self._configuration()["dependency-groups"]
            if not self._is_usable(stamp, wanted):
                stamp = {}
                self._make_venv()
            self._cut_off_mark.touch()
            self._stamp.unlink(missing_ok=True)
            try:
                if stamp.get("inputs") != wanted["inputs"]:
                    stamp = {}
                    self._pip("Installing the build tools", groups["build"])
                    harkara = ["--no-build-isolation", *self._members()]
                    self._pip("Installing Harkara and what it runs on", harkara)
                if test:
                    self._pip("Installing the test tools", groups["test"])
            except BootstrapError:
                self._cut_off_mark.unlink()  # pip gave up in order: the next run goes on from here.
                raise
            part = self._stamp.with_suffix(".part")
            part.write_text(json.dumps({**wanted, "test": test or stamp.get("test", False)}))
            part.replace(self._stamp)
            self._cut_off_mark.unlink()

    def _read_stamp(self) -> dict[str, Any]:
        """What the last complete install was made from; empty where nothing says so."""
        try:
            stamp = json.loads(self._stamp.read_text())
        except (OSError, ValueError):
            return {}
        keys = {"root", "python", "inputs", "test"}
        return stamp if isinstance(stamp, dict) and stamp.keys() == keys else {}

    def _is_usable(self, stamp: dict[str, Any], wanted: dict[str, Any]) -> bool:
        """Whether to go on from what is in `.venv`; else it is made anew."""
        if self._cut_off_mark.exists() or Path(sys.executable) != self.python:
            return False  # Cut off, or so broken that ./harkara had to look for another Python.
        return all(stamp.get(key, wanted[key]) == wanted[key] for key in ("root", "python"))

    def _wanted(self) -> dict[str, Any]:
        inputs = hashlib.sha256()
        for path in [self.root / "constraints.txt", self.root / "pyproject.toml", *self._member_files()]:
            inputs.update(f"{path.relative_to(self.root)}\0".encode())
            inputs.update(path.read_bytes())
        return {"root": str(self.root), "python": sys.version, "inputs": inputs.hexdigest()}

    def _member_files(self) -> list[Path]:
        return sorted([*self.root.glob("*/pyproject.toml"), *self.root.glob("clients/*/pyproject.toml")])

    def _members(self) -> list[str]:
        return [
            part
            for member in self._configuration()["tool"]["harkara"]["members"]
            for part in ("--editable", str(self.root / member))
        ]

    def _configuration(self) -> dict[str, Any]:
        import tomllib  # noqa: PLC0415 - only an install needs it.

        return tomllib.loads((self.root / "pyproject.toml").read_text())

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """What the command runs with: ours, and where Python may write compiled code at all.

        Where it must not be beside the sources (`PYTHONDONTWRITEBYTECODE`), it is kept in `.venv`: else each
        process of a mesh would compile all that it imports each time it starts, which takes most of a start.
        """
        environment = dict(given)
        if environment.pop("PYTHONDONTWRITEBYTECODE", "") and not environment.get("PYTHONPYCACHEPREFIX"):
            environment["PYTHONPYCACHEPREFIX"] = str(self.venv / "pycache")
        return environment

    def _make_venv(self) -> None:
        """Makes an empty `.venv`, whatever was there."""
        # Our own Python may be the one in there: the one it was made from outlives it.
        base = getattr(sys, "_base_executable", None) or sys.executable
        if self.venv.exists():
            shutil.rmtree(self.venv)
        self.venv.mkdir()
        self._cut_off_mark.touch()
        version = ".".join(str(part) for part in sys.version_info[:3])
        _run_step(f"Making .venv with Python {version}", [base, "-I", "-m", "venv", str(self.venv)])

    def _pip(self, title: str, arguments: Sequence[str]) -> None:
        command = [str(self.python), "-I", "-m", "pip", "install"]
        quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
        # Compiled when first imported: half of what is installed never is.
        pinned = ["--no-compile", "--constraint", str(self.root / "constraints.txt")]
        _run_step(title, [*command, *quiet, *pinned, *arguments], cwd=self.root)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Holds the checkout's lock, which is on the folder itself: nothing to leave behind."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _say("Another ./harkara is installing here: waiting for it")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _run_step(title: str, argv: Sequence[str], cwd: Path | None = None) -> None:
    """Runs one step of the install, shows that it goes on, and its output where it fails.

    Raises:
        BootstrapError: It failed; with its output.
    """
    process = spawn(argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output: list[str] = []

    def read() -> None:
        assert process.stdout is not None  # noqa: S101 - we asked for the pipe.
        output.extend(line.decode(errors="replace").rstrip() for line in process.stdout)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        _show_progress(title, process)
    except BaseException:
        # Interrupted: what pip started is in its process group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    reader.join()
    if process.returncode != 0:
        tail = [line for line in output if line][-20:]
        raise BootstrapError(
            "\n".join([*tail, f"{title}: failed (it can be started from nothing: remove .venv)"])
        )


def _show_progress(title: str, process: "subprocess.Popen[bytes]") -> None:
    """Waits for a step: a moving line at a terminal, one plain line elsewhere."""
    started = time.monotonic()
    if not _is_terminal():
        _say(title)
        process.wait()
        return
    frame = 0
    while True:
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            frame += 1
            mark = _paint("36", _FRAMES[frame % len(_FRAMES)])
            _write(f"\r\033[K{mark} {title} {_paint('2', f'{time.monotonic() - started:.0f} s')}")
        else:
            break
    mark = _paint("32", "✓") if process.returncode == 0 else _paint("31", "✗")
    _write(f"\r\033[K{mark} {title} {_paint('2', f'{time.monotonic() - started:.1f} s')}\n")


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb"


def _paint(code: str, text: str) -> str:
    return text if os.environ.get("NO_COLOR") else f"\033[{code}m{text}\033[0m"


def _say(line: str) -> None:
    _write(f"harkara: {line}\n")


def _write(text: str) -> None:
    with contextlib.suppress(UnicodeEncodeError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _terminated(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _needs_test_tools(arguments: Sequence[str]) -> bool:
    return arguments[:1] == ["test"] or (arguments[:1] == ["install"] and "--test" in arguments)


def main(arguments: Sequence[str]) -> int:
    """Installs what is missing, then replaces this process by the command line.

    Returns:
        The exit status, where that comes to nothing.
    """
    install = Install(ROOT)
    test = _needs_test_tools(arguments)
    try:
        if not install.is_current(test=test):
            before = signal.signal(signal.SIGTERM, _terminated)
            install.bring_up_to_date(test=test)
            signal.signal(signal.SIGTERM, before)
        # -P: a module in the working folder must not be taken for one of ours.
        # utf8: so are ids and events, whatever the locale says of arguments and names of files.
        command = [str(install.python), "-P", "-X", "utf8", "-m", "harkara_cli", *arguments]
        os.execve(install.python, command, install.environment(os.environ))  # noqa: S606 - the pid stays.
    except KeyboardInterrupt:
        _say("interrupted; the next run starts the install again")
        status = 130
    except BootstrapError as error:
        _say(str(error))
        status = 1
    except OSError as error:
        _say(f"cannot install: {error.filename or install.venv}: {error.strerror}")
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
