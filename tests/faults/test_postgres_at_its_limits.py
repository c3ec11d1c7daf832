"""Postgres refuses connections, or its disk is full: that is told, and heals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.faults.conftest import Faults
from tests.support.faults import small_disk
from tests.support.faults.extra_service import login_dsn
from tests.support.faults.history import Call, read_history
from tests.support.faults.load import Load, Shape
from tests.support.faults.mesh import FaultMesh

pytestmark = pytest.mark.timeout(240)

_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'event_service'"


@contextmanager
def every_connection_taken(mesh: FaultMesh) -> Iterator[int]:
    """Postgres at its limit: ours are the connections, and event-service's are gone."""
    dsn = login_dsn(mesh, "query_service")
    with ExitStack() as held, psycopg.connect(mesh.mesh.postgres_dsn, autocommit=True) as superuser:
        number = _take_all(held, dsn)
        # It is quicker than we are: it may not come back before all are taken.
        superuser.execute("ALTER ROLE event_service CONNECTION LIMIT 0")
        superuser.execute(_CUT)
        number += _take_all(held, dsn)
        superuser.execute("ALTER ROLE event_service CONNECTION LIMIT -1")
        yield number


def _take_all(held: ExitStack, dsn: str) -> int:
    """Open connections until there is none to be had, for half a second."""
    number, deadline = 0, time.monotonic() + 0.5
    while time.monotonic() < deadline:
        with suppress(psycopg.OperationalError):
            held.enter_context(psycopg.connect(dsn))
            number += 1
            deadline = time.monotonic() + 0.5
    return number


def statuses(load: Load, since: float, until: float) -> set[str]:
    """What was answered to calls that were sent and over within a span."""
    load.history.flush()
    return {
        record.status
        for record in read_history(load.paths[:1])
        if isinstance(record, Call) and since <= record.at and record.until < until
    }


@pytest.mark.ci
async def test_a_postgres_without_free_connections_refuses_and_heals(faults: Faults) -> None:
    with faults.mesh() as mesh:
        async with faults.load(mesh) as load:
            await load.for_seconds(1)
            load.do("every connection of Postgres is taken, and event-service's are cut")
            holding = every_connection_taken(mesh)
            number = await asyncio.to_thread(holding.__enter__)
            load.do(f"{number} connections are ours")
            since = time.monotonic()
            await load.for_seconds(8)
            seen = statuses(load, since, time.monotonic())
            load.do(f"free again; meanwhile Emit answered {sorted(seen)}")
            await asyncio.to_thread(holding.__exit__, None, None, None)
            await mesh.all_are_back()
            await load.for_seconds(1)
            verdict = await faults.clean(load)
    assert seen
    assert seen <= {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
    assert not verdict.duplicates


@pytest.mark.ci
@pytest.mark.skipif(not small_disk.is_possible(), reason="this system gives us no small disk of our own")
async def test_a_full_disk_refuses_and_everything_goes_on_once_there_is_room(faults: Faults) -> None:
    shape = Shape(users=50, rate=100, bytes_each=8_000)
    with faults.mesh(disk_megabytes=220) as mesh:
        async with faults.load(mesh, shape) as load:
            await load.for_seconds(1)
            load.do("the disk of Postgres is full")
            disk = small_disk.filled(mesh.process.pid, Path(mesh.mesh.data_dir) / "postgres")
            await asyncio.to_thread(disk.__enter__)
            await load.for_seconds(3)
            since = time.monotonic()
            await load.for_seconds(8)
            seen = statuses(load, since, time.monotonic())
            load.do(f"there is room again; meanwhile Emit answered {sorted(seen)}")
            await asyncio.to_thread(disk.__exit__, None, None, None)
            await mesh.all_are_back()
            await load.for_seconds(1)
            verdict = await faults.clean(load)
    assert "RESOURCE_EXHAUSTED" in seen, "it was not told what it is"
    assert seen <= {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
    assert not verdict.duplicates
