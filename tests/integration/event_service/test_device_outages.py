"""Devices' places while Postgres is lost in the middle: nothing that was acknowledged is forgotten."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from harkara_event_service.adapters.postgres_devices import PostgresDevices
from harkara_event_service.domain.cursor import Device, ResumePoint
from harkara_event_service.ports import LogUnavailableError
from harkara_event_service.service import Devices
from harkara_event_service.service import devices as devices_module
from tests.support.cutting_proxy import Fault, cutting_proxy
from tests.support.events import MovableClock
from tests.support.postgres import Database
from tests.support.waiting import wait_until_async

PHONE = Device("ada", "phone")


def epoch_of(database: Database) -> str:
    with psycopg.connect(database.dsn) as connection:
        row = connection.execute("SELECT epoch FROM log_epoch").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.UNANSWERED])
@pytest.mark.parametrize("leaves", [True, False])
async def test_a_write_that_is_lost_is_done_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, fault: Fault, *, leaves: bool
) -> None:
    monkeypatch.setattr(devices_module, "WRITE_SECONDS", 0.1)
    async with cutting_proxy(database.dsn_for("harkara_event_service")) as (proxy, dsn):
        cursors = PostgresDevices(dsn)
        devices = Devices(cursors, MovableClock())
        running = asyncio.create_task(devices.run())
        proxy.plan(b"INSERT INTO device_cursor", fault)

        devices.acknowledge(epoch_of(database), PHONE, 5)
        if leaves:
            devices.left([PHONE])
        await proxy.happened()
        await wait_until_async(lambda: not devices.waiting)

        assert await cursors.read([PHONE]) == {PHONE: ResumePoint(epoch_of(database), 5)}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await cursors.close()


async def test_a_reading_without_a_database_says_so(database: Database) -> None:
    async with cutting_proxy(database.dsn_for("harkara_event_service")) as (proxy, dsn):
        cursors = PostgresDevices(dsn)
        devices = Devices(cursors, MovableClock())
        devices.acknowledge(epoch_of(database), PHONE, 5)
        proxy.plan(b"FROM unnest", Fault.LOST)

        with pytest.raises(LogUnavailableError):
            await devices.points([PHONE])

        assert await devices.points([PHONE]) == {PHONE: ResumePoint(epoch_of(database), 5)}
        await cursors.close()


async def test_a_thousand_devices_are_written_in_one_statement_soon(database: Database) -> None:
    """Counted for each row anew, the devices of all users took a second."""
    cursors = PostgresDevices(database.dsn_for("harkara_event_service"))
    devices = Devices(cursors, MovableClock())
    epoch = epoch_of(database)
    for number in range(1_000):
        for each in range(3):
            devices.acknowledge(epoch, Device(f"user_{number}", f"d{each}"), 1)
    await devices.close()
    for number in range(1_000):
        devices.acknowledge(epoch, Device(f"user_{number}", "d0"), 2)

    async with asyncio.timeout(2):
        await devices.close()

    assert devices.waiting == 0
    await cursors.close()
