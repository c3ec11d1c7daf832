"""Brings a database to the revision that this release needs; what `./harkara migrate` and `up` call.

Rules of a migration: it only adds (the release that is still running works beside it), it is one transaction,
it waits for a lock for seconds at most, and two migrators wait for each other.

What does not belong here: which DSN, and what is shown to whom.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationInfo
from alembic.script import Script
from alembic.util import CommandError
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from harkara_schema.errors import MigrationError, SchemaError, SchemaVersionError
from harkara_schema.version import (
    HEAD_REVISION,
    check_revision,
    current_revision,
    require_current,
    require_current_async,
    revision_of,
)

__all__ = [
    "HEAD_REVISION",
    "MigrationError",
    "MigrationResult",
    "SchemaError",
    "SchemaVersionError",
    "check_revision",
    "current_revision",
    "migrate",
    "new_epoch",
    "require_current",
    "require_current_async",
]

OLDEST_POSTGRES = 15
_CONNECT_SECONDS = 10
# Whoever migrates holds this advisory lock ("harkara" as a number); another waits for it a minute at most.
_ADVISORY_LOCK = int.from_bytes(b"harkara")
_WAIT_FOR_MIGRATOR = "60s"
# A statement that waits for a table's lock makes everybody queue up behind it: better to give up soon.
_LOCK_TIMEOUT = "5s"
_STATEMENT_TIMEOUT = "60s"
# Alembic passes its context to the migrations through module globals: one at a time in a process.
_alembic = threading.Lock()


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """What `migrate` found and left.

    Attributes:
        from_revision: The revision before; None when the database was empty.
        to_revision: The revision now; equal to `from_revision` when there was nothing to do.
    """

    from_revision: str | None
    to_revision: str

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return self.from_revision != self.to_revision


def migrate(dsn: str, *, on_step: Callable[[str], None] | None = None) -> MigrationResult:
    """Brings a database to `HEAD_REVISION`; does nothing to one that is there, or beyond.

    Args:
        dsn: A libpq URL of the database's owner (or a superuser). The first migration also creates roles
            where they are missing: that asks for CREATEROLE.
        on_step: Called with a line such as `0001 The first tables, …` as each migration is about to commit.

    Raises:
        MigrationError: Another migrator did not end within a minute, a lock was not to be had, Postgres is
            older than 15, the database is not UTF-8, or a statement failed.
        psycopg.OperationalError: The database cannot be reached, or refuses the login.
    """
    with _session(dsn) as session:
        before = revision_of(session)
        if before is not None and before >= HEAD_REVISION:
            return MigrationResult(before, before)
        _upgrade(session, on_step or (lambda _: None))
        return MigrationResult(before, HEAD_REVISION)


def new_epoch(dsn: str) -> str:
    """Begins a new life of the log: no client resumes across it.

    For a database that was restored, or promoted with the chance of lost commits: its sequence numbers may
    name other events than the ones that clients have seen.

    Args:
        dsn: A libpq URL of the database's owner (or a superuser).

    Returns:
        The new epoch.

    Raises:
        SchemaVersionError: The database is older than this release.
        psycopg.Error: The database cannot be reached or written.
    """
    require_current(dsn)
    epoch = secrets.token_urlsafe(12)
    with psycopg.connect(dsn, connect_timeout=_CONNECT_SECONDS) as connection:
        connection.execute("UPDATE log_epoch SET epoch = %s, created_at = now()", [epoch])
    return epoch


@contextmanager
def _session(dsn: str) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    """A connection that is the database's only migrator; the lock goes with the connection."""
    with psycopg.connect(
        dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name="harkara migrate"
    ) as connection:
        found = connection.info.server_version
        if found < OLDEST_POSTGRES * 10_000:
            message = f"PostgreSQL {found // 10_000} is too old: {OLDEST_POSTGRES} or newer is needed"
            raise MigrationError(message)
        (encoding,) = connection.execute("SHOW server_encoding").fetchone() or ("",)
        if encoding != "UTF8":
            message = f"the database's encoding is {encoding}: UTF8 is needed"
            raise MigrationError(message)
        try:
            connection.execute(f"SET lock_timeout = '{_WAIT_FOR_MIGRATOR}'; SET statement_timeout = 0")
            connection.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
        except psycopg.errors.LockNotAvailable:
            message = f"another migration has been running for {_WAIT_FOR_MIGRATOR}"
            raise MigrationError(message) from None
        connection.execute(
            f"SET lock_timeout = '{_LOCK_TIMEOUT}'; SET statement_timeout = '{_STATEMENT_TIMEOUT}'"
        )
        connection.autocommit = False
        yield connection


def _upgrade(session: "psycopg.Connection[tuple[Any, ...]]", on_step: Callable[[str], None]) -> None:
    def on_version_apply(*, step: MigrationInfo, **_: object) -> None:
        script = step.up_revision
        if isinstance(script, Script):
            on_step(f"{script.revision} {script.doc}")

    # Alembic gets the session that holds the lock, which also spares us to translate the URL for SQLAlchemy.
    engine = create_engine("postgresql+psycopg://", creator=lambda: session, poolclass=StaticPool)
    config = Config()
    config.set_main_option("script_location", "harkara_schema:migrations")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        config.attributes["on_version_apply"] = on_version_apply
        try:
            with _alembic:
                command.upgrade(config, HEAD_REVISION)
        except (DBAPIError, CommandError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            reason, _, _ = str(cause).partition("\n")
            message = f"the migration failed: {reason}"
            raise MigrationError(message) from error
