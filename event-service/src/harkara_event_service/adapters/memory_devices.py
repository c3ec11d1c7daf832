"""Devices' places in memory: what `ports.DeviceCursors` promises, for tests and nothing that must last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from harkara_event_service.domain.acknowledgements import MAX_DEVICES, Acknowledged
from harkara_event_service.domain.cursor import Device, ResumePoint
from harkara_event_service.ports import LogUnavailableError


class MemoryDevices:
    """`DeviceCursors` in memory.

    Args:
        epoch: the log's.

    Attributes:
        epoch: may be changed.
        is_available: while False nothing can be read or written.
        writes: how often something was written.
    """

    def __init__(self, epoch: str = "memory") -> None:
        self.epoch = epoch
        self.is_available = True
        self.writes = 0
        self._places: defaultdict[str, dict[Device, tuple[str, Acknowledged]]] = defaultdict(dict)

    async def read(self, devices: Collection[Device]) -> Mapping[Device, ResumePoint]:
        """See `DeviceCursors.read`."""
        self._check_available()
        found: dict[Device, ResumePoint] = {}
        for device in devices:
            place = self._places[device.user_id].get(device)
            if place is not None:
                found[device] = ResumePoint(place[0], place[1].seq)
        return found

    async def write(self, epoch: str, acknowledged: Sequence[Acknowledged]) -> None:
        """See `DeviceCursors.write`."""
        self._check_available()
        self.writes += 1
        if epoch != self.epoch:
            return
        for new in acknowledged:
            places = self._places[new.device.user_id]
            there_epoch, there = places.get(new.device, (epoch, new))
            seq = max(new.seq, there.seq) if there_epoch == epoch else new.seq
            places[new.device] = (epoch, Acknowledged(new.device, seq, max(new.at, there.at)))
        written = {new.device for new in acknowledged}
        for user_id in {device.user_id for device in written}:
            places = self._places[user_id]
            # Those of now stay, whatever their clock says.
            others = [there for device, (_, there) in places.items() if device not in written]
            others.sort(key=lambda there: there.at)
            for there in others[: max(0, len(places) - MAX_DEVICES)]:
                del places[there.device]

    def _check_available(self) -> None:
        if not self.is_available:
            raise LogUnavailableError("the devices were told to be away")
