"""A new life of the log while an event-service runs: what a restore from a backup does, and `--new-epoch`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2, event_pb2
from harkara_schema.migrate import new_epoch
from tests.support.attached_edge import AttachedEdge, ack_command, attached_edge
from tests.support.event_service import Listening, running_event_service
from tests.support.postgres import Database

USER = "user_1"
SECONDS = 20


async def emit(calls: Listening) -> int:
    event = event_pb2.EventDraft(user_id=USER, event_type="order_created", data="{}")
    seq: int = (await calls.emit().Emit(emit_service_pb2.EmitRequest(event=event), timeout=SECONDS)).seq
    return seq


def restore(database: Database, seq: int) -> str:
    """Take the user's stream back to where a backup has it, and begin a new life."""
    with psycopg.connect(database.dsn) as connection:
        connection.execute("DELETE FROM event_log WHERE seq > %s", [seq])
        connection.execute("UPDATE user_stream SET last_seq = %s", [seq])
    return new_epoch(database.dsn)


async def lost(edge: AttachedEdge, session: int) -> None:
    disconnect = await edge.item("disconnect")
    assert disconnect.session == session
    assert disconnect.reason == pb.DISCONNECT_REASON_RESUME_LOST


async def test_the_next_session_learns_it_and_those_of_the_former_life_end(
    database: Database, tmp_path: Path
) -> None:
    async with (
        running_event_service(database.dsn_for("harkara_event_service"), tmp_path) as running,
        attached_edge(running.calls) as edge,
    ):
        await edge.open(1, USER)
        former = (await edge.opened(1)).epoch
        assert [await emit(running.calls) for _ in range(3)] == [1, 2, 3]
        await edge.got(1, [1, 2, 3])

        epoch = await asyncio.to_thread(restore, database, 1)
        await edge.open(2, USER, resume=pb.Resume(epoch=former, seq=1))

        opened = await edge.opened(2)
        assert (opened.epoch, opened.seq, opened.recovered) == (epoch, 1, False)
        assert epoch != former
        await lost(edge, 1)
        # Its number is one that the former life had given.
        assert await emit(running.calls) == 2
        await edge.got(2, [2])


async def test_what_a_device_acknowledged_in_the_former_life_is_no_place_in_this_one(
    database: Database, tmp_path: Path
) -> None:
    async with (
        running_event_service(database.dsn_for("harkara_event_service"), tmp_path) as running,
        attached_edge(running.calls) as edge,
    ):
        await edge.open(1, USER, device_id="phone")
        await edge.opened(1)
        for _ in range(3):
            await emit(running.calls)
        await edge.got(1, [1, 2, 3])
        await edge.send(ack_command(1, 2))

        await asyncio.to_thread(restore, database, 3)
        await edge.open(2, USER, device_id="phone", from_device=True)
        opened = await edge.opened(2)
        assert (opened.seq, opened.recovered) == (3, False)

        # What it acknowledges from now on counts.
        await emit(running.calls)
        await edge.got(2, [4])
        await edge.send(ack_command(2, 4))
        await edge.open(3, USER, device_id="phone", from_device=True)
        opened = await edge.opened(3)
        assert (opened.seq, opened.recovered) == (4, True)
