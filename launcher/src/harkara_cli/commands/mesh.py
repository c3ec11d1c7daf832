"""`up` and `status`."""

from typing import Annotated, Literal

import typer

from harkara_cli.commands.options import DEFAULT, DataDirOption, JsonOption
from harkara_cli.data_dir import DataDir

_PANEL = "The mesh"
_MAX_EDGE_WORKERS = 64
_MAX_REPLICAS = 16


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(rich_help_panel=_PANEL)(up)
    app.command(rich_help_panel=_PANEL)(status)


def up(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line once everything is ready, and nothing else.")
    ] = False,
    ports: Annotated[
        Literal["fixed", "auto"],
        typer.Option(help="The fixed ports (or what the settings say), or free ones."),
    ] = "fixed",
    edge_workers: Annotated[
        int,
        typer.Option(
            min=1,
            max=_MAX_EDGE_WORKERS,
            metavar="N",
            envvar="HARKARA_EDGE_WORKERS",
            help="How many edge processes share the WebSocket port.",
        ),
    ] = 1,
    replicas: Annotated[
        int,
        typer.Option(
            min=1,
            max=_MAX_REPLICAS,
            metavar="N",
            envvar="HARKARA_REPLICAS",
            help="How many event-services; several are joined by a NATS server.",
        ),
    ] = 1,
    data_dir: DataDirOption = DEFAULT,
) -> int:
    """Run the whole mesh on this machine until Ctrl-C.

    Starts Postgres, auth-service, event-service, query-service and edge as processes of their own, and
    starts again what dies. Data stays in the data folder. Services take their settings from the
    environment (HARKARA_EDGE_…, HARKARA_EVENT_SERVICE_…, see docs/operations.md).
    """
    from harkara_cli.up import UpOptions, run  # noqa: PLC0415 - see main.

    return run(UpOptions(data_dir, as_json, ports == "auto", edge_workers, replicas))


def status(*, as_json: JsonOption = False, data_dir: DataDirOption = DEFAULT) -> None:
    """Show where the mesh is and what runs: the same as `up --json`, with the pids of now."""
    from harkara_cli import mesh_state  # noqa: PLC0415 - see main.
    from harkara_cli.console import put, put_table  # noqa: PLC0415

    data = DataDir(data_dir)
    state = mesh_state.load(data).with_fresh_tokens(data.minter())
    if as_json:
        put(state.to_json())
        return
    where = {
        "edge": state.websocket_url,
        "event-service": ", ".join(state.emit_targets),
        "auth-service": state.auth_target,
        "query-service": state.rest_url,
        "postgres": state.postgres_dsn.rpartition("@")[2],
        "nats": (state.backplane_url or "").rpartition("@")[2],
    }
    rows = [
        (
            name,
            where.get(name, ""),
            ", ".join(str(pid) for pid in pids) or "starting",
            ", ".join(state.ops_urls.get(name, [])),
        )
        for name, pids in state.pids.items()
    ]
    put_table(("service", "at", "pids", "health and metrics"), rows)
    put(f"\ndata in {state.data_dir}")
