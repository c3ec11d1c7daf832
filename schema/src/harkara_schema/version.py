"""Which revision of the tables this release needs, and the check that a service makes when it starts.

Apart from `migrate`, so that a service does not load Alembic to ask one question.
"""

from typing import Any

import psycopg
from psycopg import sql

from harkara_schema.connections import connect, limited
from harkara_schema.errors import SchemaVersionError

HEAD_REVISION = "0003"
"""The newest revision in `migrations/versions`. Revisions are four digits, and later ones are greater."""

VERSION_TABLE = "schema_version"
"""Where Alembic keeps the database's revision (its default name says too little beside our own tables)."""

ROLES = ("harkara_event_service", "harkara_auth_service", "harkara_query_service")
"""The Postgres group roles, one for each service that stores or reads; login users are members of one."""

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 5.0
_EXISTS = "SELECT to_regclass(%s) IS NOT NULL"
_READ = sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(VERSION_TABLE))


def current_revision(dsn: str) -> str | None:
    """The database's revision; None when nothing was ever migrated.

    Args:
        dsn: A libpq URL, of any of the service roles or of the database's owner.

    Raises:
        psycopg.Error: The database cannot be reached or read.
    """
    with psycopg.connect(dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS) as connection:
        return revision_of(connection)


def revision_of(connection: "psycopg.Connection[tuple[Any, ...]]") -> str | None:
    """As `current_revision`, on an open connection, in its transaction where it is in one.

    Raises:
        psycopg.Error: It cannot be read.
    """
    exists = connection.execute(_EXISTS, [VERSION_TABLE]).fetchone()
    # Two statements: one that fails on an empty database would put an error into the server's log.
    row = connection.execute(_READ).fetchone() if exists and exists[0] else None
    return str(row[0]) if row else None


def check_revision(found: str | None) -> None:
    """Refuses a database that is older than this release.

    A newer one passes: migrations only add, so that they can run while the former release still serves, and
    one of its processes that starts again in that hour must find its way.

    Raises:
        SchemaVersionError: The revision is None or older than `HEAD_REVISION`.
    """
    if found is None or found < HEAD_REVISION:
        raise SchemaVersionError(found, HEAD_REVISION)


def require_current(dsn: str) -> None:
    """What a service calls at its start, before it opens its pool.

    It blocks for one short connection (5 s when there is no answer): call it before the event loop serves.

    Args:
        dsn: The service's own libpq URL.

    Raises:
        SchemaVersionError: The database is older than this release; the text is the line to show.
        psycopg.Error: The database cannot be reached or read.
    """
    check_revision(current_revision(dsn))


async def require_current_async(dsn: str) -> None:
    """As `require_current`, from inside an event loop. Cancelling it closes the connection.

    Args:
        dsn: The service's own libpq URL.

    Raises:
        SchemaVersionError: The database is older than this release; the text is the line to show.
        psycopg.Error: The database cannot be reached or read, or does not answer within 5 s.
    """
    async with await connect(dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS) as connection:
        found = await limited(connection, _revision_of(connection), _ANSWER_SECONDS)
    check_revision(found)


async def _revision_of(connection: "psycopg.AsyncConnection[tuple[Any, ...]]") -> str | None:
    exists = await (await connection.execute(_EXISTS, [VERSION_TABLE])).fetchone()
    row = await (await connection.execute(_READ)).fetchone() if exists and exists[0] else None
    return str(row[0]) if row else None
