"""What a whole event-service does unasked: each only counts if `wiring` has it done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import grpc
import psycopg
import pytest
from prometheus_client import CollectorRegistry

from harkara.event.v1 import emit_service_pb2, event_pb2
from harkara_event_service.adapters import credentials
from harkara_event_service.adapters.log_metrics import LogMetrics
from harkara_event_service.adapters.partition_keeper import PartitionKeeper
from harkara_event_service.domain import registry
from harkara_event_service.service import delivering
from harkara_schema.partitions import week_of
from tests.support.attached_edge import attached_edge
from tests.support.event_service import ORDERS, Listening, running_event_service
from tests.support.events import MovableClock
from tests.support.postgres import Database

SECONDS = 20
Code = grpc.StatusCode


async def emit(calls: Listening, *, ephemeral: bool = False) -> Code:
    """What an Emit is answered."""
    storage = event_pb2.STORAGE_EPHEMERAL if ephemeral else event_pb2.STORAGE_STORED
    event = event_pb2.EventDraft(user_id="user_1", event_type="order_created", data="{}", storage=storage)
    call = calls.emit().Emit(emit_service_pb2.EmitRequest(event=event), timeout=SECONDS)
    code: Code = await call.code()
    return code


async def until_answered(wanted: Code, call: Callable[[], Awaitable[Code]]) -> None:
    """Call until that is the answer."""
    async with asyncio.timeout(SECONDS):
        while await call() is not wanted:
            pass


async def test_emit_is_slowed_while_too_many_sessions_wait_for_the_log_and_then_free_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "SWAMPED_SESSIONS", 1)
    monkeypatch.setattr(delivering, "BACKLOG_SECONDS", 0.02)
    async with (
        running_event_service(database.dsn_for("harkara_event_service"), tmp_path) as running,
        attached_edge(running.calls) as edge,
    ):
        assert await emit(running.calls) is Code.OK
        await edge.open(1, "user_1", types=["eta_updated"])
        epoch = (await edge.opened(1)).epoch
        with psycopg.connect(database.dsn) as blocker:
            # Where a stream ends can be read, its events cannot.
            blocker.execute("LOCK TABLE event_log")
            await edge.open(2, "user_1", after=0, epoch=epoch)
            await edge.opened(2)
            # The log has no part in an ephemeral event, so it is not the log that refuses it.
            await until_answered(Code.RESOURCE_EXHAUSTED, lambda: emit(running.calls, ephemeral=True))

        await edge.got(2, [1])
        await until_answered(Code.OK, lambda: emit(running.calls))


@pytest.mark.parametrize(("retention_days", "is_kept"), [(7, False), (30, True)])
async def test_events_are_kept_for_as_long_as_the_setting_says(
    database: Database, tmp_path: Path, retention_days: int, *, is_kept: bool
) -> None:
    dsn = database.dsn_for("harkara_event_service")
    clock = MovableClock()
    clock.ahead = timedelta(days=-28)
    week = week_of(clock()).partition
    await PartitionKeeper(dsn, clock, timedelta(days=3650), LogMetrics(CollectorRegistry())).tend()

    async with running_event_service(dsn, tmp_path, retention_days=retention_days):
        with psycopg.connect(database.dsn) as connection:
            (is_there,) = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [week]).fetchone() or ()

    assert is_there is is_kept


async def test_a_service_that_is_revoked_stops_emitting_within_a_minute(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert credentials.REFRESH_SECONDS <= 60
    monkeypatch.setattr(credentials, "REFRESH_SECONDS", 0.02)
    async with running_event_service(database.dsn_for("harkara_event_service"), tmp_path) as running:
        assert await emit(running.calls) is Code.OK

        running.calls.auth.answers[ORDERS] = Code.UNAUTHENTICATED

        await until_answered(Code.UNAUTHENTICATED, lambda: emit(running.calls))
