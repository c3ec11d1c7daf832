"""The tables as a migration leaves them: what they are, what they take, and who may do what with them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql
from sqlalchemy import Engine, create_engine
from sqlmodel import Session, select

from harkara_schema.partitions import (
    Week,
    create_partition_sql,
    event_id_floor,
    week_of,
    week_of_partition,
)
from harkara_schema.tables import CommitBatch, EventLog, UserChangeHead, metadata
from harkara_schema.version import ROLES, VERSION_TABLE
from tests.support.postgres import Database, PostgresServer
from tests.support.rows import insert_event

EVENT_SERVICE, AUTH_SERVICE, QUERY_SERVICE = ROLES

# Everything that Postgres knows of the tables and that is ours to decide; the models know no partitions.
CATALOGUE = """
WITH ours AS (
    SELECT oid, relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        AND relname <> 'schema_version'
)
SELECT relname, 'column', attname,
    concat_ws(' ', format_type(atttypid, atttypmod), collname, attnotnull, pg_get_expr(adbin, adrelid),
        attidentity, attgenerated)
FROM ours JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0
    LEFT JOIN pg_collation ON pg_collation.oid = attcollation
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL
SELECT relname, 'constraint', conname, pg_get_constraintdef(c.oid)
FROM ours JOIN pg_constraint c ON conrelid = ours.oid
UNION ALL
SELECT relname, 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM ours JOIN pg_index ON indrelid = ours.oid
UNION ALL
SELECT relname, 'partitioned', '', pg_get_partkeydef(oid) FROM ours
ORDER BY 1, 2, 3
"""


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database.dsn))
    yield engine
    engine.dispose()


# The models and the migrations are the same


def test_the_models_and_a_migrated_database_are_the_same(engine: Engine) -> None:
    def include(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or name is None or week_of_partition(name) is None

    options = {
        "compare_type": True,
        "compare_server_default": True,
        "include_name": include,
        "version_table": VERSION_TABLE,
    }
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_the_models_and_the_migrations_make_the_same_catalogue(
    database: Database, empty_database: Database
) -> None:
    """As above, with what Alembic does not compare: collations, checks, index conditions, partitioning."""
    models = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(empty_database.dsn))
    metadata.create_all(models)
    models.dispose()
    with psycopg.connect(database.dsn) as migrated, psycopg.connect(empty_database.dsn) as made:
        assert migrated.execute(CATALOGUE).fetchall() == made.execute(CATALOGUE).fetchall()


def test_every_text_that_names_something_sorts_as_bytes(database: Database) -> None:
    with psycopg.connect(database.dsn) as connection:
        others = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND table_name = ANY(%s) AND data_type IN ('text', 'ARRAY') AND udt_name <> '_int8'"
            " AND collation_name IS DISTINCT FROM 'C' ORDER BY 1, 2",
            [list(metadata.tables)],
        ).fetchall()
    assert others == [("device_cursor", "epoch"), ("event_log", "data"), ("log_epoch", "epoch")]


# Rows


def present_week(connection: "psycopg.Connection[tuple[Any, ...]]") -> Week:
    row = connection.execute("SELECT now()").fetchone()
    assert row is not None
    return week_of(row[0])


def partition_of(connection: "psycopg.Connection[tuple[Any, ...]]", event_id: str) -> str:
    row = connection.execute("SELECT tableoid::regclass FROM event_log WHERE event_id = %s", [event_id])
    found = row.fetchone()
    assert found is not None
    return str(found[0])


def test_a_row_on_each_side_of_a_weeks_bound_lands_in_its_own_partition(database: Database) -> None:
    with psycopg.connect(database.dsn_for(EVENT_SERVICE)) as connection:
        week = present_week(connection)
        last = event_id_floor(week.end_ms - 1)[:14] + "Z" * 16
        first = week.upper_id
        insert_event(connection, last, seq=1)
        insert_event(connection, first, seq=2)
        assert partition_of(connection, last) == week.partition
        assert partition_of(connection, first) == week.next().partition


def test_an_id_is_stored_once_in_the_whole_log(database: Database) -> None:
    with psycopg.connect(database.dsn_for(EVENT_SERVICE)) as connection:
        event_id = present_week(connection).lower_id
        insert_event(connection, event_id, user_id="user_1")
        with pytest.raises(psycopg.errors.UniqueViolation):
            insert_event(connection, event_id, user_id="user_2")


def test_an_id_of_a_week_without_a_partition_is_refused(database: Database) -> None:
    with (
        psycopg.connect(database.dsn_for(EVENT_SERVICE)) as connection,
        pytest.raises(psycopg.errors.CheckViolation, match="no partition of relation"),
    ):
        insert_event(connection, event_id_floor(0))


def test_a_look_up_by_id_touches_one_partition(database: Database) -> None:
    with psycopg.connect(database.dsn) as connection:
        week = present_week(connection)
        plan = connection.execute(
            sql.SQL("EXPLAIN SELECT * FROM event_log WHERE event_id = {}").format(sql.Literal(week.lower_id))
        ).fetchall()
    touched = {name for (line,) in plan for name in line.split() if name.startswith("event_log_2")}
    assert {name for name in touched if week_of_partition(name)} == {week.partition}


def test_what_is_stored_comes_back_through_the_models(database: Database, engine: Engine) -> None:
    data = '{"b": 1.0,  "a": "\\u0939\t☃"}'
    when = datetime(2026, 1, 27, 10, 30, 0, 123_456, tzinfo=UTC)
    with psycopg.connect(database.dsn_for(EVENT_SERVICE)) as connection:
        event_id = present_week(connection).lower_id
        insert_event(connection, event_id, data=data, timestamp=when, collapse_key="rider_1")
        connection.execute(
            "INSERT INTO commit_batch (writer, batch_no, users, last_seqs) VALUES (0, 1, %s, %s)",
            [["user_1", "user_2"], [7, 2**40]],
        )
    with Session(engine) as session:
        event = session.exec(select(EventLog)).one()
        assert (event.event_id, event.user_id, event.seq) == (event_id, "user_1", 1)
        assert (event.data, event.timestamp, event.collapse_key) == (data, when, "rider_1")
        batch = session.exec(select(CommitBatch)).one()
        assert (batch.users, batch.last_seqs) == (["user_1", "user_2"], [7, 2**40])
        assert session.exec(select(UserChangeHead.last_version)).one() == 0


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO log_epoch (id, epoch) VALUES (2, 'x')",
        "INSERT INTO user_change_head (id, last_version) VALUES (2, 0)",
        "INSERT INTO app_user (user_id, role, status) VALUES ('u', 'customer', 'asleep')",
        "INSERT INTO user_change (version, user_id, reason) VALUES (1, 'u', 'renamed')",
    ],
)
def test_a_row_that_means_nothing_is_refused(database: Database, statement: str) -> None:
    with psycopg.connect(database.dsn) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(sql.SQL(statement))


# Who may do what

RIGHTS = {
    EVENT_SERVICE: {
        "event_log": "SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER",  # Its own.
        "user_stream": "SELECT INSERT UPDATE",
        "event_count": "SELECT INSERT UPDATE",
        "commit_batch": "SELECT INSERT UPDATE DELETE",
        "device_cursor": "SELECT INSERT UPDATE DELETE",
        "log_epoch": "SELECT",
        "schema_version": "SELECT",
    },
    AUTH_SERVICE: {
        "app_user": "SELECT INSERT UPDATE DELETE",
        "user_change": "SELECT INSERT",
        "user_change_head": "SELECT UPDATE",
        "schema_version": "SELECT",
    },
    QUERY_SERVICE: {
        "event_log": "SELECT",
        "user_stream": "SELECT",
        "event_count": "SELECT",
        "log_epoch": "SELECT",
        "device_cursor": "SELECT",
        "schema_version": "SELECT",
    },
}


@pytest.mark.parametrize("role", ROLES)
def test_a_service_has_the_rights_it_needs_and_no_other(database: Database, role: str) -> None:
    with psycopg.connect(database.dsn_for(role)) as connection:
        found = connection.execute(
            "SELECT relname, string_agg(kind, ' ' ORDER BY nr) FROM pg_class,"
            " unnest(array['SELECT','INSERT','UPDATE','DELETE','TRUNCATE','REFERENCES','TRIGGER'])"
            " WITH ORDINALITY AS kinds (kind, nr)"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
            " AND has_table_privilege(pg_class.oid, kind) GROUP BY relname"
        ).fetchall()
        assert dict(found) == RIGHTS[role]
        makes_tables = connection.execute("SELECT has_schema_privilege('public', 'CREATE')").fetchone()
        assert makes_tables == (role == EVENT_SERVICE,)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        (QUERY_SERVICE, "INSERT INTO user_stream (user_id, last_seq) VALUES ('u', 1)"),
        (QUERY_SERVICE, "DELETE FROM event_log"),
        (QUERY_SERVICE, "SELECT * FROM app_user"),
        (QUERY_SERVICE, "CREATE TABLE mine ()"),
        (AUTH_SERVICE, "SELECT * FROM event_log"),
        (AUTH_SERVICE, "SELECT * FROM user_stream"),
        (AUTH_SERVICE, "DELETE FROM user_change"),
        (AUTH_SERVICE, "CREATE TABLE mine ()"),
        (EVENT_SERVICE, "SELECT * FROM app_user"),
        (EVENT_SERVICE, "UPDATE log_epoch SET epoch = 'mine'"),
        (EVENT_SERVICE, "UPDATE schema_version SET version_num = '9999'"),
    ],
)
def test_a_service_is_refused_what_is_not_its_own(database: Database, role: str, statement: str) -> None:
    with (
        psycopg.connect(database.dsn_for(role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(sql.SQL(statement))


def test_a_later_partition_is_read_by_query_service_and_dropped_by_any_event_service(
    database: Database, postgres_server: PostgresServer
) -> None:
    week = Week(2031, 7)
    with psycopg.connect(database.dsn_for(EVENT_SERVICE)) as connection:
        for statement in create_partition_sql(week):
            connection.execute(sql.SQL(statement))
        insert_event(connection, week.lower_id)
        assert partition_of(connection, week.lower_id) == week.partition
    with psycopg.connect(database.dsn_for(QUERY_SERVICE)) as connection:
        assert connection.execute("SELECT event_id FROM event_log").fetchall() == [(week.lower_id,)]

    with psycopg.connect(postgres_server.embedded.dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE other_replica LOGIN PASSWORD 'secret' IN ROLE harkara_event_service")
    try:
        dsn = postgres_server.embedded.dsn_of(database.name, "other_replica", "secret")
        with psycopg.connect(dsn, autocommit=True) as connection:
            partition = sql.Identifier(week.partition)
            connection.execute(
                sql.SQL("ALTER TABLE event_log DETACH PARTITION {} CONCURRENTLY").format(partition)
            )
            connection.execute(sql.SQL("DROP TABLE {}").format(partition))
            assert connection.execute("SELECT count(*) FROM event_log").fetchone() == (0,)
    finally:
        with psycopg.connect(postgres_server.embedded.dsn, autocommit=True) as connection:
            connection.execute("DROP ROLE other_replica")


def test_making_a_partition_does_not_stop_writers_or_readers(database: Database) -> None:
    week = Week(2031, 7)
    with (
        psycopg.connect(database.dsn_for(EVENT_SERVICE)) as maker,
        psycopg.connect(database.dsn_for(EVENT_SERVICE), options="-c lock_timeout=100") as writer,
    ):
        for statement in create_partition_sql(week):
            maker.execute(sql.SQL(statement))
        # The maker's transaction is open, and holds what locks it took.
        insert_event(writer, present_week(writer).lower_id)
        assert writer.execute("SELECT count(*) FROM event_log").fetchone() == (1,)
        writer.commit()
