"""A real Postgres for tests, and fresh databases in it.

The server is the one that `./harkara up` embeds, with its durability settings on; its folder lies in memory
where the machine offers that. A database is copied from a template that was migrated once.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from harkara_cli.embedded_postgres import EmbeddedPostgres
from harkara_schema.migrate import migrate
from harkara_schema.version import ROLES

_PREFIX = "harkara-test-postgres-"
_TEMPLATE = "migrated_template"
_LOGIN_PASSWORD = "only-for-tests"
_SETTINGS = {
    "max_connections": "200",
    # Small: many of these servers may run beside each other.
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
}
_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes what is used in it, private.


@dataclass(frozen=True, slots=True)
class Database:
    """One database of a test server.

    Attributes:
        server: Where it is.
        name: Its name.
    """

    server: "PostgresServer"
    name: str

    @property
    def dsn(self) -> str:
        """The superuser's libpq URL, who owns the database."""
        return self.server.embedded.dsn_of(self.name)

    def dsn_for(self, role: str) -> str:
        """The libpq URL of a login that is a member of a service's role, and of nothing else.

        Args:
            role: One of `ROLES`.
        """
        if role not in ROLES:
            message = f"{role} is none of {ROLES}"
            raise ValueError(message)
        return self.server.embedded.dsn_of(self.name, login_of(role), _LOGIN_PASSWORD)


class PostgresServer:
    """A test server: databases on demand, dropped when it ends.

    Args:
        embedded: The started server.
    """

    def __init__(self, embedded: EmbeddedPostgres) -> None:
        self.embedded = embedded
        self._numbers = count(1)
        self._has_template = False

    def create_database(self) -> Database:
        """A new, empty database: no migration has run."""
        return self._create("template1")

    def create_migrated_database(self) -> Database:
        """A new database as a migration leaves it; takes some 10 to 40 ms."""
        if not self._has_template:
            self._create_template()
            self._has_template = True
        return self._create(_TEMPLATE)

    def drop_database(self, database: Database) -> None:
        """Drops a database, whoever is still connected to it."""
        self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))

    def _create(self, template: str) -> Database:
        name = f"test_{next(self._numbers)}"
        self._run(
            # FILE_COPY writes no WAL for the copy: four times as fast where the folder lies in memory.
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return Database(self, name)

    def _create_template(self) -> None:
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
        migrate(self.embedded.dsn_of(_TEMPLATE))
        # Autovacuum would connect to it now and then, and a template that is connected to cannot be copied.
        self._run(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(_TEMPLATE)))
        for role in ROLES:
            self._run(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}").format(
                    sql.Identifier(login_of(role)), sql.Literal(_LOGIN_PASSWORD), sql.Identifier(role)
                )
            )

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.embedded.dsn, autocommit=True) as connection:
            connection.execute(statement)


def login_of(role: str) -> str:
    """The name of the test login that is a member of a service's role."""
    return f"{role}_login"


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server of its own, started from the main thread; its folder goes with it.

    For tests that stop or kill the server; all others share the one of the `postgres_server` fixture.
    """
    root = _memory_folder() or Path(tempfile.gettempdir())
    _remove_leftovers(root)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root))
    try:
        with EmbeddedPostgres(folder, settings=_SETTINGS) as embedded:
            yield PostgresServer(embedded)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(root: Path) -> None:
    """Removes the folders of killed test runs: their servers are gone, and what they hold is memory."""
    for folder in root.glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _memory_folder() -> Path | None:
    """A folder in memory with room for a few servers; None where there is none (then the disk serves)."""
    try:
        with tempfile.TemporaryFile(dir=_MEMORY):
            pass
        roomy = shutil.disk_usage(_MEMORY).free > 2 << 30
    except OSError:
        return None
    return _MEMORY if roomy else None
