"""`users add|list|disable|remove`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harkara_cli.commands.options import DEFAULT, DataDirOption, IdsArgument, JsonOption, read_ids
from harkara_cli.data_dir import DataDir

if TYPE_CHECKING:
    from harkara_cli.users import Users


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(help="Add, list, disable and remove users.")
    group.command("add")(add)
    group.command("list")(list_users)
    group.command("disable")(disable)
    group.command("remove")(remove)
    app.add_typer(group, name="users", rich_help_panel="People and services")


def add(
    ids: IdsArgument,
    *,
    role: Annotated[
        Literal["customer", "delivery_boy", "shop", "support", "admin"] | None,
        typer.Option(
            help="What they may do. Without it new users become customers, and others stay what they are.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Add users, or let disabled ones in again, and say what happened to each. `--role` changes roles too."""
    user_ids = read_ids(ids)
    with _users(data_dir) as users:
        for user_id, happened in users.let_in(user_ids, role):
            _done(f"{user_id}: {happened}")


def list_users(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]", help="Only these; - reads them from standard input."),
    ] = None,
    *,
    as_json: JsonOption = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """List users with role and status."""
    import json  # noqa: PLC0415 - see main.

    from harkara_cli.console import put, put_table  # noqa: PLC0415

    user_ids = read_ids(ids) if ids else []
    with _users(data_dir) as users:
        rows = users.listed(user_ids)
        if not as_json:
            put_table(("user", "role", "status"), rows)
            return
        for user_id, role, status in rows:
            put(json.dumps({"user_id": user_id, "user_role": role, "status": status}))


def disable(ids: IdsArgument, *, data_dir: DataDirOption = DEFAULT) -> None:
    """Keep users out: their sessions end, their tokens are refused. `users add` lets them in again."""
    user_ids = read_ids(ids)
    with _users(data_dir) as users:
        users.disable(user_ids)
    _done(f"{_counted(user_ids)} disabled")


def remove(ids: IdsArgument, *, data_dir: DataDirOption = DEFAULT) -> None:
    """Remove users: their sessions end. Their events stay until retention takes them."""
    user_ids = read_ids(ids)
    with _users(data_dir) as users:
        users.remove(user_ids)
    _done(f"{_counted(user_ids)} removed")


@contextmanager
def _users(data_dir: Path) -> Iterator["Users"]:
    from harkara_cli import mesh_state  # noqa: PLC0415 - see main.
    from harkara_cli.calls import connected  # noqa: PLC0415
    from harkara_cli.users import Users  # noqa: PLC0415

    data = DataDir(data_dir)
    state = mesh_state.load(data)
    with connected(state.auth_target, "auth-service", data.credential("operator")) as caller:
        yield Users(caller)


def _counted(user_ids: list[str]) -> str:
    return user_ids[0] if len(user_ids) == 1 else f"{len(user_ids)} users"


def _done(line: str) -> None:
    from harkara_cli.console import say  # noqa: PLC0415 - see main.

    say(line)
