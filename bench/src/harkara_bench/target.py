"""The mesh under measurement, as `./harkara up --json` describes it, and what its processes used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

_TICKS = os.sysconf("SC_CLK_TCK")


class Target(msgspec.Struct):
    """What the JSON line of `up` says; see there."""

    websocket_url: str
    emit_target: str
    auth_target: str
    data_dir: str
    pids: dict[str, list[int]]
    admin_token: str
    service_token: str


@dataclass(frozen=True)
class Usage:
    """CPU seconds that each service has used so far, children included."""

    seconds: dict[str, float]

    def since(self, earlier: Usage) -> dict[str, float]:
        """CPU seconds used by each service since `earlier`."""
        return {name: value - earlier.seconds[name] for name, value in self.seconds.items()}


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(value) for value in fields[11:15]) / _TICKS


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def usage_of(target: Target) -> Usage:
    """What each service has used until now; Postgres with all its backends."""
    return Usage(
        {
            name: sum(_cpu_seconds(pid) + sum(map(_cpu_seconds, _children(pid))) for pid in pids)
            for name, pids in target.pids.items()
        }
    )


def private_bytes(target: Target, service: str) -> int:
    """Memory that belongs to the service's processes alone."""
    total = 0
    for pid in target.pids[service]:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total
