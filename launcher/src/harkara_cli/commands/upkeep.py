"""`migrate`."""

import os
from typing import Annotated

import typer

from harkara_cli.commands.options import DEFAULT, DataDirOption
from harkara_cli.data_dir import DataDir


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="Upkeep")(migrate)


def migrate(
    *,
    new_epoch: Annotated[
        bool,
        typer.Option(
            "--new-epoch",
            help="Then begin a new life of the log: no client resumes across it. For a database that was"
            " restored from a backup, or promoted with the chance of lost commits.",
        ),
    ] = False,
    dsn: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="HARKARA_MIGRATE_DSN",
            help="The database's owner, as postgresql://user:password@host:port/database.",
            show_default="the mesh's own Postgres",
        ),
    ] = None,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Bring the database's tables to this release. `up` does it by itself; the mesh need not run."""
    if dsn is not None:
        _migrate(dsn, new_epoch=new_epoch)
        return
    from harkara_cli import mesh_state  # noqa: PLC0415 - see main.

    data = DataDir(data_dir)
    if data.is_locked():
        _migrate(mesh_state.load(data).postgres_dsn, new_epoch=new_epoch)
    else:
        _on_stopped_mesh(data, new_epoch=new_epoch)


def _on_stopped_mesh(data: DataDir, *, new_epoch: bool) -> None:
    """Starts the mesh's Postgres for as long as it takes."""
    from harkara_cli import database  # noqa: PLC0415 - see main.
    from harkara_cli.mesh import postgres_server  # noqa: PLC0415

    with data.locked():
        data.make_secrets()
        server = postgres_server(data, 0, os.environ)
        try:
            server.start()
            dsn = server.dsn_of(database.DATABASE)
            database.make_database(server)
            _migrate(dsn, new_epoch=new_epoch)
        finally:
            server.stop()


def _migrate(dsn: str, *, new_epoch: bool) -> None:
    from harkara_cli import database  # noqa: PLC0415 - see main.
    from harkara_cli.console import put  # noqa: PLC0415

    before, after = database.migrate(dsn)
    put(f"tables at revision {after}" + (f" (from {before or 'nothing'})" if before != after else ""))
    if new_epoch:
        put(f"epoch {database.new_epoch(dsn)}")
