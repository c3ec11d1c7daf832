"""One more process of a service beside a mesh, told things that `up` would not tell it: proxies as peers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from harkara_cli.addresses import prefix
from harkara_cli.data_dir import DataDir
from harkara_cli.ports import LOOPBACK, free_port
from harkara_schema.logins import LOGINS
from harkara_servicekit.failpoints import VARIABLE
from tests.support.faults.mesh import SETTINGS, FaultMesh, is_ready

_START_SECONDS = 30
_STOP_SECONDS = 20


@dataclass(frozen=True)
class Extra:
    """Such a process.

    Attributes:
        address: `host:port` where it listens.
        pid: Its process.
    """

    address: str
    pid: int


@asynccontextmanager
async def extra_service(
    mesh: FaultMesh, service: str, settings: Mapping[str, str], folder: Path, *, failpoints: str = ""
) -> AsyncIterator[Extra]:
    """Run it, with the mesh's credentials.

    Args:
        mesh: Beside which.
        service: Its name, such as `edge`.
        settings: Without their prefix; they come on top of the mesh's own.
        folder: Where its log is written.
        failpoints: `HARKARA_FAILPOINTS` for it alone.
    """
    data = DataDir(Path(mesh.mesh.data_dir))
    port = free_port()
    listen, ops = f"{LOOPBACK}:{port}", f"{LOOPBACK}:{free_port({port})}"
    told = {
        "LISTEN_ADDRESS": listen,
        "OPS_ADDRESS": ops,
        "AUTH_TARGET": mesh.mesh.auth_target,
        "CREDENTIAL_FILE": str(data.credential_file(service)),
        **settings,
    }
    environment = {f"{prefix(service)}{name}": value for name, value in told.items()}
    log = folder / f"extra-{service}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - it starts at once; our own command.
            [sys.executable, "-m", f"harkara_{service.replace('-', '_')}"],
            env={**os.environ, **SETTINGS, **environment, VARIABLE: failpoints},
            stderr=file,
        )
        try:
            await _ready(process, ops)
            yield Extra(listen, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


@asynccontextmanager
async def extra_edge(mesh: FaultMesh, folder: Path, **settings: str) -> AsyncIterator[str]:
    """One more edge, attached to the mesh's event-service unless told otherwise; where clients connect."""
    told = {"EVENT_TARGETS": mesh.mesh.emit_target, **settings}
    async with extra_service(mesh, "edge", told, folder) as extra:
        yield f"ws://{extra.address}{urlsplit(mesh.mesh.websocket_url).path}"


async def _ready(process: subprocess.Popen[bytes], ops: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not await asyncio.to_thread(is_ready, f"http://{ops}"):
        assert process.poll() is None, "the extra service ended: see its log"
        assert time.monotonic() < deadline, "the extra service is not ready: see its log"
        await asyncio.sleep(0.05)


def login_dsn(mesh: FaultMesh, user: str) -> str:
    """The libpq URL of a service's own login."""
    assert user in LOGINS, f"{user} is none of {LOGINS}"
    password = DataDir(Path(mesh.mesh.data_dir)).password_file(user).read_text().strip()
    return f"postgresql://{user}:{password}@{mesh.mesh.postgres_dsn.rpartition('@')[2]}"
