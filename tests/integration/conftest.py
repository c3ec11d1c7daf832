"""One event-service on Postgres for all tests of a file, each with a user of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.event_service import Running, running_event_service
from tests.support.postgres import Database, PostgresServer

_numbers = count(1)


@pytest.fixture(scope="module")
def module_database(postgres_server: PostgresServer) -> Iterator[Database]:
    """A migrated database for the file."""
    database = postgres_server.create_migrated_database()
    yield database
    postgres_server.drop_database(database)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """A whole event-service on Postgres, for the file."""
    folder: Path = tmp_path_factory.mktemp("event-service")
    dsn = module_database.dsn_for("harkara_event_service")
    async with running_event_service(dsn, folder) as running:
        yield running


@pytest.fixture
def user() -> str:
    """A user of the test's own."""
    return f"user_{next(_numbers)}"
