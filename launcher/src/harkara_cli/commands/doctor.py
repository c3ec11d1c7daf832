"""`doctor`."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harkara_cli.commands.options import DEFAULT, DataDirOption, JsonOption
from harkara_cli.data_dir import ROOT, DataDir
from harkara_cli.errors import CliError

if TYPE_CHECKING:
    from harkara_cli.doctor.findings import Check, Finding
    from harkara_cli.mesh_state import MeshState

_COLOURS = {"ok": "32", "warn": "33", "fail": "1;31"}
_NAME_WIDTH = 20
# What the services consist of; the launcher itself is as new as this command.
_SOURCES = ("catalogue", "schema", "servicekit", "edge", "event-service", "auth-service", "query-service")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="The mesh")(doctor)


def doctor(*, as_json: JsonOption = False, data_dir: DataDirOption = DEFAULT) -> int:
    """Look at everything that the mesh needs, and say what is wrong and what to do about it."""
    from harkara_cli.console import put  # noqa: PLC0415 - see main.
    from harkara_cli.doctor.findings import findings_of  # noqa: PLC0415

    found: list[Finding] = []
    for finding in findings_of(_checks(DataDir(data_dir))):
        found.append(finding)
        if not as_json:
            _print(finding)
    count = {verdict: sum(finding.verdict == verdict for finding in found) for verdict in _COLOURS}
    if as_json:
        from msgspec import to_builtins  # noqa: PLC0415 - see main.

        put(json.dumps({"ok": not count["fail"], "findings": to_builtins(found)}))
    else:
        put("\n" + _summary(count["fail"], count["warn"]))
    return 1 if count["fail"] else 0


def _checks(data: DataDir) -> Iterator[tuple[str, "Check"]]:
    """The checks, each where what comes before it makes it worth while."""
    from harkara_cli.doctor import machine  # noqa: PLC0415 - see main.

    yield "python", machine.python
    yield "packages", lambda: machine.packages(ROOT / "constraints.txt")
    yield "open files", machine.open_files
    yield "data folder", lambda: machine.folder(data)
    yield "secrets", lambda: machine.secrets(data)
    states: list[MeshState] = []
    yield "mesh", lambda: _mesh(data, states)
    from harkara_cli.doctor import mesh  # noqa: PLC0415 - gRPC takes a while: what is known is printed by then.

    if not states:
        if not data.is_locked():
            yield "ports", mesh.fixed_ports
        return
    (state,) = states
    from harkara_cli.doctor.database import database  # noqa: PLC0415 - see main.

    yield "database", lambda: database(state.postgres_dsn)
    yield "NATS", lambda: mesh.backplane(state)
    yield "services", lambda: mesh.processes(state)
    yield "gRPC", lambda: mesh.grpc_services(state)
    yield "REST", lambda: mesh.rest(state)
    yield "WebSocket", lambda: mesh.websocket(state, data.minter().for_user(state.users[0].user_id))
    yield "code", lambda: mesh.code(state, _sources(), mesh.process_start)


def _mesh(data: DataDir, states: "list[MeshState]") -> Iterator["Finding"]:
    from harkara_cli import mesh_state  # noqa: PLC0415 - see main.
    from harkara_cli.doctor.findings import fail, ok  # noqa: PLC0415

    try:
        states.append(mesh_state.load(data))
    except CliError as error:
        starting = data.is_locked()
        remedy = "wait a moment, or read the terminal of ./harkara up" if starting else _start(data)
        yield fail("mesh", str(error).partition(": start")[0], remedy)
    else:
        yield ok("mesh", f"runs on {data.path}")


def _start(data: DataDir) -> str:
    return "start it: ./harkara up" + ("" if data.path == DEFAULT else f" --data-dir {data.path}")


def _sources() -> Sequence[Path]:
    return [path for member in _SOURCES for path in (ROOT / member / "src").rglob("*.py")]


def _print(finding: "Finding") -> None:
    from harkara_cli.console import CONTROLS, paint, put, use_colour  # noqa: PLC0415 - see main.

    colour = use_colour(1)
    verdict = paint(f"{finding.verdict:<4}", _COLOURS[finding.verdict], when=colour)
    put(f"{verdict}  {finding.name:<{_NAME_WIDTH}}  {finding.found.translate(CONTROLS)}")
    if finding.remedy:
        remedy = paint(f"→ {finding.remedy.translate(CONTROLS)}", "1", when=colour)
        put(f"{'':4}  {'':{_NAME_WIDTH}}  {remedy}")


def _summary(failures: int, warnings: int) -> str:
    parts = [
        f"{number} {word}{'' if number == 1 else 's'}"
        for number, word in ((failures, "failure"), (warnings, "warning"))
        if number
    ]
    return " and ".join(parts) if parts else "All is well."
