"""`bench`: starts a mesh of its own in a scratch folder, measures it, and throws it away."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harkara_cli.console import put, say
from harkara_cli.data_dir import DataDir
from harkara_cli.errors import CliError

if TYPE_CHECKING:
    from harkara_bench.runs import Report
    from harkara_bench.target import Target

# Of a mesh that is measured: all clients come from one machine, and one user has all sockets of `fanout`.
_SETTINGS = {
    "HARKARA_EDGE_MAX_CONNECTIONS_PER_ADDRESS": "1000000",
    "HARKARA_EVENT_SERVICE_MAX_CONNECTIONS_PER_USER": "1000000",
    "HARKARA_EDGE_LOG_LEVEL": "warning",
}
_STOP_SECONDS = 30

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Sockets = Annotated[int, typer.Option(min=1, max=50_000, help="Open sockets.")]
Workers = Annotated[int, typer.Option("--edge-workers", min=1, max=64, help="Edge processes.")]
Loop = Annotated[str | None, typer.Option(help="The edge's event loop: uvloop or asyncio.")]


def emit(
    *,
    sockets: Sockets = 1_000,
    events: Annotated[int, typer.Option(min=1_000, help="Events for each of the larger runs.")] = 60_000,
    edge_workers: Workers = 1,
    loop: Loop = None,
    as_json: AsJson = False,
) -> None:
    """Durable events a second, end to end: Emit to Postgres to an open socket of each user."""
    from harkara_bench import runs  # noqa: PLC0415 - gRPC takes a while to import.

    with _mesh(edge_workers, loop) as (line, data):
        report = asyncio.run(
            runs.emit(_target(line), data.minter().for_user, say, sockets=sockets, events=events)
        )
    _show(report, "emit", f"emit: {sockets:,} sockets, each of a user of its own", as_json=as_json)


def fanout(
    *,
    sockets: Sockets = 500,
    events: Annotated[int, typer.Option(min=10, help="Events for each run.")] = 600,
    edge_workers: Workers = 1,
    loop: Loop = None,
    as_json: AsJson = False,
) -> None:
    """One event to many sockets, singly and in bursts of 10; and what an idle socket holds in memory."""
    from harkara_bench import runs  # noqa: PLC0415 - gRPC takes a while to import.

    with _mesh(edge_workers, loop) as (line, data):
        report = asyncio.run(
            runs.fanout(_target(line), data.minter().for_user, say, sockets=sockets, events=events)
        )
    _show(report, "fanout", f"fanout: one user with {sockets:,} sockets", as_json=as_json)


def client(
    *,
    users: Annotated[int, typer.Option(min=1, max=50_000, help="Users, each told in turn.")] = 1_000,
    events: Annotated[int, typer.Option(min=1_000, help="Events for each of the larger runs.")] = 50_000,
    as_json: AsJson = False,
) -> None:
    """The Python client's Emitter: events a second, and how long a call waits until they are on disk."""
    from rich.console import Console  # noqa: PLC0415

    from harkara_bench import client as bench  # noqa: PLC0415 - gRPC takes a while to import.

    with _mesh(1, None) as (line, _):
        rows = asyncio.run(bench.client(_target(line), say, users=users, events=events))
    if as_json:
        put(bench.client_as_json(rows))
    else:
        title = f"client: Emitter, to {users:,} users"
        bench.show_client(rows, title, Console(width=None if sys.stdout.isatty() else 140))


def storm(  # noqa: PLR0913 - one option for each thing that can be chosen.
    *,
    clients: Annotated[int, typer.Option(min=1, max=15_000, help="Clients that come back.")] = 10_000,
    missed: Annotated[int, typer.Option(min=0, max=1_000, help="Events that each has missed.")] = 5,
    edge_workers: Workers = 1,
    replicas: Annotated[int, typer.Option(min=1, max=16, help="Event-services.")] = 1,
    loop: Loop = None,
    as_json: AsJson = False,
) -> None:
    """Everybody loses the connection and comes back at once: how long until all have what they missed."""
    from rich.console import Console  # noqa: PLC0415

    from harkara_bench import storm as bench  # noqa: PLC0415 - gRPC takes a while to import.

    with _mesh(edge_workers, loop, replicas) as (line, data):
        report = asyncio.run(
            bench.storm(_target(line), data.minter().for_user, say, clients=clients, missed=missed)
        )
    if as_json:
        put(bench.storm_as_json(report))
    else:
        bench.show_storm(report, Console(width=None if sys.stdout.isatty() else 140))


def register(app: typer.Typer) -> None:
    """Adds the group `bench`."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Measure what a mesh costs on this machine: CPU time for each event and each delivered message.",
    )
    group.command()(emit)
    group.command()(fanout)
    group.command()(storm)
    group.command()(client)
    app.add_typer(group, name="bench", rich_help_panel="Upkeep")


@contextlib.contextmanager
def _mesh(edge_workers: int, loop: str | None, replicas: int = 1) -> Iterator[tuple[bytes, DataDir]]:
    """A mesh of its own: the JSON line of its `up`, and its data folder."""
    environment = {**os.environ, **_SETTINGS}
    if loop is not None:
        environment["HARKARA_EDGE_LOOP"] = loop
    say("starting a mesh to measure")
    with tempfile.TemporaryDirectory(prefix="harkara-bench-") as folder:
        data_dir = Path(folder) / "data"
        command = [sys.executable, "-m", "harkara_cli", "up", "--json", "--ports", "auto"]
        command += ["--data-dir", str(data_dir), "--edge-workers", str(edge_workers)]
        command += ["--replicas", str(replicas)]
        with (Path(folder) / "log").open("wb+") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command.
                command, stdout=subprocess.PIPE, stderr=log, env=environment
            )
            assert process.stdout is not None  # noqa: S101 - we asked for the pipe.
            try:
                line = process.stdout.readline()
                if not line:
                    log.seek(0)
                    sys.stderr.write(log.read().decode(errors="replace"))
                    message = "the mesh to measure did not start"
                    raise CliError(message)
                yield line, DataDir(data_dir)
            finally:
                process.terminate()
                process.wait(_STOP_SECONDS)
                process.stdout.close()


def _target(line: bytes) -> "Target":
    import msgspec  # noqa: PLC0415 - as above.

    from harkara_bench.target import Target  # noqa: PLC0415

    return msgspec.convert(json.loads(line), Target)


def _show(report: "Report", name: str, title: str, *, as_json: bool) -> None:
    from rich.console import Console  # noqa: PLC0415

    from harkara_bench.report import as_json as to_json  # noqa: PLC0415 - as above.
    from harkara_bench.report import show  # noqa: PLC0415

    if as_json:
        put(to_json(report, name))
    else:
        # A pipe has no width to fit into.
        show(report, title, Console(width=None if sys.stdout.isatty() else 140))
