# ruff: noqa: INP001 - a script of its image, no module of a package.
"""Brings a database to this release and gives each service its login; then ends.

For a deployment whose Postgres is its own: docker-compose.yml runs it before the services. It may run again
at any time, and then sets the passwords anew. Told by the environment:

HARKARA_MIGRATE_DSN      a libpq URL of the database's owner; without a superuser's rights it needs CREATEROLE
HARKARA_PASSWORD_FILES   a folder with postgres-LOGIN.password for each of `LOGINS`

What does not belong here: what a migration does (`harkara_schema`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg

from harkara_schema.logins import LOGINS, make_logins
from harkara_schema.migrate import SchemaError, migrate


def prepare(dsn: str, passwords: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Migrate, then make the logins that are missing and set every password.

    Args:
        dsn: A libpq URL of the database's owner.
        passwords: One for each of `LOGINS`.
        say: Is told what was done, a line each.

    Raises:
        SchemaError: The migration could not be done.
        psycopg.Error: The database cannot be reached, or refuses.
    """
    done = migrate(dsn, on_step=say)
    say(f"tables at revision {done.to_revision}")
    make_logins(dsn, passwords)
    for login in LOGINS:
        say(f"login {login}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(environment: Mapping[str, str], say: Callable[[str], None]) -> int:
    """Do it as the environment says; returns the exit status."""
    try:
        dsn, folder = environment["HARKARA_MIGRATE_DSN"], Path(environment["HARKARA_PASSWORD_FILES"])
        passwords = {login: (folder / f"postgres-{login}.password").read_text().strip() for login in LOGINS}
        prepare(dsn, passwords, say)
    except KeyError as error:
        say(f"{error.args[0]} is not set")
        return 2
    except OSError as error:
        say(f"{error.filename}: {error.strerror}")
        return 1
    except (SchemaError, psycopg.Error) as error:
        say(str(error).strip().partition("\n")[0])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ, _say))
