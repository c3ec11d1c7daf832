"""A query-service on a database of the test's own, and a pen to write rows into that."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from harkara_schema.partitions import event_id_floor, to_ms
from tests.support.postgres import Database, PostgresServer
from tests.support.query_peers import QueryMesh, running_query_service
from tests.support.rows import insert_event


class LogPen:
    """Writes rows as the event-service would have.

    Attributes:
        connection: The owner's.
    """

    def __init__(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        self.connection = connection
        self._numbers = count()
        self._seqs: dict[str, Iterator[int]] = {}

    def event(self, user_id: str = "user_1", **fields: Any) -> str:
        """Store the user's next event; return its id. Accepted now, unless `created_at` is given."""
        created_at = fields.setdefault("created_at", datetime.now(UTC))
        fields.setdefault("seq", next(self._seqs.setdefault(user_id, count(1))))
        # 19 characters stay of a moment's smallest id; the last 7 tell the test's events apart.
        event_id = event_id_floor(to_ms(created_at))[:-7] + f"{next(self._numbers):07d}"
        insert_event(self.connection, event_id, user_id=user_id, **fields)
        return event_id

    def counts(self, day: str, *rows: tuple[int, str, str, str, int]) -> None:
        """Store rollup rows of a day: writer, type, source, level, events."""
        for row in rows:
            self.connection.execute(
                "INSERT INTO event_count (day, writer, event_type, source, event_level, events)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                [day, *row],
            )

    def device(self, user_id: str, device_id: str, acked_seq: int, *, epoch: str | None = None) -> None:
        """Store how far a device acknowledged, in this life of the log unless another is given."""
        self.connection.execute(
            "INSERT INTO device_cursor (user_id, device_id, epoch, acked_seq, updated_at)"
            " SELECT %s, %s, coalesce(%s, epoch), %s, '2026-01-27 10:00Z' FROM log_epoch",
            [user_id, device_id, epoch, acked_seq],
        )


@pytest.fixture(scope="module")
def shared_database(postgres_server: PostgresServer) -> Iterator[Database]:
    """A database for all tests of a file that do not change its tables."""
    database = postgres_server.create_migrated_database()
    yield database
    postgres_server.drop_database(database)


@pytest.fixture
def log(shared_database: Database) -> Iterator[LogPen]:
    """A pen for the shared database, which the test finds empty."""
    with psycopg.connect(shared_database.dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE event_log, event_count, device_cursor")
        yield LogPen(connection)


@pytest.fixture
def reader_dsn(shared_database: Database) -> str:
    """The shared database as the query-service's own role sees it."""
    return shared_database.dsn_for("harkara_query_service")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_mesh(
    shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[QueryMesh]:
    """A query-service for a whole file: starting and stopping one takes longer than most tests."""
    dsn = shared_database.dsn_for("harkara_query_service")
    async with running_query_service(dsn, tmp_path_factory.mktemp("query")) as running:
        yield running


@pytest.fixture
def mesh(running_mesh: QueryMesh, log: LogPen) -> QueryMesh:
    """That query-service on empty tables, with an auth-service that nobody has asked yet."""
    del log  # It emptied them.
    running_mesh.auth.answers.clear()
    running_mesh.auth.asked.clear()
    return running_mesh


@pytest_asyncio.fixture(loop_scope="module")
async def own_mesh(reader_dsn: str, tmp_path: Path) -> AsyncIterator[QueryMesh]:
    """A query-service of the test's own, for what it counts, remembers or breaks."""
    async with running_query_service(reader_dsn, tmp_path) as running:
        yield running
