"""`events show|list`."""

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harkara_cli.commands.options import (
    DEFAULT,
    DataDirOption,
    JsonOption,
    complete_types,
    complete_users,
    read_ids,
)
from harkara_cli.data_dir import DataDir
from harkara_cli.errors import MisuseError

if TYPE_CHECKING:
    from harkara_cli.rest import Rest

_PAGE = 100  # As many as one answer may hold.
_TOKEN_SECONDS = 300
_EVENT_ID = re.compile(r"evt_[0-9A-HJKMNP-TV-Z]{26}")


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(help="Look up events that are stored.")
    group.command("show")(show)
    group.command("list")(list_events)
    app.add_typer(group, name="events", rich_help_panel="Events")


def show(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="evt_ and a ULID.", show_default=False)],
    *,
    as_json: JsonOption = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Show everything about one event."""
    from harkara_cli.console import put  # noqa: PLC0415 - see main.
    from harkara_cli.event_lines import one_line  # noqa: PLC0415
    from harkara_cli.event_page import show_event  # noqa: PLC0415

    if not _EVENT_ID.fullmatch(event_id):
        message = f"{event_id[:80]!r} is no event id: evt_ and 26 characters of a ULID"
        raise MisuseError(message)
    event = _rest(data_dir).event(event_id)
    if as_json:
        put(one_line(event.decode()))
    else:
        show_event(event)


def list_events(  # noqa: PLR0913 - each is an option of the command.
    *,
    user: Annotated[
        str,
        typer.Option(metavar="ID", help="Whose events.", show_default=False, autocompletion=complete_users),
    ],
    event_type: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only this event type.",
            show_default="all",
            autocompletion=complete_types,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many at most.")] = 20,
    before_seq: Annotated[
        int | None,
        typer.Option(metavar="SEQ", min=1, help="Only events before this one.", show_default="the newest"),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Show data as JSON, not as key=value.")] = False,
    as_json: JsonOption = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """List a user's stored events, the newest first."""
    import msgspec  # noqa: PLC0415 - see main.

    from harkara_cli.console import put, say, use_colour  # noqa: PLC0415
    from harkara_cli.event_lines import Event, LineStyle, as_line, one_line  # noqa: PLC0415

    (user_id,) = read_ids([user])
    rest = _rest(data_dir)
    style = LineStyle(use_colour(1), full, dated=True)
    today = datetime.now().astimezone().date()
    left, last = limit, before_seq
    while left:
        asked = min(left, _PAGE)
        page = rest.history(user_id, limit=asked, event_type=event_type, before_seq=last)
        for text in page:
            event = msgspec.json.decode(text, type=Event)
            put(one_line(text.decode()) if as_json else as_line(event, style, today))
            last = event.seq
        left -= len(page)
        if len(page) < asked:
            if left == limit and not as_json:
                say(f"no events of {user_id}")
            return
    if not as_json and last is not None and last > 1:
        say(f"there may be older ones: --before-seq {last}")


def _rest(data_dir: Path) -> "Rest":
    from harkara_cli import mesh_state  # noqa: PLC0415 - see main.
    from harkara_cli.rest import Rest  # noqa: PLC0415

    data = DataDir(data_dir)
    state = mesh_state.load(data)
    # The demo admin is the operator of a mesh on one machine, as far as REST goes; its reads are audited.
    admin = mesh_state.DEMO_ADMIN
    return Rest(state.rest_url, data.minter().for_user(admin, "admin", _TOKEN_SECONDS), admin)
