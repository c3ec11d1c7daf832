"""How the memory of a mesh's processes grows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.faults.mesh import FaultMesh

SERVICES = ("edge", "event-service", "auth-service", "query-service")
_SECONDS = 5.0


def private_mebibytes(pid: int) -> float:
    """Memory that belongs to a process alone; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(
        int(line.split()[1]) / 1024 for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:"))
    )


class MemoryWatch:
    """Samples the memory of each service, all its processes together.

    Args:
        mesh: Whose.

    Attributes:
        samples: Of each service, `(monotonic seconds, MiB)`.
    """

    def __init__(self, mesh: FaultMesh) -> None:
        self._mesh = mesh
        self.samples: dict[str, list[tuple[float, float]]] = {service: [] for service in SERVICES}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.to_thread(self.sample)
            await asyncio.sleep(_SECONDS)

    def sample(self) -> None:
        """Take one."""
        for service, samples in self.samples.items():
            total = sum(private_mebibytes(pid) for pid in self._mesh.pids(service))
            samples.append((time.monotonic(), total))

    def peaks(self) -> Mapping[str, float]:
        """The most that each service had, in MiB."""
        return {service: max(value for _, value in samples) for service, samples in self.samples.items()}

    def growth(self, since: float) -> Mapping[str, float]:
        """MiB a minute of each service, by least squares over the samples since a moment."""
        return {
            service: 60 * _slope([sample for sample in samples if sample[0] >= since])
            for service, samples in self.samples.items()
        }


def _slope(points: Sequence[tuple[float, float]]) -> float:
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0
