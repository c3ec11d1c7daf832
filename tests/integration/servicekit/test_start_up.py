"""How soon a service serves again after its death is how long it takes to import what it runs on."""

import json
import subprocess
import sys

import pytest

# Each takes a tenth of a second or more, and none is needed until a setting asks for it.
SLOW = {"alembic", "httpx", "nats", "pydantic_settings", "rich", "sqlalchemy", "starlette", "uvicorn"}


@pytest.mark.parametrize("service", ["event_service", "edge"])
def test_a_service_that_clients_wait_for_imports_nothing_slow_that_it_does_not_need(service: str) -> None:
    program = (
        f"import json, sys, harkara_{service}.__main__\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    run = subprocess.run(  # noqa: S603 - our own program.
        [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, timeout=60
    )
    assert SLOW.isdisjoint(json.loads(run.stdout))


def test_structlog_is_not_kept_from_rich_for_good() -> None:
    program = "import harkara_servicekit, rich.console, structlog; print(structlog.dev.rich)"
    run = subprocess.run(  # noqa: S603 - our own program.
        [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, timeout=60, text=True
    )
    assert run.stdout == "None\n"
