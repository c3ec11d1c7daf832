"""Shows what a bench found: a table for people, JSON for machines."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from harkara_bench.runs import SERVICES, Report


def show(report: Report, title: str, console: Console) -> None:
    """Print the report as a table."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = "CPU µs for each unit of work of the server processes; the wall clock is context only"
    table.add_column("work")
    bare = any(row.bare_us is not None for row in report.rows)
    for heading in ("events/s", "frames", *SERVICES, *(["bare send"] if bare else []), "per"):
        table.add_column(heading, justify="right")
    for row in report.rows:
        table.add_row(
            row.name,
            f"{row.rate:,.0f}",
            f"{row.delivered:,}",
            *(f"{row.cpu_us[service]:,.2f}" for service in SERVICES),
            *([f"{row.bare_us:,.2f}"] if row.bare_us is not None else []),
            row.unit,
        )
    console.print(table)
    if bare:
        console.print("bare send: a program that does nothing but send such frames to as many sockets")
    if report.memory is not None:
        each = report.memory.bytes_each
        total = sum(each.values()) / 1000
        parts = ", ".join(f"{service} {value / 1000:.1f}" for service, value in each.items())
        console.print(
            f"private memory of each of {report.memory.connections:,} idle connections:"
            f" {total:.1f} kB ({parts})"
        )
    faults = sum(row.out_of_order for row in report.rows)
    console.print(
        "every frame came, once and in order" if not faults else f"{faults} frames came out of order"
    )


def machine() -> dict[str, object]:
    """What it was measured on."""
    return {"cores": os.cpu_count(), "python": platform.python_version()}


def as_json(report: Report, name: str) -> str:
    """The report as one JSON object."""
    return json.dumps(
        {
            "bench": name,
            "machine": machine(),
            "rows": [{**asdict(row), "events_per_second": row.rate} for row in report.rows],
            "memory": asdict(report.memory) if report.memory is not None else None,
        }
    )
