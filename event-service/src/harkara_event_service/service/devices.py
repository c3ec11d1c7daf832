"""Remembers how far each device got: written every few seconds, and when a device leaves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime

import structlog

from harkara_event_service.domain.acknowledgements import Acknowledged, Acknowledgements
from harkara_event_service.domain.cursor import Device, ResumePoint
from harkara_event_service.ports import DeviceCursors, LogUnavailableError

_log = structlog.get_logger()

WRITE_SECONDS = 5.0
JOIN_SECONDS = 0.05
"""How long devices that leave are waited for after one did: a thousand that leave at once are one write."""

CLOSE_SECONDS = 2.0
WRITTEN_AT_ONCE = 1_000
MOST_WAITING = 100_000


class Devices:
    """The devices of this replica's sessions.

    Args:
        cursors: where their places are kept.
        clock: the time now, UTC.
        most_waiting: how many acknowledgements may wait to be written.
    """

    def __init__(
        self, cursors: DeviceCursors, clock: Callable[[], datetime], *, most_waiting: int = MOST_WAITING
    ) -> None:
        self._cursors = cursors
        self._clock = clock
        self._most_waiting = most_waiting
        self._waiting = Acknowledgements(most_waiting)
        # A dict for its order.
        self._left: dict[Device, None] = {}
        self._some_left = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many acknowledgements wait to be written."""
        return len(self._waiting)

    def begin(self, epoch: str) -> None:
        """The log has begun this life: what was acknowledged in another counts no more."""
        self._waiting.begin(epoch)

    def acknowledge(self, epoch: str, device: Device, seq: int) -> None:
        """A device has dealt with everything up to `seq`; it counts from now on, and is written soon.

        Args:
            epoch: the log's life that `seq` belongs to.
            device: which.
            seq: at most what was sent to it.
        """
        self._waiting.add(epoch, Acknowledged(device, seq, self._clock()))

    def left(self, devices: Iterable[Device]) -> None:
        """These were disconnected: they may come back anywhere, so what they said is written now."""
        for device in devices:
            if self._waiting.point_of(device) is not None:
                self._left[device] = None
                if len(self._left) > self._most_waiting:
                    # It is forgotten, or goes with all the others.
                    del self._left[next(iter(self._left))]
                self._some_left.set()

    async def points(self, devices: Collection[Device]) -> Mapping[Device, ResumePoint]:
        """Where these devices stand, as far as that is known.

        Raises:
            LogUnavailableError: it cannot be read now.
        """
        # Looked at before the reading too: what waits now may be written, and be gone, when it returns.
        before = {device: self._waiting.point_of(device) for device in devices}
        points = dict(await self._cursors.read(devices))
        for device in devices:
            there = points.get(device)
            for point in (before[device], self._waiting.point_of(device)):
                if point is not None and (
                    there is None or there.epoch != point.epoch or there.seq < point.seq
                ):
                    points[device] = there = point
        return points

    async def run(self) -> None:
        """Write what waits, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + WRITE_SECONDS
            while loop.time() < due:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self._some_left.wait()
                        await asyncio.sleep(JOIN_SECONDS)
                await self._write_left()
            pause = 0.1
            while not await self._write_all():
                await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret.
                pause = min(2 * pause, WRITE_SECONDS)

    async def close(self) -> None:
        """Write what waits, as far as that can be done soon."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._write_all()
        if len(self._waiting):
            _log.warning("acknowledgements_lost", devices=len(self._waiting))

    async def _write_left(self) -> None:
        """Write what devices said that left; what cannot be written now goes with all the others."""
        left, self._left = self._left, {}
        self._some_left.clear()
        for _ in range(0, len(left), WRITTEN_AT_ONCE):
            if not await self._write(left):
                return

    async def _write_all(self) -> bool:
        """Write all that waits now; returns whether that could be done."""
        for _ in range(0, len(self._waiting), WRITTEN_AT_ONCE):
            if not await self._write(None):
                return False
        return True

    async def _write(self, devices: Iterable[Device] | None) -> bool:
        epoch = self._waiting.epoch
        taken = self._waiting.take(WRITTEN_AT_ONCE, devices)
        if not taken:
            return True
        try:
            await self._cursors.write(epoch, taken)
        except LogUnavailableError:
            return False
        except Exception:  # noqa: BLE001 - whatever it is, the next try may succeed.
            _log.exception("acknowledgements_not_written")
            return False
        self._waiting.wrote(epoch, taken)
        return True
