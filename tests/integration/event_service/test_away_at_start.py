"""An event-service that starts before its Postgres."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from harkara.event.v1 import emit_service_pb2, event_pb2
from harkara_schema.migrate import migrate
from tests.support.channels import open_channel_as
from tests.support.cutting_proxy import cutting_proxy
from tests.support.event_service import Running, running_event_service
from tests.support.postgres import Database

SERVING = health_pb2.HealthCheckResponse.SERVING
SECONDS = 20.0


async def ops(running: Running, path: str) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://{running.bound.ops_address}{path}")).status_code


async def health(running: Running) -> Any:
    async with open_channel_as(running.bound.listen_address, None) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return (await stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)).status


async def until_it_serves(running: Running) -> None:
    async with open_channel_as(running.bound.listen_address, None) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        async for answer in watch:
            if answer.status == SERVING:
                break
        watch.cancel()


async def emit(running: Running, seconds: float = SECONDS) -> int:
    event = event_pb2.EventDraft(user_id="user_1", event_type="order_created", data="{}")
    request = emit_service_pb2.EmitRequest(event=event)
    seq: int = (await running.calls.emit().Emit(request, timeout=seconds)).seq
    return seq


async def test_it_lives_is_not_ready_and_serves_once_postgres_is_there(
    database: Database, tmp_path: Path
) -> None:
    async with cutting_proxy(database.dsn_for("harkara_event_service")) as (proxy, dsn):
        proxy.accepts = False
        async with running_event_service(dsn, tmp_path) as running:
            assert [await ops(running, path) for path in ("/livez", "/readyz")] == [200, 503]
            assert await health(running) != SERVING
            with pytest.raises(grpc.aio.AioRpcError):
                await emit(running, 0.3)
            waiting = asyncio.create_task(emit(running))

            proxy.accepts = True

            # What waited is stored; what was given up is not.
            assert await waiting == 1
            await until_it_serves(running)
            assert await ops(running, "/readyz") == 200


async def test_it_stops_at_once_while_it_waits(database: Database, tmp_path: Path) -> None:
    async with cutting_proxy(database.dsn_for("harkara_event_service")) as (proxy, dsn):
        proxy.accepts = False
        async with running_event_service(dsn, tmp_path, shutdown_seconds=40) as running:
            running.stop.set()
            await asyncio.wait_for(running.serving, 10)


async def test_tables_that_turn_out_to_be_missing_then_are_waited_for(
    empty_database: Database, tmp_path: Path
) -> None:
    async with cutting_proxy(empty_database.dsn) as (proxy, dsn):
        proxy.accepts = False
        async with running_event_service(dsn, tmp_path) as running:
            proxy.accepts = True
            assert await ops(running, "/readyz") == 503
            await asyncio.to_thread(migrate, empty_database.dsn)
            await until_it_serves(running)
            assert await emit(running) == 1


async def test_a_postgres_that_lets_nobody_in_is_told_without_the_password(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dsn = database.dsn_for("harkara_event_service").replace(database.name, "no_such_database")
    async with running_event_service(dsn, tmp_path) as running:
        assert await ops(running, "/readyz") == 503
    told = capsys.readouterr().out
    assert "log_away" in told
    assert 'database "no_such_database" does not exist' in told
    assert dsn.split("@")[0].split(":")[-1] not in told
