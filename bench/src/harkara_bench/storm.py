"""The measurement `storm`: everybody loses the connection at once, and comes back at once."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grpc import aio
from rich.console import Console
from rich.table import Table

from harkara_bench.load import Emitter, add_users, drafts
from harkara_bench.runs import SERVICES, Mint, Say
from harkara_bench.target import Target, usage_of

SECONDS = 60.0
"""When to give up on who is not back."""


@dataclass(frozen=True)
class StormReport:
    """What a storm did.

    Args:
        clients: how many there were.
        missed: how many events each missed.
        back: how many came back and had all they missed.
        seconds: from the first connect to the last client's last missed event: the longest wait.
        median_seconds: half of them had waited no longer.
        failures: tries that did not succeed, by what ended them.
        lost: events that did not come.
        duplicates: events that came twice.
        out_of_order: events that came out of order.
        cpu_us: CPU microseconds of each service for each client.
        own_cpu_us: that of the clients themselves, who share the machine.
        peak_kib: the most memory that each service's processes ever had, together.
    """

    clients: int
    missed: int
    back: int
    seconds: float
    median_seconds: float
    failures: dict[str, int]
    lost: int
    duplicates: int
    out_of_order: int
    cpu_us: dict[str, float]
    own_cpu_us: float
    peak_kib: dict[str, int]

    @property
    def rate(self) -> float:
        """Clients a second that were back."""
        return self.back / self.seconds if self.seconds else 0.0


class _Crowd:
    """A process of clients (`storm_sockets`)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, url: str, tokens: Sequence[str]) -> _Crowd:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "harkara_bench.storm_sockets",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 26,
        )
        crowd = cls(process)
        answer = await crowd.ask(json.dumps({"url": url, "tokens": list(tokens), "seconds": SECONDS}))
        if answer.get("ready") != len(tokens):
            await crowd.close()
            message = f"only {answer.get('ready', 0)} of {len(tokens)} sockets opened"
            raise RuntimeError(message)
        return crowd

    async def ask(self, line: str) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            return {}
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()
        answer: dict[str, Any] = json.loads(await self._process.stdout.readline() or b"{}")
        return answer

    async def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


async def storm(target: Target, mint: Mint, say: Say, *, clients: int, missed: int) -> StormReport:
    """Have `clients` users connected, cut them off, emit `missed` events to each, and let them come back."""
    user_ids = [f"storm_{index}" for index in range(clients)]
    say(f"adding {clients} users")
    await add_users(target, user_ids)
    say(f"opening {clients} sockets")
    crowd = await _Crowd.start(target.websocket_url, [mint(user_id) for user_id in user_ids])
    try:
        await crowd.ask("cut")
        say(f"all are cut off; {missed} events for each of them")
        async with aio.insecure_channel(target.emit_target) as channel:
            await Emitter(channel, target.service_token).batch(drafts(user_ids, clients * missed), 500, 4)
        say("all come back")
        used = usage_of(target)
        answer = await crowd.ask(f"back {missed}")
        spent = usage_of(target).since(used)
    finally:
        await crowd.close()
    waits: list[float] = answer["waits"]
    return StormReport(
        clients=clients,
        missed=missed,
        back=answer["back"],
        seconds=answer["seconds"],
        median_seconds=waits[len(waits) // 2] if waits else 0.0,
        failures=answer["failures"],
        lost=(clients - answer["back"]) * missed,
        duplicates=answer["duplicates"],
        out_of_order=answer["out_of_order"],
        cpu_us={service: 1e6 * spent.get(service, 0.0) / clients for service in SERVICES},
        own_cpu_us=1e6 * answer["cpu_seconds"] / clients,
        peak_kib={service: _peak_kib(target, service) for service in SERVICES if service != "postgres"},
    )


def _peak_kib(target: Target, service: str) -> int:
    total = 0
    for pid in target.pids[service]:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1])
    return total


def show_storm(report: StormReport, console: Console) -> None:
    """Print the report as a table."""
    table = Table(
        title=f"storm: {report.clients:,} clients come back at once, each missed {report.missed} events",
        title_justify="left",
        show_header=False,
    )
    failures = ", ".join(f"{count:,} {why}" for why, count in sorted(report.failures.items())) or "none"
    for name, value in (
        ("back", f"{report.back:,} of {report.clients:,}"),
        ("clients a second", f"{report.rate:,.0f}"),
        ("longest wait", f"{report.seconds:.1f} s; half of them {report.median_seconds:.1f} s at most"),
        ("tries that failed", failures),
        ("events lost, twice, out of order", f"{report.lost}, {report.duplicates}, {report.out_of_order}"),
        *((f"{service}, CPU µs a client", f"{report.cpu_us[service]:,.0f}") for service in SERVICES),
        ("the clients themselves, CPU µs each", f"{report.own_cpu_us:,.0f}"),
        *((f"{service}, most memory", f"{kib / 1024:,.0f} MiB") for service, kib in report.peak_kib.items()),
    ):
        table.add_row(name, value)
    console.print(table)


def storm_as_json(report: StormReport) -> str:
    """The report as one JSON object."""
    return json.dumps({"bench": "storm", **asdict(report), "clients_per_second": report.rate})
