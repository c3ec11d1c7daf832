"""What every test may ask for: a real Postgres and databases in it."""

import os
from collections.abc import Iterator

# Before anything imports gRPC: its fork handlers may bring down a child between fork and exec, and tests
# start processes while gRPC runs.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres import Database, PostgresServer, running_postgres

# Only meant where they are named: `./harkara test --faults`, which is long, and `./harkara test --browser`,
# which needs a Chromium.
collect_ignore = ["faults", "browser"]

# A test's time says how busy the machine is, and nothing of what it tests: Hypothesis judges by neither the
# time of an example nor that of making one (the first text drawn in a new checkout reads Unicode's tables).
settings.register_profile("harkara", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("harkara")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A Postgres server for the run (one for each xdist worker); it ends with the run, however that ends."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    """A fresh, migrated database of the test's own."""
    database = postgres_server.create_migrated_database()
    yield database
    postgres_server.drop_database(database)


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[Database]:
    """A fresh database in which nothing was migrated."""
    database = postgres_server.create_database()
    yield database
    postgres_server.drop_database(database)
