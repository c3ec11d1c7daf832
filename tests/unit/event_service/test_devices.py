"""`Devices`: when acknowledgements are written, and what counts meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

import pytest

from harkara_event_service.adapters.memory_devices import MemoryDevices
from harkara_event_service.domain.acknowledgements import Acknowledged
from harkara_event_service.domain.cursor import Device, ResumePoint
from harkara_event_service.ports import LogUnavailableError
from harkara_event_service.service import Devices
from harkara_event_service.service import devices as devices_module
from tests.support.events import MovableClock
from tests.support.told_log import LoopWithoutWaiting
from tests.support.waiting import wait_until_async

PHONE, TABLET = Device("ada", "phone"), Device("ada", "tablet")
EPOCH = "memory"


class SteppedDevices(MemoryDevices):
    """Devices' places in memory, with a step between reading and answering.

    Attributes:
        between: What happens there.
        fault: Raised by writes while it is set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.between: list[asyncio.Event] = []
        self.fault: Exception | None = None
        self.sizes: list[int] = []

    async def read(self, devices: Collection[Device]) -> Mapping[Device, ResumePoint]:
        found = await super().read(devices)
        for event in self.between:
            await event.wait()
        return found

    async def write(self, epoch: str, acknowledged: Sequence[Acknowledged]) -> None:
        if self.fault is not None:
            raise self.fault
        self.sizes.append(len(acknowledged))
        await super().write(epoch, acknowledged)


@pytest.fixture
def cursors() -> SteppedDevices:
    return SteppedDevices()


@pytest.fixture
async def devices(cursors: SteppedDevices) -> AsyncIterator[Devices]:
    devices = Devices(cursors, MovableClock())
    running = asyncio.create_task(devices.run())
    yield devices
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def seq_of(cursors: MemoryDevices, device: Device = PHONE) -> int | None:
    point = (await MemoryDevices.read(cursors, [device])).get(device)
    return None if point is None else point.seq


async def test_acknowledgements_are_joined_and_written_after_a_while(
    cursors: SteppedDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices_module, "WRITE_SECONDS", 0.05)
    devices = Devices(cursors, MovableClock())
    running = asyncio.create_task(devices.run())
    for seq in range(1, 100):
        devices.acknowledge(EPOCH, PHONE, seq)
    devices.acknowledge(EPOCH, TABLET, 7)

    await wait_until_async(lambda: not devices.waiting)

    assert (await seq_of(cursors, PHONE), await seq_of(cursors, TABLET)) == (99, 7)
    assert cursors.sizes == [2]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_what_is_acknowledged_at_any_time_is_written_within_5_seconds() -> None:
    cursors = SteppedDevices()

    async def longest_wait() -> float:
        loop = asyncio.get_running_loop()
        devices = Devices(cursors, MovableClock())
        running = asyncio.create_task(devices.run())
        waits = []
        for seq in range(1, 21):
            # At another moment of the round each time.
            await asyncio.sleep(seq * 0.37)
            acknowledged_at = loop.time()
            devices.acknowledge(EPOCH, PHONE, seq)
            await wait_until_async(lambda: not devices.waiting)
            waits.append(loop.time() - acknowledged_at)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return max(waits)

    with asyncio.Runner(loop_factory=LoopWithoutWaiting) as runner:
        longest = runner.run(longest_wait())

    # As exact as it is looked at.
    assert longest <= 5.01


async def test_what_a_device_that_left_said_is_written_at_once(
    devices: Devices, cursors: SteppedDevices
) -> None:
    devices.acknowledge(EPOCH, PHONE, 5)
    devices.acknowledge(EPOCH, TABLET, 5)

    devices.left([PHONE])
    await wait_until_async(lambda: devices.waiting == 1)

    assert (await seq_of(cursors, PHONE), await seq_of(cursors, TABLET)) == (5, None)


async def test_a_thousand_that_leave_at_once_are_few_writes(
    devices: Devices, cursors: SteppedDevices
) -> None:
    gone = [Device(f"user_{number}", "phone") for number in range(1_500)]
    for device in gone:
        devices.acknowledge(EPOCH, device, 5)
    for device in gone:
        devices.left([device])

    await wait_until_async(lambda: not devices.waiting)

    assert cursors.sizes == [1_000, 500]


async def test_a_device_that_said_nothing_writes_nothing(devices: Devices, cursors: SteppedDevices) -> None:
    devices.left([PHONE])
    devices.acknowledge(EPOCH, TABLET, 1)
    devices.left([TABLET])
    await wait_until_async(lambda: not devices.waiting)

    assert cursors.sizes == [1]


async def test_what_waits_counts_already(devices: Devices, cursors: SteppedDevices) -> None:
    devices.acknowledge(EPOCH, PHONE, 5)

    assert await devices.points([PHONE, TABLET]) == {PHONE: ResumePoint(EPOCH, 5)}
    assert cursors.sizes == []


async def test_what_is_written_and_what_waits_are_one(devices: Devices, cursors: SteppedDevices) -> None:
    clock = MovableClock()
    await cursors.write(EPOCH, [Acknowledged(PHONE, 9, clock()), Acknowledged(TABLET, 3, clock())])
    devices.acknowledge(EPOCH, PHONE, 5)
    devices.acknowledge(EPOCH, TABLET, 5)

    assert await devices.points([PHONE, TABLET]) == {
        PHONE: ResumePoint(EPOCH, 9),
        TABLET: ResumePoint(EPOCH, 5),
    }


async def test_what_waits_in_a_new_life_counts_more_than_what_is_written_of_the_former(
    devices: Devices, cursors: SteppedDevices
) -> None:
    await cursors.write(EPOCH, [Acknowledged(PHONE, 9, MovableClock()())])
    devices.acknowledge("second-life", PHONE, 2)

    assert await devices.points([PHONE]) == {PHONE: ResumePoint("second-life", 2)}


async def test_what_waits_of_a_former_life_counts_no_more(devices: Devices, cursors: SteppedDevices) -> None:
    devices.acknowledge("former-life", PHONE, 9)

    devices.begin(EPOCH)
    await cursors.write(EPOCH, [Acknowledged(PHONE, 2, MovableClock()())])

    assert await devices.points([PHONE]) == {PHONE: ResumePoint(EPOCH, 2)}
    assert devices.waiting == 0


async def test_what_is_written_while_a_reading_is_under_way_is_not_missed(
    devices: Devices, cursors: SteppedDevices
) -> None:
    """Read before it was written, and looked for in memory after: it was in neither."""
    answer = asyncio.Event()
    cursors.between.append(answer)
    devices.acknowledge(EPOCH, PHONE, 5)
    reading = asyncio.create_task(devices.points([PHONE]))
    await asyncio.sleep(0)
    devices.left([PHONE])
    await wait_until_async(lambda: not devices.waiting)

    answer.set()

    assert await reading == {PHONE: ResumePoint(EPOCH, 5)}


@pytest.mark.parametrize("fault", [LogUnavailableError("away"), RuntimeError("a fault of ours")])
async def test_what_cannot_be_written_waits_and_is_tried_again(
    cursors: SteppedDevices, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    monkeypatch.setattr(devices_module, "WRITE_SECONDS", 0.02)
    cursors.fault = fault
    devices = Devices(cursors, MovableClock())
    running = asyncio.create_task(devices.run())
    devices.acknowledge(EPOCH, PHONE, 5)
    devices.left([PHONE])
    await asyncio.sleep(0.1)
    assert devices.waiting == 1

    cursors.fault = None
    await wait_until_async(lambda: not devices.waiting)

    assert await seq_of(cursors) == 5
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_while_nothing_can_be_written_no_more_than_the_bound_waits(cursors: SteppedDevices) -> None:
    devices = Devices(cursors, MovableClock(), most_waiting=100)
    for number in range(1_000):
        devices.acknowledge(EPOCH, Device(f"user_{number}", "phone"), 1)

    assert devices.waiting == 100


async def test_no_more_devices_that_left_are_remembered_than_may_wait(cursors: SteppedDevices) -> None:
    devices = Devices(cursors, MovableClock(), most_waiting=100)
    for number in range(1_000):
        device = Device(f"user_{number}", "phone")
        devices.acknowledge(EPOCH, device, 1)
        devices.left([device])

    assert len(devices._left) == 100
    await devices.close()
    assert devices.waiting == 0


async def test_at_the_end_what_waits_is_written(cursors: SteppedDevices) -> None:
    devices = Devices(cursors, MovableClock())
    for number in range(1_500):
        devices.acknowledge(EPOCH, Device(f"user_{number}", "phone"), 1)

    await devices.close()

    assert devices.waiting == 0
    assert cursors.sizes == [1_000, 500]


async def test_the_end_waits_for_no_database_that_is_away(cursors: SteppedDevices) -> None:
    cursors.fault = LogUnavailableError("away")
    devices = Devices(cursors, MovableClock())
    devices.acknowledge(EPOCH, PHONE, 1)

    async with asyncio.timeout(1):
        await devices.close()
