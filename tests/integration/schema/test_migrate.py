"""Migrations on a real Postgres."""

import logging
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql

from harkara_schema import migrate as migrate_module
from harkara_schema.errors import MigrationError, SchemaVersionError
from harkara_schema.migrate import MigrationResult, migrate, new_epoch
from harkara_schema.partitions import week_of_partition, weeks_needed
from harkara_schema.version import (
    HEAD_REVISION,
    ROLES,
    VERSION_TABLE,
    current_revision,
    require_current,
    require_current_async,
)
from tests.integration.schema.conftest import FreshCluster
from tests.support.postgres import Database, PostgresServer
from tests.support.waiting import wait_until

TABLES = {
    "app_user",
    "commit_batch",
    "device_cursor",
    "event_count",
    "event_log",
    "log_epoch",
    "user_change",
    "user_change_head",
    "user_stream",
    VERSION_TABLE,
}

DUMP = """
SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod)
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = 'public'::regnamespace AND attnum > 0
UNION ALL
SELECT 'rights', relname, relowner::regrole::text, relacl::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'epoch', epoch, '', '' FROM log_epoch
UNION ALL SELECT 'head', last_version::text, '', '' FROM user_change_head
ORDER BY 1, 2, 3
"""


def rows_of(dsn: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query, values).fetchall()


def tables_of(dsn: str) -> set[str]:
    return {
        name
        for (name,) in rows_of(
            dsn,
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition",
        )
    }


def migrator_waits(dsn: str, wait_event: str) -> bool:
    query = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'harkara migrate' AND wait_event = %s"
    )
    return rows_of(dsn, query, wait_event) != []


def test_an_empty_database_becomes_ready_for_events(empty_database: Database) -> None:
    steps: list[str] = []
    result = migrate(empty_database.dsn, on_step=steps.append)
    assert result == MigrationResult(None, HEAD_REVISION)
    assert result.changed
    assert [step.split()[0] for step in steps] == ["0001", "0002", "0003"]
    assert tables_of(empty_database.dsn) == TABLES
    assert rows_of(empty_database.dsn, "SELECT * FROM user_change_head") == [(1, 0)]
    [(row_id, epoch)] = rows_of(empty_database.dsn, "SELECT id, epoch FROM log_epoch")
    assert row_id == 1
    assert len(epoch) == 16


def test_partitions_cover_the_weeks_around_now(empty_database: Database) -> None:
    [(before,)] = rows_of(empty_database.dsn, "SELECT now()")
    migrate(empty_database.dsn)
    [(after,)] = rows_of(empty_database.dsn, "SELECT now()")
    found = [
        (week_of_partition(name), bound)
        for name, bound in rows_of(
            empty_database.dsn,
            "SELECT relname, pg_get_expr(relpartbound, pg_class.oid) FROM pg_class JOIN pg_inherits"
            " ON inhrelid = pg_class.oid WHERE inhparent = 'event_log'::regclass ORDER BY relname",
        )
    ]
    # A week may end between the two questions.
    assert [week for week, _ in found] in (weeks_needed(before), weeks_needed(after))
    for week, bound in found:
        assert week is not None
        assert bound == f"FOR VALUES FROM ('{week.lower_id}') TO ('{week.upper_id}')"


def test_a_second_migration_changes_nothing(empty_database: Database) -> None:
    migrate(empty_database.dsn)
    before = rows_of(empty_database.dsn, DUMP)
    steps: list[str] = []
    assert migrate(empty_database.dsn, on_step=steps.append) == MigrationResult(HEAD_REVISION, HEAD_REVISION)
    assert steps == []
    assert rows_of(empty_database.dsn, DUMP) == before


def test_a_database_of_a_newer_release_is_left_alone(database: Database) -> None:
    with psycopg.connect(database.dsn) as connection:
        connection.execute("UPDATE schema_version SET version_num = '9999'")
    assert migrate(database.dsn) == MigrationResult("9999", "9999")


def test_two_migrators_at_once_do_the_work_once(empty_database: Database) -> None:
    program = (
        "import sys; from harkara_schema.migrate import migrate; print(migrate(sys.argv[1]).from_revision)"
    )
    children = [
        subprocess.Popen(  # noqa: S603 - our own program.
            [sys.executable, "-c", program, empty_database.dsn], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    answers = sorted(child.communicate(timeout=50)[0].strip() for child in children)
    assert answers == ["0003", "None"]


def test_a_migrator_waits_for_the_one_before_it(empty_database: Database) -> None:
    with ThreadPoolExecutor() as threads, psycopg.connect(empty_database.dsn, autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(%s)", [migrate_module._ADVISORY_LOCK])
        second = threads.submit(migrate, empty_database.dsn)
        wait_until(lambda: migrator_waits(empty_database.dsn, "advisory"))
        assert tables_of(empty_database.dsn) == set()
        first.execute("SELECT pg_advisory_unlock(%s)", [migrate_module._ADVISORY_LOCK])
        assert second.result() == MigrationResult(None, HEAD_REVISION)


def test_a_migrator_does_not_wait_for_ever(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate_module, "_WAIT_FOR_MIGRATOR", "20ms")
    with psycopg.connect(empty_database.dsn, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [migrate_module._ADVISORY_LOCK])
        with pytest.raises(MigrationError, match="another migration has been running for 20ms"):
            migrate(empty_database.dsn)


@pytest.mark.parametrize("ends_with", ["COMMIT", "ROLLBACK"])
def test_a_role_that_another_database_is_making_is_made_once(
    fresh_cluster: FreshCluster, ends_with: str
) -> None:
    ours, other = fresh_cluster.create_database(), fresh_cluster.create_database()
    with ThreadPoolExecutor() as threads, psycopg.connect(other.dsn, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE ROLE harkara_event_service NOLOGIN")
        migration: Future[MigrationResult] = threads.submit(migrate, ours.dsn)
        wait_until(lambda: migrator_waits(ours.dsn, "transactionid"))
        connection.execute(sql.SQL(ends_with))
        assert migration.result() == MigrationResult(None, HEAD_REVISION)
    roles = rows_of(ours.dsn, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'harkara%%' ORDER BY 1")
    assert roles == [(role,) for role in sorted(ROLES)]


def test_a_migration_gives_up_on_a_lock_and_leaves_nothing(
    fresh_cluster: FreshCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate_module, "_LOCK_TIMEOUT", "20ms")
    ours, other = fresh_cluster.create_database(), fresh_cluster.create_database()
    with psycopg.connect(other.dsn) as connection:
        connection.execute("CREATE ROLE harkara_event_service NOLOGIN")
        with pytest.raises(MigrationError, match="lock timeout"):
            migrate(ours.dsn)
        connection.rollback()
    assert tables_of(ours.dsn) <= {VERSION_TABLE}
    assert current_revision(ours.dsn) is None
    assert migrate(ours.dsn) == MigrationResult(None, HEAD_REVISION)


def test_a_failed_migration_is_told_in_one_line_and_leaves_nothing(empty_database: Database) -> None:
    with psycopg.connect(empty_database.dsn) as connection:
        connection.execute("CREATE TABLE user_change ()")
    with pytest.raises(MigrationError) as failure:
        migrate(empty_database.dsn)
    assert str(failure.value) == 'the migration failed: relation "user_change" already exists'
    assert tables_of(empty_database.dsn) <= {"user_change", VERSION_TABLE}
    assert current_revision(empty_database.dsn) is None


def test_an_owner_who_is_no_superuser_migrates_a_new_cluster(fresh_cluster: FreshCluster) -> None:
    database = fresh_cluster.create_database()
    with psycopg.connect(fresh_cluster.server.embedded.dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'secret'")
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO owner").format(sql.Identifier(database.name)))
    dsn = fresh_cluster.server.embedded.dsn_of(database.name, "owner", "secret")
    assert migrate(dsn) == MigrationResult(None, HEAD_REVISION)
    query = "SELECT relname, relowner::regrole::text FROM pg_class WHERE relname = ANY(%s)"
    owners = dict(rows_of(dsn, query, list(TABLES)))
    assert owners == dict.fromkeys(TABLES, "owner") | {"event_log": "harkara_event_service"}


def test_a_database_that_is_not_utf8_is_refused(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.embedded.dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' STRATEGY file_copy"
        )
        try:
            with pytest.raises(MigrationError, match="encoding is LATIN1: UTF8 is needed"):
                migrate(postgres_server.embedded.dsn_of("latin"))
        finally:
            connection.execute("DROP DATABASE latin")


def test_an_older_postgres_is_refused(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    # There is no older one here to ask: let the newest be too old.
    monkeypatch.setattr(migrate_module, "OLDEST_POSTGRES", 99)
    with pytest.raises(MigrationError, match=r"PostgreSQL \d+ is too old: 99 or newer is needed"):
        migrate(empty_database.dsn)


def test_a_migration_prints_nothing_and_leaves_logging_alone(
    empty_database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    def state() -> tuple[object, ...]:
        root, alembic = logging.getLogger(), logging.getLogger("alembic")
        return root.level, list(root.handlers), alembic.level, list(alembic.handlers), alembic.disabled

    before = state()
    migrate(empty_database.dsn)
    assert state() == before
    assert capfd.readouterr() == ("", "")


def test_migrations_of_two_databases_in_one_process_do_not_mix(postgres_server: PostgresServer) -> None:
    databases = [postgres_server.create_database() for _ in range(4)]
    together = threading.Barrier(len(databases))

    def migrate_together(database: Database) -> MigrationResult:
        together.wait(20)
        return migrate(database.dsn)

    with ThreadPoolExecutor(len(databases)) as threads:
        results = list(threads.map(migrate_together, databases))
    assert results == [MigrationResult(None, HEAD_REVISION)] * len(databases)
    for database in databases:
        assert tables_of(database.dsn) == TABLES
        postgres_server.drop_database(database)


# The epoch


def test_a_new_epoch_replaces_the_one_row(database: Database) -> None:
    [(before, began)] = rows_of(database.dsn, "SELECT epoch, created_at FROM log_epoch")
    first, epoch = new_epoch(database.dsn), new_epoch(database.dsn)
    assert len({before, first, epoch}) == 3
    [(stored, renewed)] = rows_of(database.dsn, "SELECT epoch, created_at FROM log_epoch")
    assert stored == epoch
    assert renewed > began


def test_two_databases_have_different_epochs(fresh_cluster: FreshCluster) -> None:
    epochs = set()
    for database in (fresh_cluster.create_database(), fresh_cluster.create_database()):
        migrate(database.dsn)
        epochs.update(rows_of(database.dsn, "SELECT epoch FROM log_epoch"))
    assert len(epochs) == 2


def test_an_empty_database_gets_no_epoch(empty_database: Database) -> None:
    with pytest.raises(SchemaVersionError):
        new_epoch(empty_database.dsn)


# A service's check at its start


@pytest.mark.parametrize("role", ROLES)
async def test_each_service_may_ask_for_the_revision(database: Database, role: str) -> None:
    dsn = database.dsn_for(role)
    assert current_revision(dsn) == HEAD_REVISION
    require_current(dsn)
    await require_current_async(dsn)


async def test_a_service_does_not_start_on_an_empty_database(empty_database: Database) -> None:
    assert current_revision(empty_database.dsn) is None
    with pytest.raises(SchemaVersionError, match="no tables yet"):
        require_current(empty_database.dsn)
    with pytest.raises(SchemaVersionError, match="no tables yet"):
        await require_current_async(empty_database.dsn)


async def test_a_service_does_not_start_on_an_older_database(database: Database) -> None:
    with psycopg.connect(database.dsn) as connection:
        connection.execute("UPDATE schema_version SET version_num = '0000'")
    with pytest.raises(SchemaVersionError, match="at revision 0000"):
        require_current(database.dsn)
    with pytest.raises(SchemaVersionError, match="at revision 0000"):
        await require_current_async(database.dsn)
