"""`python -m harkara_event_service`: the event-service as a process of its own."""

from __future__ import annotations

import sys

from harkara_event_service.settings import Settings
from harkara_event_service.wiring import serve
from harkara_servicekit import logs, runner
from harkara_servicekit.settings import load


def main() -> int:
    """Run until told to stop; returns the exit status."""
    settings = load(Settings)
    logs.configure("event-service", settings.log_level, settings.log_format)
    return runner.run(
        lambda stop, started: serve(settings, stop, started), shutdown_seconds=settings.shutdown_seconds
    )


if __name__ == "__main__":
    sys.exit(main())
