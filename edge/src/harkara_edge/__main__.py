"""`python -m harkara_edge`: one edge worker."""

from __future__ import annotations

import gc

# Nothing that is imported from here on is garbage; looking for some takes a tenth of the start.
gc.disable()

import asyncio  # noqa: E402
import sys  # noqa: E402

import uvloop  # noqa: E402

from harkara_edge.settings import EdgeSettings  # noqa: E402
from harkara_edge.wiring import serve  # noqa: E402
from harkara_servicekit import logs, runner  # noqa: E402
from harkara_servicekit.settings import load  # noqa: E402


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
