"""What devices have acknowledged and is not written down yet.

Acknowledgements come often and are cumulative, so they are joined: of each device only the highest
waits. Losing one costs its device a few events again and nothing else; that is why they may wait at
all, and why their number may be bounded.

Pure: the time is an argument. Not here: who writes them when.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from harkara_event_service.domain.cursor import Device, ResumePoint

MAX_DEVICES = 20
"""How many devices of one user are remembered; the least recent goes."""


class Acknowledged(NamedTuple):
    """Up to where a device has dealt with its user's stream.

    Args:
        device: whose.
        seq: the last event that it dealt with.
        at: when it said so; UTC.
    """

    device: Device
    seq: int
    at: datetime


class Acknowledgements:
    """Those that wait, all of one life of the log.

    Args:
        most: how many devices may wait; past it the one that waits longest is forgotten.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._epoch = ""
        # The one that waits longest comes first.
        self._waiting: dict[Device, Acknowledged] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def epoch(self) -> str:
        """The life of the log that they belong to."""
        return self._epoch

    def begin(self, epoch: str) -> None:
        """This is the log's life from now on: what waits of another means nothing any more."""
        if epoch != self._epoch:
            self._waiting.clear()
            self._epoch = epoch

    def add(self, epoch: str, acknowledged: Acknowledged) -> None:
        """Join one; see `begin`."""
        self.begin(epoch)
        before = self._waiting.get(acknowledged.device)
        if before is not None and before.seq > acknowledged.seq:
            acknowledged = acknowledged._replace(seq=before.seq)
        self._waiting[acknowledged.device] = acknowledged
        if len(self._waiting) > self._most:
            del self._waiting[next(iter(self._waiting))]

    def point_of(self, device: Device) -> ResumePoint | None:
        """Where a device stands by what waits; None where nothing of it does."""
        waiting = self._waiting.get(device)
        return None if waiting is None else ResumePoint(self._epoch, waiting.seq)

    def take(self, most: int, devices: Iterable[Device] | None = None) -> Sequence[Acknowledged]:
        """What to write now; it goes on waiting until `wrote` says that it is written.

        Args:
            most: how many at most.
            devices: of these only; None for all.

        Returns:
            By device; of one user at most `MAX_DEVICES`, the most recent.
        """
        found: list[Acknowledged] = []
        of_user: dict[str, list[Acknowledged]] = {}
        for device in self._waiting if devices is None else devices:
            waiting = self._waiting.get(device)
            if waiting is None:
                continue
            if len(found) == most:
                break
            found.append(waiting)
            of_user.setdefault(device.user_id, []).append(waiting)
        for waiting_ones in of_user.values():
            if len(waiting_ones) > MAX_DEVICES:
                waiting_ones.sort(key=lambda each: each.at)
                for oldest in waiting_ones[:-MAX_DEVICES]:
                    found.remove(oldest)
                    del self._waiting[oldest.device]
        return sorted(found)

    def wrote(self, epoch: str, written: Iterable[Acknowledged]) -> None:
        """These are written: those that nothing was added to meanwhile wait no more."""
        if epoch != self._epoch:
            return
        for each in written:
            if self._waiting.get(each.device) == each:
                del self._waiting[each.device]
