"""Devices over Attach, on Postgres: what a device acknowledged is where its next connection goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psycopg
import pytest
import pytest_asyncio

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2, event_pb2
from harkara_event_service.service import devices as devices_module
from tests.support.attached_edge import AttachedEdge, ack_command, attached_edge, close_command
from tests.support.event_service import Listening, running_event_service
from tests.support.postgres import Database
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 20


@pytest_asyncio.fixture(loop_scope="module")
async def edge(calls: Listening) -> AsyncIterator[AttachedEdge]:
    """An attached edge worker."""
    async with attached_edge(calls) as edge:
        yield edge


async def emit(calls: Listening, user: str, count: int) -> None:
    events = [event_pb2.EventDraft(user_id=user, event_type="order_created", data="{}")] * count
    await calls.emit().EmitBatch(emit_service_pb2.EmitBatchRequest(events=events), timeout=SECONDS)


async def listen(edge: AttachedEdge, user: str, session: int = 1, device_id: str = "phone") -> None:
    """Open a session of a device that wants everything."""
    await edge.open(session, user, device_id=device_id)
    await edge.opened(session)


async def come_back(
    edge: AttachedEdge, user: str, session: int = 2, device_id: str = "phone"
) -> tuple[int, bool]:
    """Open a session where the device is; where it starts and whether that is recovered."""
    await edge.open(session, user, device_id=device_id, from_device=True)
    opened = await edge.opened(session)
    return opened.seq, opened.recovered


def place_of(database: Database, user: str, device_id: str = "phone") -> int | None:
    with psycopg.connect(database.dsn) as connection:
        row = connection.execute(
            "SELECT acked_seq FROM device_cursor WHERE user_id = %s AND device_id = %s", (user, device_id)
        ).fetchone()
    return None if row is None else row[0]


async def test_a_device_goes_on_after_what_it_acknowledged(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await listen(edge, user)
    await emit(calls, user, 5)
    await edge.got(1, [1, 2, 3, 4, 5])
    await edge.send(ack_command(1, 3), close_command(1))

    assert await come_back(edge, user) == (3, True)
    await edge.got(2, [4, 5])


async def test_an_acknowledgement_counts_before_it_is_written(
    calls: Listening, edge: AttachedEdge, module_database: Database, user: str
) -> None:
    await listen(edge, user)
    await emit(calls, user, 3)
    await edge.got(1, [1, 2, 3])
    await edge.send(ack_command(1, 3))

    assert await come_back(edge, user) == (3, True)
    assert place_of(module_database, user) is None


async def test_an_acknowledgement_of_what_was_not_sent_counts_as_the_last_that_was(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await listen(edge, user)
    await emit(calls, user, 2)
    await edge.got(1, [1, 2])
    await edge.send(ack_command(1, 1_000), close_command(1))

    assert await come_back(edge, user) == (2, True)


async def test_a_smaller_acknowledgement_lowers_nothing(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await listen(edge, user)
    await emit(calls, user, 3)
    await edge.got(1, [1, 2, 3])
    await edge.send(ack_command(1, 3), ack_command(1, 1), close_command(1))

    assert await come_back(edge, user) == (3, True)


async def test_a_device_that_acknowledged_nothing_is_not_known(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await emit(calls, user, 2)
    await listen(edge, user)
    await edge.send(close_command(1))

    assert await come_back(edge, user) == (2, False)


async def test_devices_and_users_are_told_apart(calls: Listening, edge: AttachedEdge, user: str) -> None:
    await listen(edge, user)
    await emit(calls, user, 2)
    await edge.got(1, [1, 2])
    await edge.send(ack_command(1, 2), close_command(1))

    assert await come_back(edge, user, 2, "tablet") == (2, False)
    assert await come_back(edge, f"{user}_b", 3, "phone") == (0, False)


async def test_without_a_device_acknowledgements_are_dropped(
    calls: Listening, edge: AttachedEdge, module_database: Database, user: str
) -> None:
    await listen(edge, user, device_id="")
    await emit(calls, user, 2)
    await edge.got(1, [1, 2])
    await edge.send(ack_command(1, 2), close_command(1))

    assert await come_back(edge, user) == (2, False)
    assert place_of(module_database, user) is None


async def test_a_position_that_is_named_counts_more_than_the_devices(
    calls: Listening, edge: AttachedEdge, user: str
) -> None:
    await listen(edge, user)
    await emit(calls, user, 3)
    await edge.got(1, [1, 2, 3])
    await edge.send(ack_command(1, 3))
    epoch = (await edge.opened(1)).epoch

    resume = pb.Resume(epoch=epoch, seq=1)
    await edge.open(2, user, device_id="phone", from_device=True, resume=resume)

    opened = await edge.opened(2)
    assert (opened.seq, opened.recovered) == (1, True)


async def test_a_place_that_retention_took_away_is_not_recovered(
    calls: Listening, edge: AttachedEdge, module_database: Database, user: str
) -> None:
    await listen(edge, user)
    await emit(calls, user, 3)
    await edge.got(1, [1, 2, 3])
    await edge.send(ack_command(1, 1), close_command(1))
    with psycopg.connect(module_database.dsn, autocommit=True) as connection:
        connection.execute("UPDATE user_stream SET floor_seq = 2 WHERE user_id = %s", (user,))

    assert await come_back(edge, user) == (3, False)


async def test_a_place_in_another_life_of_the_log_is_not_recovered(
    calls: Listening, edge: AttachedEdge, module_database: Database, user: str
) -> None:
    await emit(calls, user, 3)
    with psycopg.connect(module_database.dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO device_cursor VALUES (%s, 'phone', 'a-former-life', 2, now())", (user,)
        )

    assert await come_back(edge, user) == (3, False)


async def test_who_leaves_is_known_to_the_other_replicas_at_once(
    calls: Listening, edge: AttachedEdge, module_database: Database, tmp_path: Path, user: str
) -> None:
    await listen(edge, user)
    await emit(calls, user, 3)
    await edge.got(1, [1, 2, 3])
    await edge.send(ack_command(1, 2), close_command(1))
    await wait_until_async(lambda: place_of(module_database, user) == 2, seconds=3)

    dsn = module_database.dsn_for("harkara_event_service")
    async with running_event_service(dsn, tmp_path) as other, attached_edge(other.calls) as elsewhere:
        assert await come_back(elsewhere, user) == (2, True)


async def test_an_edge_that_is_lost_leaves_with_all_its_devices(
    calls: Listening, module_database: Database, user: str
) -> None:
    async with attached_edge(calls) as edge:
        await listen(edge, user)
        await emit(calls, user, 3)
        await edge.got(1, [1, 2, 3])
        await edge.send(ack_command(1, 2))
        # Its answer says that the ack was taken before.
        await edge.open(9, f"{user}_b")
        await edge.opened(9)

    await wait_until_async(lambda: place_of(module_database, user) == 2, seconds=3)


async def test_a_service_that_stops_writes_what_waits(
    module_database: Database, tmp_path: Path, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing but its end is left to write it.
    monkeypatch.setattr(devices_module, "JOIN_SECONDS", 60)
    dsn = module_database.dsn_for("harkara_event_service")
    async with (
        running_event_service(dsn, tmp_path, shutdown_seconds=1) as service,
        attached_edge(service.calls) as edge,
    ):
        await listen(edge, user)
        await emit(service.calls, user, 3)
        await edge.got(1, [1, 2, 3])
        await edge.send(ack_command(1, 3))
        await edge.open(9, f"{user}_b")
        await edge.opened(9)
        service.stop.set()
        await service.serving

    assert place_of(module_database, user) == 3


@pytest.mark.parametrize("device_id", ["a b", "x" * 65, "ü"])
async def test_a_device_of_another_form_breaks_the_contract(
    calls: Listening, user: str, device_id: str
) -> None:
    async with attached_edge(calls) as edge:
        await edge.open(1, user, device_id=device_id)

        assert await edge.ended() is grpc.StatusCode.INVALID_ARGUMENT
