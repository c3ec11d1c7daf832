"""Checks that need no running mesh: Python, what is installed, limits, the data folder and its secrets.

What does not belong here: anything that connects to a service.
"""

import os
import resource
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import jwt

from harkara_cli.data_dir import DataDir
from harkara_cli.doctor.findings import Finding, fail, ok, warn
from harkara_cli.errors import CliError
from harkara_cli.tokens import DAY_SECONDS, INTERNAL_NAMES, Minter

LEAST_PYTHON = (3, 11)
LEAST_OPEN_FILES = 256
GOOD_OPEN_FILES = 4_096
LEAST_DISK_BYTES = 512 * 1024**2
GOOD_DISK_BYTES = 2 * 1024**3
SOON_DAYS = 14

_GIB = 1024**3
_ANYBODY_ELSE = 0o077
_SHOWN = 3
_REINSTALL = "remove .venv, then run ./harkara install"


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Iterator[Finding]:
    """Whether this Python is recent enough."""
    text = ".".join(map(str, version))
    if version < LEAST_PYTHON:
        yield fail("python", f"{text} is too old", "install Python 3.11 or later, then run ./harkara install")
    else:
        yield ok("python", text)


def packages(constraints: Path) -> Iterator[Finding]:
    """Whether what is installed is what `constraints.txt` says.

    Args:
        constraints: That file; an installation without one is of nobody's concern.
    """
    if not constraints.exists():
        return
    wanted = _pinned(constraints.read_text())
    installed = {_canonical(found.name): found.version for found in metadata.distributions() if found.name}
    others = [
        f"{name} {installed[name]} (not {version})"
        for name, version in wanted.items()
        if name in installed and installed[name] != version
    ]
    if others:
        shown = ", ".join(others[:_SHOWN]) + (
            f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        )
        yield warn("packages", f"not as constraints.txt says: {shown}", _REINSTALL)
    else:
        there = sum(name in installed for name in wanted)
        yield ok("packages", f"{there} as constraints.txt says; Harkara {metadata.version('harkara-cli')}")


def open_files(limit: int | None = None) -> Iterator[Finding]:
    """Whether enough files may be open for the connections of an edge.

    Args:
        limit: How many; what this process may by default. `up` raises nothing: services inherit it.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    remedy = "ulimit -n 65536 before ./harkara up (LimitNOFILE= in a unit of systemd)"
    if most == resource.RLIM_INFINITY:
        yield ok("open files", "no limit")
    elif most < LEAST_OPEN_FILES:
        yield fail("open files", f"at most {most:,}", remedy)
    elif most < GOOD_OPEN_FILES:
        yield warn("open files", f"at most {most:,}: so many connections and no more", remedy)
    else:
        yield ok("open files", f"at most {most:,}")


def folder(data: DataDir) -> Iterator[Finding]:
    """Whether the data folder is there, ours alone, and has room."""
    path = data.path
    if not path.exists():
        yield warn("data folder", f"{path} is not there yet", "./harkara up makes it")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if not os.access(path, os.W_OK | os.X_OK):
        yield fail("data folder", f"{path} cannot be written", f"chown it to yourself: {path}")
    elif mode & _ANYBODY_ELSE:
        yield warn("data folder", f"{path} is open to others (mode {mode:04o})", f"chmod 700 {path}")
    else:
        yield ok("data folder", str(path))
    yield disk(shutil.disk_usage(path).free)


def disk(free: int) -> Finding:
    """Whether there is room for what comes.

    Args:
        free: Bytes.
    """
    found = f"{free / _GIB:,.1f} GiB free"
    remedy = "free some, or let less be kept: HARKARA_EVENT_SERVICE_RETENTION_DAYS"
    if free < LEAST_DISK_BYTES:
        return fail("disk", f"{found}: Postgres stops when it is full", remedy)
    return warn("disk", found, remedy) if free < GOOD_DISK_BYTES else ok("disk", found)


def secrets(data: DataDir, now: float | None = None) -> Iterator[Finding]:
    """Whether the keys, passwords and credentials can be used, by us alone.

    Args:
        data: The data folder.
        now: Seconds since 1970; the clock's by default.
    """
    if not data.secrets.exists():
        return
    wide = [file.name for file in sorted(data.secrets.iterdir()) if file.stat().st_mode & _ANYBODY_ELSE]
    if wide:
        yield fail(
            "secrets",
            f"others may read {', '.join(wide[:_SHOWN])}: the services refuse such a file",
            f"chmod 600 {data.secrets}/*",
        )
    else:
        yield ok("secrets", f"{len(list(data.secrets.iterdir()))} files, ours alone")
    try:
        minter = data.minter()
    except CliError as error:
        yield fail(
            "key", str(error), "put the right key back: a new one makes every token that is out there void"
        )
        return
    yield ok("key", f"{len(minter.key)} bytes")
    found = [
        (name, _seconds_left(data, minter, name, time.time() if now is None else now))
        for name in INTERNAL_NAMES
    ]
    for name, left in found:
        if left is None:
            yield fail(f"token of {name}", "is not one of this mesh's", "./harkara up makes it anew")
        elif left <= 0:
            yield fail(f"token of {name}", "has ended", "restart ./harkara up: it makes a new one")
        elif left < SOON_DAYS * DAY_SECONDS:
            yield warn(f"token of {name}", f"ends in {left / DAY_SECONDS:.0f} days", "restart ./harkara up")
    lefts = [left for _, left in found if left is not None]
    if len(lefts) == len(found) and min(lefts) >= SOON_DAYS * DAY_SECONDS:
        yield ok("credentials", f"{len(found)} tokens, the first ends in {min(lefts) / DAY_SECONDS:.0f} days")


def _seconds_left(data: DataDir, minter: Minter, name: str, now: float) -> float | None:
    """How long a part's credential is still good; None where it is none of ours."""
    try:
        token = data.credential_file(name).read_text().strip()
        if not minter.is_ours(token, float("-inf"), now=now):
            return None
        claims = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})
    except (OSError, ValueError, jwt.InvalidTokenError):
        return None
    return float(claims["exp"]) - now


def _pinned(text: str) -> Mapping[str, str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    pairs = (line.partition("==") for line in lines if "==" in line)
    return {_canonical(name): version for name, _, version in pairs}


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
