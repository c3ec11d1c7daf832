# ruff: noqa: INP001 - a script, no module of a package.
"""Makes the secrets that docker-compose.yml mounts: those that are missing in deploy/secrets, none anew.

`.venv/bin/python deploy/make_secrets.py`. Credentials of the mesh's own parts that end soon are renewed:
run it again within their year, and restart the services. Each service can read only its own, so the files
belong to whom the containers run as: run by root, the user of the images; else whoever ran this, and the
last line says what to tell docker-compose.

The folder is laid out as a data folder of the launcher: `./harkara token … --data-dir deploy` makes tokens
with its key.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Final

from harkara_cli.data_dir import DataDir
from harkara_cli.errors import CliError
from harkara_cli.private_files import write_private
from harkara_schema.logins import LOGINS

IMAGE_USER: Final = 10001
"""Whom the images run as (their Dockerfiles)."""

SUPERUSER: Final = "postgres"


def make_secrets(folder: Path) -> None:
    """Make what is missing in the folder `secrets` below `folder`.

    Args:
        folder: As a data folder; it must be there.

    Raises:
        CliError: A file cannot be written.
        OSError: Likewise.
    """
    data = DataDir(folder)
    data.secrets.mkdir(mode=0o700, exist_ok=True)
    data.make_secrets()
    if not data.password_file(SUPERUSER).exists():
        write_private(data.password_file(SUPERUSER), secrets.token_urlsafe(32))
    for user in (SUPERUSER, *LOGINS):
        # As libpq reads it: a URL that names this file holds no password, and may stand in an environment.
        password = data.password_file(user).read_text().strip()
        write_private(data.secrets / f"{user}.pgpass", f"*:*:*:{user}:{password}")


def main() -> int:
    """Make them beside this file, for the user the containers run as; returns the exit status."""
    folder = Path(__file__).resolve().parent
    try:
        make_secrets(folder)
        if os.geteuid() == 0:
            for file in (folder / "secrets").glob("*.*"):
                os.chown(file, IMAGE_USER, IMAGE_USER)
    except CliError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 1
    sys.stdout.write(f"secrets are in {folder / 'secrets'}\n")
    if os.geteuid() != 0:
        sys.stdout.write(f"export HARKARA_UID={os.geteuid()} HARKARA_GID={os.getegid()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
