"""The `database` fixture itself: every other integration test stands on it."""

import psycopg
import pytest

from harkara_schema.version import ROLES
from tests.support.postgres import Database, PostgresServer, login_of


@pytest.mark.parametrize("round_", [1, 2])
def test_each_test_gets_a_database_without_another_tests_rows(database: Database, round_: int) -> None:
    with psycopg.connect(database.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM user_stream").fetchone() == (0,)
        connection.execute("INSERT INTO user_stream (user_id, last_seq) VALUES (%s, 1)", [f"user_{round_}"])


@pytest.mark.parametrize("role", ROLES)
def test_a_services_login_is_a_member_of_its_role_alone(database: Database, role: str) -> None:
    with psycopg.connect(database.dsn_for(role)) as connection:
        assert connection.execute("SELECT session_user").fetchone() == (login_of(role),)
        roles = connection.execute(
            "SELECT rolname FROM pg_roles WHERE pg_has_role(oid, 'MEMBER') AND rolname <> session_user"
        ).fetchall()
    assert roles == [(role,)]


def test_a_database_in_use_is_dropped_all_the_same(postgres_server: PostgresServer) -> None:
    database = postgres_server.create_migrated_database()
    connection = psycopg.connect(database.dsn)
    postgres_server.drop_database(database)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_durability_is_on(database: Database) -> None:
    with psycopg.connect(database.dsn) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute("SELECT current_setting(%s)", [setting]).fetchone() == ("on",)
