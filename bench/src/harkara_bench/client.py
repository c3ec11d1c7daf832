"""What the Python client's `Emitter` does: events a second, and how long whoever emits waits."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from harkara_bench.load import DATA, add_users
from harkara_bench.report import machine
from harkara_bench.target import Target, usage_of
from harkara_client import Draft, Emitted, Emitter

EVENT_TYPE = "delivery_in_transit"

_DATA: dict[str, Any] = json.loads(DATA)


@dataclass(frozen=True)
class Row:
    """One way to emit.

    Args:
        name: which.
        events: how many were emitted.
        seconds: from the first call to the last answer.
        p50_ms: half of the calls were answered within so many milliseconds.
        p99_ms: 99 of 100 were.
        client_us: CPU microseconds of this process for each event.
        service_us: likewise of the event-service.
    """

    name: str
    events: int
    seconds: float
    p50_ms: float
    p99_ms: float
    client_us: float
    service_us: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


class NotStoredError(Exception):
    """An event was not answered OK: what was measured is no figure."""


Call = Callable[[int], Awaitable[None]]
"""Emits the events from this number on that go in one call."""


async def client(target: Target, say: Callable[[str], None], *, users: int, events: int) -> list[Row]:
    """Emit to `users` users: `emit` by so many at once, and `emit_many` of so many together.

    Args:
        target: The mesh.
        say: Told what is done now.
        users: To how many, in turn.
        events: In each of the larger runs.

    Raises:
        NotStoredError: Not all were stored.
    """
    user_ids = [f"bench_{index}" for index in range(users)]
    say(f"adding {users} users")
    await add_users(target, user_ids)
    rows = []
    async with Emitter(target.emit_target, token=target.service_token) as emitter:
        single, several = calls_of(emitter, user_ids)
        await measure("warm-up", 1_000, 100, 1, several(100))
        for at_once, share in ((1, 100), (32, 4), (500, 1)):
            rows.append((f"emit, {at_once:,} at once", max(events // share, 100), 1, at_once, single))
        for size, share in ((10, 10), (100, 2), (1_000, 1)):
            rows.append((f"emit_many of {size:,}", max(events // share, size), size, 1, several(size)))
        measured = []
        for name, count, size, at_once, call in rows:
            say(name)
            before = usage_of(target)
            row = await measure(name, count, size, at_once, call)
            spent = usage_of(target).since(before)["event-service"]
            measured.append(Row(**{**asdict(row), "service_us": 1e6 * spent / row.events}))
    return measured


def calls_of(emitter: Emitter, user_ids: Sequence[str]) -> tuple[Call, Callable[[int], Call]]:
    """`emit` of one event, and, given how many go together, `emit_many`."""

    async def single(number: int) -> None:
        await emitter.emit(user_ids[number % len(user_ids)], EVENT_TYPE, _DATA)

    def several(size: int) -> Call:
        async def call(number: int) -> None:
            drafts = [
                Draft(user_id=user_ids[each % len(user_ids)], event_type=EVENT_TYPE, data=_DATA)
                for each in range(number, number + size)
            ]
            outcomes = await emitter.emit_many(drafts)
            for outcome in outcomes:
                if not isinstance(outcome, Emitted):
                    raise NotStoredError(str(outcome)) from outcome

        return call

    return single, several


async def measure(name: str, events: int, size: int, at_once: int, call: Call) -> Row:
    """Make calls of `size` events until there were about so many, `at_once` under way.

    Args:
        name: Of the row.
        events: How many.
        size: How many go in one call.
        at_once: How many calls are under way, at least 1.
        call: Makes one.
    """
    numbers = iter(range(0, events, size))
    took: list[float] = []

    async def worker(numbers: Iterator[int]) -> None:
        for number in numbers:
            asked = time.perf_counter()
            await call(number)
            took.append(time.perf_counter() - asked)

    cpu, began = time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as workers:
        for _ in range(at_once):
            workers.create_task(worker(numbers))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    done = len(took) * size
    return Row(
        name=name,
        events=done,
        seconds=seconds,
        p50_ms=1e3 * percentile(took, 50),
        p99_ms=1e3 * percentile(took, 99),
        client_us=1e6 * cpu / done,
        service_us=0.0,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the values that so many percent of them do not exceed; there is at least one."""
    return sorted(values)[max(math.ceil(len(values) * share / 100) - 1, 0)]


def show_client(rows: Sequence[Row], title: str, console: Console) -> None:
    """Print the rows as a table."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = "ms until a call was answered: the events are on disk. CPU µs for each event"
    table.add_column("call")
    for heading in ("events/s", "p50 ms", "p99 ms", "client µs", "event-service µs"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.rate:,.0f}",
            f"{row.p50_ms:,.1f}",
            f"{row.p99_ms:,.1f}",
            f"{row.client_us:,.1f}",
            f"{row.service_us:,.1f}",
        )
    console.print(table)


def client_as_json(rows: Sequence[Row]) -> str:
    """The rows as one JSON object."""
    return json.dumps(
        {
            "bench": "client",
            "machine": machine(),
            "rows": [{**asdict(row), "events_per_second": row.rate} for row in rows],
        }
    )
