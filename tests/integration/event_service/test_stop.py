"""How an event-service stops, and what it refuses to start with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import httpx
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from harkara.event.v1 import delivery_service_pb2, emit_service_pb2, event_pb2
from harkara_event_service.domain.registry import Registry
from harkara_event_service.wiring import RULES
from harkara_servicekit.settings import SettingsError
from tests.support.attached_edge import attached_edge
from tests.support.channels import open_channel_as
from tests.support.event_service import ORDERS, Running, running_event_service
from tests.support.postgres import Database, running_postgres
from tests.support.processes import frozen

Code = grpc.StatusCode
SECONDS = 20
SHUTDOWN_SECONDS = 5


async def ops(running: Running, path: str) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://{running.bound.ops_address}{path}")).status_code


async def queued(running: Running, events: int) -> None:
    """Wait until so many events are waiting or being written."""
    wanted = f"harkara_event_service_log_queued_events {events:.1f}"
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(SECONDS):
        while wanted not in (await client.get(f"http://{running.bound.ops_address}/metrics")).text:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def emit_request(user_id: str = "user_1") -> Any:
    event = event_pb2.EventDraft(user_id=user_id, event_type="order_created", data="{}")
    return emit_service_pb2.EmitStreamRequest(events=[event])


async def test_edges_move_first_then_emitters_streams_end_and_nothing_waits_longer(
    database: Database, tmp_path: Path
) -> None:
    dsn = database.dsn_for("harkara_event_service")
    # Far more than it may take: whoever waits for a stream to end by itself would wait for half of this.
    async with running_event_service(dsn, tmp_path, shutdown_seconds=40) as running:
        calls = running.calls
        async with attached_edge(calls, "former") as former:
            await former.until(lambda: bool(former.messages))
        async with attached_edge(calls) as edge, attached_edge(calls, "idle") as idle:
            await edge.open(1, "user_1")
            await edge.opened(1)
            stream = calls.emit(None).EmitStream(metadata=(("authorization", f"Bearer {ORDERS}"),))
            await stream.write(emit_request())
            await stream.read()
            started = asyncio.get_running_loop().time()

            running.stop.set()

            # The edges are still there: what is emitted is stored, and delivered.
            await edge.item("drain")
            await idle.item("drain")
            assert await ops(running, "/readyz") == 503
            await stream.write(emit_request())
            await stream.read()
            await edge.got(1, [1, 2])
            await edge.leave()
            await idle.leave()
            assert await stream.code() is Code.UNAVAILABLE
            await running.serving
            assert asyncio.get_running_loop().time() - started < 15


async def test_edges_that_do_not_move_are_sent_away(database: Database, tmp_path: Path) -> None:
    async with (
        running_event_service(
            database.dsn_for("harkara_event_service"), tmp_path, shutdown_seconds=2
        ) as running,
        attached_edge(running.calls) as edge,
    ):
        await edge.open(1, "user_1")
        await edge.opened(1)

        running.stop.set()

        await edge.item("drain")
        async with attached_edge(running.calls, "late") as late:
            assert await late.ended() is Code.UNAVAILABLE
        assert await edge.ended() is Code.UNAVAILABLE


async def test_what_was_sent_before_the_stop_is_answered_or_not_stored(
    database: Database, tmp_path: Path
) -> None:
    async with running_event_service(database.dsn_for("harkara_event_service"), tmp_path) as running:
        emit = running.calls.emit()
        emitting = [
            asyncio.ensure_future(
                emit.Emit(emit_service_pb2.EmitRequest(event=emit_request().events[0]), timeout=SECONDS)
            )
            for _ in range(100)
        ]
        await asyncio.wait(emitting, return_when=asyncio.FIRST_COMPLETED)
        running.stop.set()
        outcomes = await asyncio.gather(*emitting, return_exceptions=True)
        await running.serving

    answered = [each.seq for each in outcomes if not isinstance(each, BaseException)]
    refused = [each for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
    with psycopg.connect(database.dsn) as connection:
        rows = connection.execute("SELECT seq FROM event_log ORDER BY seq").fetchall()
    assert answered
    assert sorted(answered) == list(range(1, len(answered) + 1))
    assert set(answered) <= {seq for (seq,) in rows}
    assert len(answered) + len(refused) == 100
    assert {each.code() for each in refused} <= {Code.UNAVAILABLE, Code.CANCELLED}


async def test_a_frozen_postgres_holds_up_no_stop(tmp_path: Path) -> None:
    """With an Emit, a stream and a cursor under way that nobody will ever finish."""
    with running_postgres() as server:
        dsn = server.create_migrated_database().dsn_for("harkara_event_service")
        async with (
            running_event_service(dsn, tmp_path, shutdown_seconds=SHUTDOWN_SECONDS) as running,
            attached_edge(running.calls) as edge,
        ):
            await edge.open(1, "user_1")
            await edge.opened(1)
            emit = running.calls.emit()
            stream = running.calls.emit(None).EmitStream(metadata=(("authorization", f"Bearer {ORDERS}"),))
            await stream.write(emit_request())
            await stream.read()
            with frozen(server.embedded.pid):
                stuck = emit.Emit(emit_service_pb2.EmitRequest(event=emit_request().events[0]))
                await stream.write(emit_request())
                await edge.open(2, "user_2")
                await edge.open(3, "user_1", after=0, epoch=(await edge.opened(1)).epoch)
                # The stream and the call have come that far.
                await queued(running, 2)

                running.stop.set()

                async with asyncio.timeout(2 * SHUTDOWN_SECONDS):
                    await running.serving
            assert await stuck.code() in {Code.UNAVAILABLE, Code.CANCELLED}
            assert await stream.code() in {Code.UNAVAILABLE, Code.CANCELLED}


async def test_health_and_the_ops_port_say_that_it_serves(database: Database, tmp_path: Path) -> None:
    async with running_event_service(database.dsn_for("harkara_event_service"), tmp_path) as running:
        assert [await ops(running, path) for path in ("/livez", "/readyz", "/metrics")] == [200, 200, 200]
        async with open_channel_as(running.bound.listen_address, None) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for name in ("", "harkara.event.v1.EmitService", "harkara.event.v1.DeliveryService"):
                answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=SECONDS)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_an_unmigrated_database_is_one_line(empty_database: Database, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        async with running_event_service(empty_database.dsn, tmp_path):
            pass


async def test_an_address_that_is_taken_is_told_and_everything_is_let_go(
    database: Database, tmp_path: Path
) -> None:
    dsn = database.dsn_for("harkara_event_service")
    async with running_event_service(dsn, tmp_path) as running:
        for setting in ("listen_address", "ops_address"):
            with pytest.raises(OSError, match=r"cannot listen|in use"):
                async with running_event_service(dsn, tmp_path, **{setting: running.bound.listen_address}):
                    pass


# Who may call what.


@pytest.mark.parametrize(
    "service",
    [
        *emit_service_pb2.DESCRIPTOR.services_by_name.values(),
        *delivery_service_pb2.DESCRIPTOR.services_by_name.values(),
    ],
    ids=lambda service: service.name,
)
def test_every_method_of_the_contract_has_a_rule(service: Any) -> None:
    methods = {f"/{service.full_name}/{method.name}" for method in service.methods}

    assert methods == {name for name in RULES if name.startswith(f"/{service.full_name}/")}


async def test_a_method_without_a_rule_is_refused_whoever_asks(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = "/harkara.event.v1.EmitService/Emit"
    others = {name: rule for name, rule in RULES.items() if name != method}
    monkeypatch.setattr("harkara_event_service.wiring.RULES", others)
    async with running_event_service(database.dsn_for("harkara_event_service"), tmp_path) as running:
        call = running.calls.emit().Emit(emit_service_pb2.EmitRequest(), timeout=SECONDS)

        assert await call.code() is Code.PERMISSION_DENIED


async def test_a_fault_in_the_cursors_ends_the_service_and_is_not_lived_with(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an event may have been passed without being sent, only a new start is sure of anything."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        dsn = database.dsn_for("harkara_event_service")
        async with running_event_service(dsn, tmp_path, shutdown_seconds=2) as running:
            async with attached_edge(running.calls) as edge:
                request = emit_service_pb2.EmitBatchRequest(events=emit_request().events)
                await running.calls.emit().EmitBatch(request, timeout=SECONDS)
                await edge.open(1, "user_1", types=[])
                epoch = (await edge.opened(1)).epoch
                monkeypatch.setattr(Registry, "apply_page", fail)

                await edge.open(2, "user_1", after=0, epoch=epoch)

                assert await edge.ended() is Code.UNAVAILABLE
                assert edge.items[-1].HasField("drain")
            await running.serving

    with pytest.raises(ExceptionGroup) as ended:
        await run()
    assert ended.group_contains(ZeroDivisionError)
