"""`tail`."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harkara_cli.commands.options import (
    DEFAULT,
    DataDirOption,
    JsonOption,
    complete_type_lists,
    complete_users,
    read_ids,
)
from harkara_cli.data_dir import DataDir
from harkara_cli.errors import MisuseError

if TYPE_CHECKING:
    from harkara_cli.event_filter import EventFilter
    from harkara_cli.event_lines import Event, LineStyle
    from harkara_cli.tail import Tail


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="Events")(tail)


def tail(  # noqa: PLR0913 - each is an option of the command.
    *,
    user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Whose events. Repeatable.",
            show_default="the demo users",
            autocompletion=complete_users,
        ),
    ] = None,
    types: Annotated[
        str,
        typer.Option(
            metavar="TYPES",
            help="Only these event types, with commas; globs too: 'payment_*,order_ready'.",
            autocompletion=complete_type_lists,
        ),
    ] = "*",
    level: Annotated[
        Literal["low", "medium", "high", "critical"] | None,
        typer.Option(help="Only this level and what is more urgent.", show_default="every level"),
    ] = None,
    grep: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only events that hold this text.", show_default="all"),
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            metavar="SEQ",
            min=0,
            help="Begin after this one; 0 is the very first.",
            show_default="with the next",
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="End after N events.", show_default="never")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Show data as JSON, not as key=value.")] = False,
    as_json: JsonOption = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Print users' events as they come, over the WebSocket; resumes after a loss."""
    import asyncio  # noqa: PLC0415 - see main.

    from harkara_cli.console import use_colour  # noqa: PLC0415
    from harkara_cli.event_filter import EventFilter  # noqa: PLC0415
    from harkara_cli.event_lines import LineStyle  # noqa: PLC0415
    from harkara_cli.output_reader import while_read  # noqa: PLC0415
    from harkara_cli.tail import follow_all  # noqa: PLC0415

    user_ids = read_ids(user) if user else _demo_users()
    if since and len(user_ids) > 1:
        message = f"--since {since} goes with one --user: each has numbers of their own (0 is every first)"
        raise MisuseError(message)
    wanted = [part.strip() for part in types.split(",")]
    if not all(wanted):
        message = f"--types {types!r} is no list of event types"
        raise MisuseError(message)
    width = max(map(len, user_ids)) if len(user_ids) > 1 else 0
    screen = _Screen(
        EventFilter(wanted, level, grep),
        None if as_json else LineStyle(use_colour(1), full, width),
        count,
    )
    tails = _tails(user_ids, screen, since, DataDir(data_dir))
    asyncio.run(while_read(follow_all(tails)))


def _demo_users() -> list[str]:
    from harkara_cli.mesh_state import DEMO_USERS  # noqa: PLC0415 - see main.

    return [user_id for user_id, _ in DEMO_USERS]


def _tails(user_ids: Sequence[str], screen: "_Screen", since: int | None, data: DataDir) -> list["Tail"]:
    from harkara_cli import mesh_state  # noqa: PLC0415 - see main.
    from harkara_cli.console import say  # noqa: PLC0415
    from harkara_cli.tail import Tail, TailOptions  # noqa: PLC0415

    def tail_of(user_id: str) -> Tail:
        def news(text: str) -> None:
            say(text if len(user_ids) == 1 else f"{user_id}: {text}")

        return Tail(
            TailOptions(user_id, screen.wanted.subscription, since),
            find_url=lambda: mesh_state.load(data).websocket_url,
            mint_token=lambda: data.minter().for_user(user_id),
            on_event=screen.show,
            on_news=news,
        )

    return [tail_of(user_id) for user_id in user_ids]


class _Screen:
    """Prints what is wanted.

    Args:
        wanted: What that is.
        style: How events look; None prints each as the JSON that it came as.
        count: How many there may be; None is no end.
    """

    def __init__(self, wanted: "EventFilter", style: "LineStyle | None", count: int | None) -> None:
        self.wanted = wanted
        self._style = style
        self._left = count

    def show(self, frame: str, event: "Event") -> bool:
        """Prints an event, if it is wanted; says whether there shall be no more."""
        from harkara_cli.console import put  # noqa: PLC0415 - see main.
        from harkara_cli.event_lines import LineStyle, as_line, one_line  # noqa: PLC0415

        if self._left == 0:  # Several are followed, and another one has shown the last.
            return True
        today = datetime.now().astimezone().date()
        plain = "" if self.wanted.text is None else as_line(event, LineStyle(), today)
        if not self.wanted.passes(event, frame, plain):
            return False
        put(one_line(frame) if self._style is None else as_line(event, self._style, today))
        if self._left is not None:
            self._left -= 1
        return self._left == 0
