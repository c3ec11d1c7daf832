"""`python -m harkara_query_service`: one query-service, told by the environment what to do."""

import sys

from harkara_query_service.settings import QueryServiceSettings
from harkara_query_service.wiring import serve
from harkara_servicekit import logs, runner
from harkara_servicekit.settings import load


def main() -> int:
    """Run the service; return the process's exit status."""
    settings = load(QueryServiceSettings)
    logs.configure("query-service", settings.log_level, settings.log_format)
    return runner.run(
        lambda stop, started: serve(settings, stop, started), shutdown_seconds=settings.shutdown_seconds
    )


if __name__ == "__main__":
    sys.exit(main())
