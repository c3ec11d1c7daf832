"""What every keeper of devices' places promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harkara_event_service.adapters.memory_devices import MemoryDevices
from harkara_event_service.adapters.postgres_devices import PostgresDevices
from harkara_event_service.domain.acknowledgements import MAX_DEVICES, Acknowledged
from harkara_event_service.domain.cursor import Device, ResumePoint
from harkara_event_service.ports import DeviceCursors
from tests.support.postgres import Database

START = datetime(2026, 1, 27, 10, 30, 0, 123456, tzinfo=UTC)
PHONE = Device("ada", "phone")
TABLET = Device("ada", "tablet")
_NUMBERS = count(1)


class UnderTest:
    """A keeper, and the log's life that it knows."""

    def __init__(self, cursors: DeviceCursors, epoch: str, database: Database | None) -> None:
        self.cursors = cursors
        self.epoch = epoch
        self._database = database

    def begin_new_life(self) -> None:
        """What `./harkara migrate --new-epoch` does."""
        self.epoch = "second-life"
        if self._database is None:
            assert isinstance(self.cursors, MemoryDevices)
            self.cursors.epoch = self.epoch
            return
        with psycopg.connect(self._database.dsn, autocommit=True) as connection:
            connection.execute("UPDATE log_epoch SET epoch = %s", (self.epoch,))

    async def write(self, device: Device, seq: int, after: float = 0, epoch: str | None = None) -> None:
        await self.cursors.write(
            epoch or self.epoch, [Acknowledged(device, seq, START + timedelta(seconds=after))]
        )

    async def seq_of(self, device: Device) -> int | None:
        point = (await self.cursors.read([device])).get(device)
        return None if point is None else point.seq


@pytest.fixture(params=["memory", "postgres"])
async def under_test(request: pytest.FixtureRequest) -> AsyncIterator[UnderTest]:
    if request.param == "memory":
        yield UnderTest(MemoryDevices(epoch="first-life"), "first-life", None)
        return
    database: Database = request.getfixturevalue("database")
    with psycopg.connect(database.dsn) as connection:
        row = connection.execute("SELECT epoch FROM log_epoch").fetchone()
    assert row is not None
    cursors = PostgresDevices(database.dsn_for("harkara_event_service"))
    yield UnderTest(cursors, row[0], database)
    await cursors.close()


async def test_a_device_that_was_never_heard_of_is_not_known(under_test: UnderTest) -> None:
    assert await under_test.cursors.read([PHONE]) == {}
    assert await under_test.cursors.read([]) == {}


async def test_what_was_written_is_read(under_test: UnderTest) -> None:
    await under_test.write(PHONE, 7)

    points = await under_test.cursors.read([PHONE, TABLET, Device("bob", "phone")])

    assert points == {PHONE: ResumePoint(under_test.epoch, 7)}


async def test_devices_of_many_users_are_written_at_once(under_test: UnderTest) -> None:
    devices = sorted(Device(f"user_{number % 400}", f"d{number}") for number in range(1_000))
    await under_test.cursors.write(
        under_test.epoch, [Acknowledged(device, number, START) for number, device in enumerate(devices, 1)]
    )

    points = await under_test.cursors.read(devices)

    assert [points[device].seq for device in devices] == list(range(1, 1_001))


async def test_a_place_rises_and_is_never_lowered(under_test: UnderTest) -> None:
    for seq in (5, 9, 3):
        await under_test.write(PHONE, seq)

    assert await under_test.seq_of(PHONE) == 9


async def test_another_life_of_the_log_replaces_a_place_and_may_lower_it(under_test: UnderTest) -> None:
    await under_test.write(PHONE, 9)

    under_test.begin_new_life()
    await under_test.write(PHONE, 2)

    assert await under_test.cursors.read([PHONE]) == {PHONE: ResumePoint("second-life", 2)}


async def test_a_life_that_has_ended_replaces_nothing(under_test: UnderTest) -> None:
    """A replica that has not noticed yet must not undo what another one wrote."""
    former = under_test.epoch
    under_test.begin_new_life()
    await under_test.write(PHONE, 2)

    await under_test.write(PHONE, 9, epoch=former)
    await under_test.write(TABLET, 9, epoch=former)

    assert await under_test.cursors.read([PHONE, TABLET]) == {PHONE: ResumePoint("second-life", 2)}


async def test_of_a_users_devices_the_least_recent_goes(under_test: UnderTest) -> None:
    for number in range(MAX_DEVICES):
        await under_test.write(Device("ada", f"d{number:02}"), 1, after=number)
    await under_test.write(Device("bob", "phone"), 1)
    await under_test.write(Device("ada", "d00"), 1, after=100)

    await under_test.write(Device("ada", "new"), 1, after=101)

    devices = [Device("ada", f"d{number:02}") for number in range(MAX_DEVICES)]
    known = await under_test.cursors.read([*devices, Device("ada", "new"), Device("bob", "phone")])
    assert devices[1] not in known
    assert len(known) == MAX_DEVICES + 1


async def test_several_new_devices_at_once_push_out_as_many(under_test: UnderTest) -> None:
    old = [Device("ada", f"old{number:02}") for number in range(MAX_DEVICES)]
    new = [Device("ada", f"new{number}") for number in range(3)]
    await under_test.cursors.write(
        under_test.epoch,
        [Acknowledged(each, 1, START + timedelta(seconds=n)) for n, each in enumerate(old)],
    )

    await under_test.cursors.write(
        under_test.epoch, [Acknowledged(each, 1, START + timedelta(seconds=99)) for each in new]
    )

    assert set(await under_test.cursors.read([*old, *new])) == {*old[3:], *new}


async def test_writers_at_once_lose_nothing(under_test: UnderTest) -> None:
    devices = sorted(Device(f"user_{number}", f"d{each}") for number in range(20) for each in range(5))

    await asyncio.gather(
        *(
            under_test.cursors.write(
                under_test.epoch, [Acknowledged(device, seq, START) for device in devices]
            )
            for seq in range(1, 21)
        )
    )

    assert {point.seq for point in (await under_test.cursors.read(devices)).values()} == {20}


@given(
    steps=st.lists(
        st.lists(st.tuples(st.integers(0, 24), st.integers(1, 50)), min_size=1, max_size=8),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
async def test_places_never_fall_and_the_most_recent_devices_are_known(
    under_test: UnderTest, steps: list[list[tuple[int, int]]]
) -> None:
    user_id = f"user_{next(_NUMBERS)}"
    highest: dict[Device, int] = {}
    for at, step in enumerate(steps):
        acked = {Device(user_id, f"d{number:02}"): seq for number, seq in step}
        known = await under_test.cursors.read(list(highest))
        for device, seq in acked.items():
            highest[device] = max(seq, known[device].seq) if device in known else seq
        await under_test.cursors.write(
            under_test.epoch,
            [Acknowledged(device, acked[device], START + timedelta(seconds=at)) for device in sorted(acked)],
        )
        points = await under_test.cursors.read(list(highest))
        assert all(point.seq == highest[device] for device, point in points.items())
        assert acked.keys() <= points.keys()
        assert len(points) == min(MAX_DEVICES, len(known.keys() | acked.keys()))
