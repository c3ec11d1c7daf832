"""A real PostgreSQL server as our own child process: for `up` and for tests.

The server is a direct child of the process that starts it and dies with it (`child_process`), listens
on loopback TCP alone, and wants a password that was generated when its folder was made. PostgreSQL
refuses to run as root, so for root it runs in a user namespace of its own, in which root is somebody
else: it can then still read a folder that only root can. Where the kernel refuses that, it runs as an
unprivileged user.

What the server is used for (roles, databases, tables) does not belong here.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psycopg

from harkara_cli.child_process import IN_NAMESPACE, OURSELVES, Identity, as_user, spawn
from harkara_cli.errors import PostgresError
from harkara_cli.ports import LOOPBACK, free_port, is_free
from harkara_cli.postgres_binaries import BINDIR_VARIABLE, PostgresBinaries, find_binaries
from harkara_cli.private_files import write_private

SUPERUSER = "postgres"
HOST = LOOPBACK

_POLL_SECONDS = 0.01
_FOREIGN_SERVER_SECONDS = 5.0
_FREE_PORT_TRIES = 5


class EmbeddedPostgres:
    """One server on one folder.

    Args:
        data_dir: Its folder, made when missing: `cluster/` (PGDATA), `superuser-password` (mode 0600)
            and `postgres.log`, emptied at each start.
        port: TCP port on 127.0.0.1; 0 takes a free one, which stays the same over restarts of this
            object.
        settings: Server settings, as in postgresql.conf (`{"fsync": "off"}`).
        identities: As whom to try to run it, best first; None decides by who we are.
        environment: Where `HARKARA_PG_BINDIR` is looked up.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
        *,
        identities: tuple[Identity, ...] | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.cluster = self.data_dir / "cluster"
        self._settings = dict(settings or {})
        self._log: int | None = None
        self._identities = identities
        self._environment = environment
        self._wanted_port = port
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Starts it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops it."""
        self.stop()

    @property
    def port(self) -> int:
        """The TCP port.

        Raises:
            PostgresError: It was never started.
        """
        if self._port is None:
            raise PostgresError("Postgres was never started: it has no port yet")
        return self._port

    @property
    def password(self) -> str:
        """The superuser's password."""
        return self._password_file.read_text().strip()

    @property
    def dsn(self) -> str:
        """Where a superuser connects: a libpq URL of the database `postgres`."""
        return self.dsn_of("postgres")

    def dsn_of(self, database: str, user: str = SUPERUSER, password: str | None = None) -> str:
        """A libpq URL of this server; the superuser's unless said otherwise."""
        return f"postgresql://{user}:{password or self.password}@{HOST}:{self.port}/{database}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The postmaster.

        Raises:
            PostgresError: It was never started.
        """
        if self._process is None:
            raise PostgresError("Postgres was never started")
        return self._process

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self.process.pid

    def poll(self) -> int | None:
        """None while the postmaster lives; else its exit status, as `Popen.poll` gives it."""
        return self.process.poll()

    def start(self, timeout: float = 60) -> None:
        """Makes the folder where it is new, starts the server and waits until it answers.

        Call it from the main thread (see `child_process`), also to start again after `stop` or after
        the server died.

        Args:
            timeout: Seconds to wait for the answer: recovery after a crash takes its time.

        Raises:
            PostgresError: It does not start, in one line.
        """
        for _ in range(1 if self._wanted_port or self._port else _FREE_PORT_TRIES - 1):
            try:
                self.spawn()
                self.wait_ready(timeout)
            except _PortTakenError:
                if self._wanted_port:
                    raise
                self._port = None  # Somebody was faster on the free port: take another.
            else:
                return
        self.spawn()
        self.wait_ready(timeout)

    def spawn(self, log: int | None = None) -> None:
        """The first half of `start`: starts the server and does not wait for it.

        Args:
            log: A file descriptor for the server's log; None for `postgres.log`.

        Raises:
            PostgresError: It cannot be started, in one line.
        """
        if self._process is not None and self._process.poll() is None:
            message = f"Postgres already runs (pid {self._process.pid})"
            raise PostgresError(message)
        self._log = log
        self._make_folder()
        binaries = self._choose_binaries()
        identity = self._choose_identity(binaries)
        self._end_leftovers()
        if not self._is_initialised():
            self._initialise(binaries, identity)
        if self._port is None:
            self._port = self._wanted_port or free_port()
        settings = {
            "listen_addresses": HOST,
            "port": str(self._port),
            "unix_socket_directories": "",  # Its path has a short limit; TCP serves everybody.
            "log_line_prefix": "",
            "logging_collector": "off",
            **self._settings,
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # SIGQUIT is Postgres' immediate shutdown: its own children go with it.
        self._process = self._run(
            [str(binaries.folder / "postgres"), "-D", str(self.cluster), *arguments], identity, signal.SIGQUIT
        )

    def wait_ready(self, timeout: float = 60) -> None:
        """The second half of `start`: waits until the server answers.

        Raises:
            PostgresError: It ended, or does not answer in time; with its last words where they are
                in our file.
        """
        deadline = time.monotonic() + timeout
        while not self.is_ready():
            if (status := self.poll()) is not None:
                raise self._ended_early(status)
            if time.monotonic() > deadline:
                message = f"Postgres does not answer after {timeout:.0f} s{self._last_words()}"
                raise PostgresError(message)
            time.sleep(_POLL_SECONDS)

    def is_ready(self) -> bool:
        """Whether the server we started takes connections."""
        # Its status file first: a connection too early fills its log with refusals.
        lines = self._pid_file_lines()
        if len(lines) < 8 or lines[0] != str(self.pid) or lines[7].strip() != "ready":
            return False
        try:
            psycopg.connect(self.dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, timeout: float = 15) -> None:
        """Ends the server in order: open transactions roll back, everything is on disk.

        Does nothing where it does not run. Harder signals follow where it hangs.

        Args:
            timeout: Seconds until the next harder signal.
        """
        process = self._process
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if process.poll() is not None:
                return
            process.send_signal(number)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                continue
            return

    # The folder

    @property
    def _password_file(self) -> Path:
        return self.data_dir / "superuser-password"

    @property
    def _log_file(self) -> Path:
        return self.data_dir / "postgres.log"

    @property
    def _initialised_mark(self) -> Path:
        return self.data_dir / "initialised"

    def _make_folder(self) -> None:
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._password_file.exists():
                if self._is_initialised():
                    message = f"{self._password_file} is missing: the folder cannot be opened"
                    raise PostgresError(message)
                write_private(self._password_file, secrets.token_urlsafe(32))
        except OSError as error:
            message = f"cannot write in {self.data_dir}: {error.strerror}"
            raise PostgresError(message) from error

    def _is_initialised(self) -> bool:
        # initdb writes PG_VERSION first: a folder of an initdb that was cut off must not count.
        return self._initialised_mark.exists()

    def _choose_binaries(self) -> PostgresBinaries:
        """The first installation that can open the folder; any for a new one."""
        found = find_binaries(self._environment)
        if not self._is_initialised():
            return found[0]
        major = int((self.cluster / "PG_VERSION").read_text())
        for binaries in found:
            if binaries.major == major:
                return binaries
        there = ", ".join(sorted({str(binaries.major) for binaries in found}))
        message = (
            f"{self.data_dir} was made by PostgreSQL {major}, and here is only {there}: set {BINDIR_VARIABLE}"
            f" to the programs of PostgreSQL {major}, or choose another data folder"
        )
        raise PostgresError(message)

    def _choose_identity(self, binaries: PostgresBinaries) -> Identity:
        """The first of the identities that can run these programs on this folder."""
        for identity in self._identities or self._usual_identities():
            if identity.uid is not None and self.data_dir.stat().st_uid != identity.uid:
                _give_to(self.data_dir, identity)
            trial = ["/bin/sh", "-c", 'cd "$0" && exec "$1" --version']
            try:
                child = self._run(
                    [*trial, str(self.data_dir), str(binaries.folder / "postgres")],
                    identity,
                    signal.SIGKILL,
                    quiet=True,
                )
            except subprocess.SubprocessError:
                continue
            if child.wait(30) == 0:
                return identity
        message = (
            "Postgres does not run as root, and neither a user namespace nor an unprivileged user can run"
            f" {binaries.folder} on {self.data_dir}: run as an ordinary user, or move both out of root's home"
        )
        raise PostgresError(message)

    def _usual_identities(self) -> Iterator[Identity]:
        if os.geteuid() != 0:
            yield OURSELVES
            return
        owner = self.data_dir.stat().st_uid
        if owner != 0:  # Made by somebody else: only they can open it.
            yield as_user(pwd.getpwuid(owner))
        else:
            yield IN_NAMESPACE
        for name in ("postgres", "nobody"):
            try:
                yield as_user(pwd.getpwnam(name))
            except KeyError:
                continue

    def _initialise(self, binaries: PostgresBinaries, identity: Identity) -> None:
        shutil.rmtree(self.cluster, ignore_errors=True)
        child = self._run(
            [
                str(binaries.folder / "initdb"),
                *("--pgdata", str(self.cluster), "--username", SUPERUSER),
                *("--pwfile", str(self._password_file), "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--locale", "C"),
                "--no-instructions",
                *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
            ],
            identity,
            signal.SIGKILL,
        )
        if child.wait(120) != 0:
            message = f"initdb failed in {self.data_dir}{self._last_words()}"
            raise PostgresError(message)
        self._initialised_mark.touch(mode=0o600)

    # The process

    def _run(
        self, argv: list[str], identity: Identity, death_signal: signal.Signals, *, quiet: bool = False
    ) -> subprocess.Popen[bytes]:
        # libpq's variables of whoever calls us must not reach the server.
        environment = {
            name: value
            for name, value in self._environment.items()
            if not name.startswith("PG") and name not in {"LC_ALL", "LANG", "LANGUAGE"}
        }
        output: int | IO[bytes]
        if quiet:
            output = subprocess.DEVNULL
        elif self._log is not None:
            output = self._log
        else:
            output = self._log_file.open("wb")
        try:
            return spawn(
                argv,
                death_signal=death_signal,
                identity=identity,
                env=environment,
                cwd=Path("/"),
                stdout=output if argv[0].endswith("/postgres") else subprocess.DEVNULL,
                stderr=output,
            )
        finally:
            if not isinstance(output, int):
                output.close()

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _end_leftovers(self) -> None:
        """Clears what a server that was killed left behind.

        Its backends may live on for a moment, and then the new server would refuse to start; its pid
        file may name a pid that now belongs to a stranger, and then too.

        Raises:
            PostgresError: Another living server has the folder.
        """
        deadline = time.monotonic() + _FOREIGN_SERVER_SECONDS
        while True:
            lines = self._pid_file_lines()
            users = set(_processes_in(self.cluster))
            postmaster = int(lines[0]) if lines and lines[0].isdigit() else None
            if postmaster in users:
                # Perhaps its parent was just killed and it is about to follow.
                if time.monotonic() > deadline:
                    message = f"another Postgres (pid {postmaster}) runs on {self.data_dir}"
                    raise PostgresError(message)
            elif users:
                for pid in users:
                    _kill(pid)
            else:
                break
            time.sleep(_POLL_SECONDS)
        if postmaster is not None:
            (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _ended_early(self, status: int) -> PostgresError:
        words = self._last_words()
        if "could not bind" in words or not is_free(HOST, self.port):
            return _PortTakenError(f"port {self.port} on {HOST} (Postgres) is taken")
        return PostgresError(f"Postgres ended with status {status} before it was ready{words}")

    def _last_words(self) -> str:
        """The most telling line of our log file, with ": " before it; empty where there is none."""
        try:
            lines = self._log_file.read_text(errors="replace").splitlines() if self._log is None else []
        except OSError:
            lines = []
        telling = [line for line in lines if line.startswith(("FATAL", "PANIC", "initdb: error"))] or lines
        bind = [line for line in lines if "could not bind" in line]
        return f": {(bind or telling)[-1].strip()}" if telling else ""


class _PortTakenError(PostgresError):
    """The port belongs to somebody else."""


def _give_to(folder: Path, identity: Identity) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, identity.uid or 0, identity.gid or 0, follow_symlinks=False)


def _processes_in(cluster: Path) -> Iterator[int]:
    """The server processes that work in a PGDATA; none where the system has no /proc."""
    proc = Path("/proc")
    for entry in proc.iterdir() if proc.is_dir() else ():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "cwd").readlink() == cluster and (entry / "comm").read_text().strip() == "postgres":
                yield int(entry.name)
        except OSError:
            continue  # Gone, or somebody else's.


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
