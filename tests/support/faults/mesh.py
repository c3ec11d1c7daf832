"""A mesh that is there to be hurt: `up --json` on a scratch folder, and its processes by kind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import msgspec
import psycopg

from harkara_cli.data_dir import DataDir
from tests.support.faults import small_disk
from tests.support.mesh import Mesh, running_mesh
from tests.support.processes import family_of, is_gone
from tests.support.waiting import wait_until_async

KINDS = ("edge", "event-service", "auth-service", "query-service", "postgres")
"""The processes that every mesh has; "nats" is there with several replicas."""

SETTINGS = {
    # All clients come from one machine.
    "HARKARA_EDGE_MAX_CONNECTIONS_PER_ADDRESS": "1000000",
    "HARKARA_EDGE_LOG_LEVEL": "warning",
}

_BACK_SECONDS = 60.0
_KILL_SECONDS = 0.02


class _Now(msgspec.Struct):
    """What changes while a mesh runs."""

    pids: dict[str, list[int]]
    ops_urls: dict[str, list[str]]


class FaultMesh:
    """A running mesh.

    Args:
        mesh: What its line said.
        process: Its launcher.
        log: What its processes write.
    """

    def __init__(self, mesh: Mesh, process: subprocess.Popen[bytes], log: Path) -> None:
        self.mesh = mesh
        self.process = process
        self.log = log
        self._run_file = DataDir(Path(mesh.data_dir)).run_file

    def _now(self) -> _Now:
        return msgspec.json.decode(self._run_file.read_bytes(), type=_Now)

    def pids(self, kind: str) -> list[int]:
        """The processes of a kind, now."""
        return self._now().pids.get(kind, [])

    @property
    def emit_targets(self) -> list[str]:
        """Where Emit is answered."""
        return self.mesh.emit_targets

    def kinds(self) -> list[str]:
        """Which kinds there are."""
        return list(self.mesh.pids)

    def signal(self, kind: str, number: signal.Signals, index: int = 0) -> int:
        """Signal one process; its pid."""
        pid = self.pids(kind)[index]
        _send(pid, number)
        return pid

    @contextmanager
    def frozen(self, kind: str, index: int = 0) -> Iterator[None]:
        """SIGSTOP one process, and SIGCONT the same in the end; Postgres with all its backends."""
        pid = self.pids(kind)[index]
        members = family_of(pid) if kind == "postgres" else {pid}
        for member in members:
            _send(member, signal.SIGSTOP)
        try:
            yield
        finally:
            for member in members:
                _send(member, signal.SIGCONT)

    async def kill(self, kind: str, index: int = 0) -> None:
        """kill -9, and wait until it is gone."""
        pid = self.signal(kind, signal.SIGKILL, index)
        await wait_until_async(lambda: is_gone(pid))

    @asynccontextmanager
    async def kept_dead(self, kind: str, index: int | None = None) -> AsyncIterator[None]:
        """Keep the processes of a kind dead, or one of them, however often its launcher starts them again."""
        alive = self.pids(kind)
        others = set() if index is None else {pid for pid in alive if pid != alive[index]}

        async def keep_killing() -> None:
            while True:
                for pid in set(self.pids(kind)) - others:
                    _send(pid, signal.SIGKILL)
                await asyncio.sleep(_KILL_SECONDS)

        for pid in set(alive) - others:
            _send(pid, signal.SIGKILL)
        await wait_until_async(lambda: all(is_gone(pid) for pid in set(alive) - others))
        task = asyncio.create_task(keep_killing())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def kill_everything(self) -> None:
        """kill -9 of every process but the launcher, at once."""
        pids = [pid for kind in self.kinds() for pid in self.pids(kind)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await wait_until_async(lambda: all(is_gone(pid) for pid in pids))

    async def kill_writing_backend(self) -> int:
        """kill -9 of the backend of Postgres through which events are written; its pid."""
        found = await asyncio.to_thread(self._writing_backend)
        assert found is not None, "nobody writes"
        os.kill(found, signal.SIGKILL)
        await wait_until_async(lambda: is_gone(found))
        return found

    def postgres_setting(self, name: str) -> str:
        """What Postgres says of one of its settings."""
        with psycopg.connect(self.mesh.postgres_dsn) as connection:
            row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
            return str(row[0]) if row is not None else ""

    def _writing_backend(self) -> int | None:
        with psycopg.connect(self.mesh.postgres_dsn) as connection:
            row = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'harkara-log-writer-%'"
            ).fetchone()
            return int(row[0]) if row is not None else None

    async def is_back(self, kind: str, number: int | None = None) -> None:
        """Wait until all processes of a kind are there and say that they are ready.

        Args:
            kind: Of which kind.
            number: How many there are to be; as many as at the start where None.
        """
        wanted = len(self.mesh.pids[kind]) if number is None else number
        deadline = time.monotonic() + _BACK_SECONDS
        while not await asyncio.to_thread(self._is_there, kind, wanted):
            assert time.monotonic() < deadline, f"{kind} is not back: see {self.log}"
            await asyncio.sleep(0.05)

    def _is_there(self, kind: str, wanted: int) -> bool:
        now = self._now()
        pids = now.pids.get(kind, [])
        if len(pids) != wanted or any(is_gone(pid) for pid in pids):
            return False
        if kind == "postgres":
            return self._postgres_answers()
        return all(is_ready(url) for url in now.ops_urls.get(kind, []))

    def _postgres_answers(self) -> bool:
        try:
            psycopg.connect(self.mesh.postgres_dsn, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    async def metric(self, kind: str, name: str) -> float:
        """The sum of a metric over all processes of a kind and all its labels."""
        return await asyncio.to_thread(self._metric, kind, name)

    def _metric(self, kind: str, name: str) -> float:
        total = 0.0
        for url in self._now().ops_urls[kind]:
            with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:  # noqa: S310 - our own.
                lines = answer.read().decode().splitlines()
            total += sum(float(line.split()[-1]) for line in lines if re.match(rf"{name}[ {{]", line))
        return total

    async def until_metric(self, kind: str, name: str, value: float) -> None:
        """Wait until a metric has risen to a value."""
        deadline = time.monotonic() + _BACK_SECONDS
        while (now := await self.metric(kind, name)) < value:
            assert time.monotonic() < deadline, f"{name} of {kind} is {now:g}, not yet {value:g}"
            await asyncio.sleep(0.1)

    async def all_are_back(self) -> None:
        """Wait until every process is there and ready."""
        for kind in self.kinds():
            await self.is_back(kind)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def is_ready(url: str) -> bool:
    """Whether the process with this ops URL says that it can be used."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:  # noqa: S310 - our own.
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def fault_mesh(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    disk_megabytes: int | None = None,
) -> Iterator[FaultMesh]:
    """Start a mesh on a new folder, and stop it in the end.

    Args:
        folder: Of its data and its log.
        arguments: Of `up`.
        environment: Settings.
        disk_megabytes: The size of a disk of Postgres' own; None for the machine's.
    """
    data = folder / "data"
    settings = {**SETTINGS, **(environment or {})}
    inside = [] if disk_megabytes is None else small_disk.command(data / "postgres", disk_megabytes)
    with running_mesh(data, *arguments, environment=settings, inside=inside) as (mesh, process):
        yield FaultMesh(mesh, process, folder / "data.log")


def replicas(number: int) -> Sequence[str]:
    """The arguments of `up` for so many event-services."""
    return () if number == 1 else ("--replicas", str(number))
