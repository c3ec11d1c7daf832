"""`python -m harkara_edge`: one edge worker."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from harkara_edge.settings import EdgeSettings
from harkara_edge.wiring import serve
from harkara_servicekit import logs, runner
from harkara_servicekit.settings import load


def main() -> int:
    """Run a worker until a signal asks it to stop; return the exit status."""
    settings = load(EdgeSettings)
    logs.configure("edge", settings.log_level, settings.log_format)
    hurry = asyncio.Event()
    return runner.run(
        lambda stop, started: serve(settings, stop, started, hurry=hurry),
        # The drain comes before the stop, and is no hang.
        shutdown_seconds=settings.drain_seconds + settings.shutdown_seconds,
        hurry=hurry,
        loop_factory=uvloop.new_event_loop if settings.loop == "uvloop" else None,
    )


if __name__ == "__main__":
    sys.exit(main())
