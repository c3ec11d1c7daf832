"""A cluster in which nothing was ever migrated: roles belong to the cluster, so a database is not enough."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest
from psycopg import sql

from tests.support.postgres import Database, PostgresServer, running_postgres


@dataclass
class FreshCluster:
    """A server without our roles; what a test makes in it is removed after the test."""

    server: PostgresServer
    databases: list[Database] = field(default_factory=list)

    def create_database(self) -> Database:
        self.databases.append(self.server.create_database())
        return self.databases[-1]


@pytest.fixture(scope="session")
def second_postgres_server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def fresh_cluster(second_postgres_server: PostgresServer) -> Iterator[FreshCluster]:
    cluster = FreshCluster(second_postgres_server)
    yield cluster
    for database in cluster.databases:
        second_postgres_server.drop_database(database)
    with psycopg.connect(second_postgres_server.embedded.dsn, autocommit=True) as connection:
        roles = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%' AND rolname <> current_user"
        ).fetchall()
        if roles:
            names = sql.SQL(", ").join(sql.Identifier(role) for (role,) in roles)
            connection.execute(sql.SQL("DROP ROLE {}").format(names))
