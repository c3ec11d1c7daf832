"""Checks of the mesh's Postgres."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

from harkara_cli.doctor.findings import Finding, fail, ok, warn
from harkara_cli.doctor.mesh import clock
from harkara_schema.version import HEAD_REVISION, revision_of

LEAST_VERSION = 150_000
BUSY_SHARE = 0.8

_SECONDS = 5
_MIB = 1024**2
_LOOK = """
SELECT current_setting('server_version'), current_setting('server_version_num')::int,
    current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
    current_setting('synchronous_commit') <> 'off',
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    pg_database_size(current_database())
"""


class Facts(NamedTuple):
    """What a Postgres says of itself: in the order of the query."""

    version: str
    version_number: int
    fsync: bool
    full_page_writes: bool
    synchronous_commit: bool
    connections: int
    connected: int
    size: int


def database(dsn: str) -> Iterator[Finding]:
    """Whether the database is there, of this release, safe, and has connections left.

    Args:
        dsn: A libpq URL.
    """
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=_SECONDS) as connection:
            began = time.time()
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
            ours = (began + time.time()) / 2
            facts = Facts(*(connection.execute(_LOOK).fetchone() or ()))
            revision = revision_of(connection)
    except psycopg.Error as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        yield fail("database", f"cannot be reached: {text}", "read its log, in the terminal of ./harkara up")
        return
    yield from of_facts(facts)
    yield tables(revision)
    yield clock("Postgres", _first(row) - ours)


def of_facts(facts: Facts) -> Iterator[Finding]:
    """What is to be said of what a Postgres says."""
    if facts.version_number < LEAST_VERSION:
        yield fail("database", f"PostgreSQL {facts.version} is too old", "15 or later is needed")
    else:
        yield ok("database", f"PostgreSQL {facts.version}, {facts.size / _MIB:,.0f} MiB")
    unsafe = [
        name
        for name, is_on in (
            ("fsync", facts.fsync),
            ("full_page_writes", facts.full_page_writes),
            ("synchronous_commit", facts.synchronous_commit),
        )
        if not is_on
    ]
    if unsafe:
        yield fail(
            "durability",
            f"{' and '.join(unsafe)} off: events that were answered OK may be lost",
            "; ".join(f"ALTER SYSTEM SET {name} = on" for name in unsafe) + "; SELECT pg_reload_conf()",
        )
    else:
        yield ok("durability", "what is answered OK is on disk")
    found = f"{facts.connected} of {facts.connections} connections are taken"
    if facts.connected >= facts.connections * BUSY_SHARE:
        yield warn("connections", found, "raise max_connections, or lower the services' POOL_SIZE")
    else:
        yield ok("connections", found)


def tables(revision: str | None) -> Finding:
    """Whether the tables are those of this release.

    Args:
        revision: Of the database; None where nothing was ever migrated.
    """
    if revision is None or revision < HEAD_REVISION:
        said = f"at revision {revision}" if revision else "not there"
        return fail("tables", f"{said}; this release needs {HEAD_REVISION}", "./harkara migrate")
    if revision > HEAD_REVISION:
        found = f"at revision {revision}, of a later release than this ({HEAD_REVISION})"
        return warn("tables", found, "bring this checkout up to date")
    return ok("tables", f"at revision {revision}, this release's")


def _first(row: tuple[Any, ...] | None) -> float:
    assert row is not None  # noqa: S101 - the statement has one row.
    return float(row[0])
