"""`python -m harkara_event_service`: the event-service as a process of its own."""

from __future__ import annotations

import gc

# Nothing that is imported from here on is garbage; looking for some takes a tenth of the start.
gc.disable()

import sys  # noqa: E402

from harkara_event_service.settings import Settings  # noqa: E402
from harkara_event_service.wiring import serve  # noqa: E402
from harkara_servicekit import logs, runner  # noqa: E402
from harkara_servicekit.settings import load  # noqa: E402


def main() -> int:
    """Run until told to stop; returns the exit status."""
    settings = load(Settings)
    logs.configure("event-service", settings.log_level, settings.log_format)
    return runner.run(
        lambda stop, started: serve(settings, stop, started), shutdown_seconds=settings.shutdown_seconds
    )


if __name__ == "__main__":
    sys.exit(main())
