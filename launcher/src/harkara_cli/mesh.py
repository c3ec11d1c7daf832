"""The processes of a mesh on one machine, and what each is told.

Starting and watching them is `supervisor`'s work; the order of things is `up`'s.
"""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from harkara_cli.addresses import (
    AUTH_SERVICE,
    EDGE,
    EVENT_SERVICE,
    NATS,
    QUERY_SERVICE,
    Addresses,
    connectable,
    joined,
    prefix,
    service_of,
)
from harkara_cli.child_process import spawn
from harkara_cli.data_dir import DataDir
from harkara_cli.embedded_postgres import EmbeddedPostgres
from harkara_cli.nats_server import NatsServer
from harkara_cli.supervisor import Program

POSTGRES = "postgres"

# What is stopped last comes first.
_RANKS = {POSTGRES: 0, NATS: 0, AUTH_SERVICE: 1, EVENT_SERVICE: 2, QUERY_SERVICE: 3, EDGE: 4}
_ANSWER_SECONDS = 2.0
# What a process may take beyond the time after which it ends by itself.
_STOP_MARGIN_SECONDS = 5.0
_SHUTDOWN_SECONDS = 10.0  # The services' own default.
# Who stops a mesh at a terminal waits for it.
_DRAIN_SECONDS = 1.0

_POSTGRES_SETTINGS = {
    "max_connections": "200",
    # Its default makes a checkpoint every few seconds of a flood of events.
    "max_wal_size": "2GB",
    "log_checkpoints": "off",
    # Shows LOG, FATAL and PANIC, not ERROR: a retried event is found by the `ERROR: duplicate key` of the
    # statement that would have stored it twice, and errors that matter are in the log of the service that
    # got them.
    "log_min_messages": "log",
}


@dataclass(frozen=True)
class Mesh:
    """The services.

    Attributes:
        data: The data folder, with its secrets.
        addresses: Where they listen.
        dsns: The Postgres URL of each service that has one.
        environment: What they are told beside that: settings in it win where `up` has no say.
        backplane_url: What joins several event-services; None where there is one.
    """

    data: DataDir
    addresses: Addresses
    dsns: Mapping[str, str]
    environment: Mapping[str, str]
    backplane_url: str | None = None

    def programs(self, service: str) -> list[Program]:
        """The processes of a service."""
        return [self._program(name) for name in self.addresses.ops if service_of(name) == service]

    def settings(self, name: str) -> dict[str, str]:
        """What `up` tells a process, by the names of its environment variables."""
        service = service_of(name)
        settings = {
            "LISTEN_ADDRESS": joined(*self.addresses.listen[service if service == EDGE else name]),
            "OPS_ADDRESS": joined(*self.addresses.ops[name]),
        }
        if not self.environment.get(f"{prefix(service)}LOG_FORMAT"):
            settings["LOG_FORMAT"] = "console"
        if service in self.dsns:
            settings["POSTGRES_DSN"] = self.dsns[service]
        if service == AUTH_SERVICE:
            settings["HS256_KEY_FILE"] = str(self.data.key_file)
        else:
            settings["AUTH_TARGET"] = self.addresses.target(AUTH_SERVICE)
            settings["CREDENTIAL_FILE"] = str(self.data.credential_file(service))
        if service in {AUTH_SERVICE, EVENT_SERVICE}:
            settings["REFLECTION"] = "true"
        if service == EVENT_SERVICE and self.backplane_url is not None:
            settings["BACKPLANE"] = self.backplane_url
        if service in {QUERY_SERVICE, EDGE}:
            settings["EVENT_TARGETS"] = ",".join(self.addresses.targets(EVENT_SERVICE))
        if service == QUERY_SERVICE and not self.environment.get(f"{prefix(service)}WEBSOCKET_URL"):
            settings["WEBSOCKET_URL"] = self.addresses.websocket_url
        if service == EDGE:
            settings["WORKER"] = name
            settings["WORKERS"] = str(
                len([other for other in self.addresses.ops if service_of(other) == EDGE])
            )
            if not self.environment.get(f"{prefix(service)}DRAIN_SECONDS"):
                settings["DRAIN_SECONDS"] = f"{_DRAIN_SECONDS:g}"
        return {f"{prefix(service)}{key}": value for key, value in settings.items()}

    def _program(self, name: str) -> Program:
        module = f"harkara_{service_of(name).replace('-', '_')}"
        # -P: a module in the working folder must not be taken for one of ours.
        argv = [sys.executable, "-P", "-m", module]
        environment = {**self.environment, **self.settings(name)}
        return Program(
            name=name,
            rank=_RANKS[service_of(name)],
            spawn=lambda log: spawn(argv, env=environment, stdout=log, stderr=log),
            is_ready=lambda: answers_ready(*self.addresses.ops[name]),
            stop_seconds=self._stop_seconds(environment, prefix(service_of(name))),
        )

    @staticmethod
    def _stop_seconds(environment: Mapping[str, str], prefixed: str) -> float:
        """How long a process may take to stop."""
        drain = _seconds(environment.get(f"{prefixed}DRAIN_SECONDS"), 0)
        shutdown = _seconds(environment.get(f"{prefixed}SHUTDOWN_SECONDS"), _SHUTDOWN_SECONDS)
        return drain + shutdown + _STOP_MARGIN_SECONDS


def _seconds(text: str | None, default: float) -> float:
    """A setting; the service itself says what is wrong with one that is no number."""
    try:
        return float(text or default)
    except ValueError:
        return default


def postgres_server(data: DataDir, port: int, environment: Mapping[str, str]) -> EmbeddedPostgres:
    """The mesh's Postgres, not started."""
    return EmbeddedPostgres(data.postgres, port, _POSTGRES_SETTINGS, environment=environment)


def postgres_program(server: EmbeddedPostgres) -> Program:
    """The mesh's Postgres as a program."""

    def start(log: int) -> "subprocess.Popen[bytes]":
        server.spawn(log)
        return server.process

    async def is_ready() -> bool:
        return await asyncio.to_thread(server.is_ready)

    return Program(
        name=POSTGRES,
        rank=_RANKS[POSTGRES],
        spawn=start,
        is_ready=is_ready,
        stop_signal=signal.SIGINT,  # Rolls back what is open, and writes everything down.
        hurry_signal=signal.SIGQUIT,  # Recovers at the next start.
        stop_seconds=_SHUTDOWN_SECONDS + _STOP_MARGIN_SECONDS,
    )


def nats_program(server: NatsServer) -> Program:
    """The mesh's NATS as a program."""
    return Program(
        name=NATS,
        rank=_RANKS[NATS],
        spawn=server.spawn,
        is_ready=server.is_ready,
        stop_seconds=_STOP_MARGIN_SECONDS,
    )


async def answers_ready(host: str, port: int) -> bool:
    """Whether `/readyz` of an ops port says yes. Cancelling it closes the connection."""
    target_host, _, target_port = connectable(host, port).rpartition(":")
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(target_host.strip("[]"), int(target_port))
            try:
                writer.write(f"GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                status_line = await reader.readline()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return status_line.split(b" ")[1:2] == [b"200"]
