"""Postgres refuses connections, or its disk is full: that is told, and heals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from harkara_schema.logins import LOGINS
from tests.faults.conftest import Faults
from tests.support.faults import small_disk
from tests.support.faults.history import Call, read_history
from tests.support.faults.load import Load, Shape
from tests.support.faults.mesh import FaultMesh
from tests.support.faults.visitor import come_in, history

pytestmark = pytest.mark.timeout(240)

USER = "demo_customer"
_HOLDER = "holder"
_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY(%s)"


@contextmanager
def every_connection_taken(mesh: FaultMesh) -> Iterator[int]:
    """Postgres at its limit: all connections are ours, and those of every service are gone."""
    server = mesh.mesh.postgres_dsn.rpartition("@")[2]
    with psycopg.connect(mesh.mesh.postgres_dsn, autocommit=True) as superuser, ExitStack() as held:
        superuser.execute(f"CREATE ROLE {_HOLDER} LOGIN PASSWORD '{_HOLDER}'")
        held.callback(superuser.execute, f"DROP ROLE {_HOLDER}")
        number = _take_all(held, f"postgresql://{_HOLDER}:{_HOLDER}@{server}")
        # They are quicker than we are: they may not come back before all are taken.
        _limit_services(superuser, 0)
        superuser.execute(_CUT, [list(LOGINS)])
        number += _take_all(held, f"postgresql://{_HOLDER}:{_HOLDER}@{server}")
        _limit_services(superuser, -1)
        yield number


def _limit_services(superuser: psycopg.Connection, connections: int) -> None:
    """How many connections each service may have; -1 for as many as there are."""
    for login in LOGINS:
        statement = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}")
        superuser.execute(statement.format(sql.Identifier(login), sql.Literal(connections)))


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
async def test_a_postgres_without_free_connections_refuses_and_heals(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    async with faults.load(shared_mesh) as load:
        await load.for_seconds(1)
        load.do("every connection of Postgres is taken, and the services' are cut")
        holding = every_connection_taken(shared_mesh)
        number = await asyncio.to_thread(holding.__enter__)
        load.do(f"{number} connections are ours")
        try:
            since = time.monotonic()
            newcomer = await come_in(shared_mesh, USER)
            rest = await asyncio.to_thread(history, shared_mesh, USER)
            await load.for_seconds(max(0.0, since + 5 - time.monotonic()))
            seen = statuses(load, since, time.monotonic())
        finally:
            await asyncio.to_thread(holding.__exit__, None, None, None)
        load.do(f"free again; meanwhile Emit answered {sorted(seen)}, a newcomer got {newcomer}, REST {rest}")
        await shared_mesh.all_are_back()
        assert await come_in(shared_mesh, USER) == "authenticated"
        assert (await asyncio.to_thread(history, shared_mesh, USER)).status == 200
        await load.for_seconds(1)
        verdict = await faults.clean(load)
    assert newcomer == "1013"
    assert rest.status == 503
    assert rest.retry_after is not None
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
            await load.for_seconds(2)
            since = time.monotonic()
            await load.for_seconds(5)
            seen = statuses(load, since, time.monotonic())
            load.do(f"there is room again; meanwhile Emit answered {sorted(seen)}")
            await asyncio.to_thread(disk.__exit__, None, None, None)
            await mesh.all_are_back()
            await load.for_seconds(1)
            verdict = await faults.clean(load)
    assert "RESOURCE_EXHAUSTED" in seen, "it was not told what it is"
    assert seen <= {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
    assert not verdict.duplicates
