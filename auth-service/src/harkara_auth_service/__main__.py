"""`python -m harkara_auth_service`: the service as a process, told what to do by its environment."""

from __future__ import annotations

import sys

from harkara_auth_service.settings import AuthServiceSettings
from harkara_auth_service.wiring import serve
from harkara_servicekit import logs
from harkara_servicekit.runner import run
from harkara_servicekit.settings import load


def main() -> int:
    """Run the service until a signal stops it; its exit status."""
    settings = load(AuthServiceSettings)
    logs.configure("auth-service", settings.log_level, settings.log_format)
    return run(
        lambda stop, started: serve(settings, stop, started), shutdown_seconds=settings.shutdown_seconds
    )


if __name__ == "__main__":
    sys.exit(main())
