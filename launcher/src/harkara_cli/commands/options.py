"""Options that several commands have, and ids from the command line or standard input."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from harkara_cli.data_dir import DEFAULT_DATA_DIR
from harkara_cli.errors import MisuseError
from harkara_cli.tokens import USER_ID


def _data_dir(text: str) -> Path:
    """The folder; an empty name, such as of a variable that is not set, would be the working folder."""
    if not text:
        raise typer.BadParameter("it is empty")
    return Path(text)


DataDirOption = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        parser=_data_dir,
        envvar="HARKARA_DATA_DIR",
        metavar="DIR",
        help="The data folder of the mesh.",
        show_default=".harkara beside ./harkara",
    ),
]
DEFAULT = DEFAULT_DATA_DIR

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

IdsArgument = Annotated[
    list[str],
    typer.Argument(metavar="ID", help="User ids; - reads them from standard input.", show_default=False),
]


def complete_types(incomplete: str) -> list[str]:
    """The event types that begin so, for the shell's completion; the reference's own ones."""
    from harkara_catalogue import Catalogue  # noqa: PLC0415 - see main.

    return [name for name in Catalogue.reference().types if name.startswith(incomplete)]


def complete_type_lists(incomplete: str) -> list[str]:
    """The same for the last of several event types with commas."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in complete_types(last)]


def complete_users(incomplete: str) -> list[str]:
    """The demo users that begin so, for the shell's completion: to ask for all takes too long."""
    from harkara_cli.mesh_state import DEMO_USERS  # noqa: PLC0415 - see main.

    return [user_id for user_id, _ in DEMO_USERS if user_id.startswith(incomplete)]


def read_ids(given: Sequence[str]) -> list[str]:
    """The ids given, `-` replaced by those on standard input (between white space), each once.

    Raises:
        MisuseError: One is no user id, or there is none.
    """
    ids = [word for text in given for word in (sys.stdin.read().split() if text == "-" else [text])]
    for user_id in ids:
        if not USER_ID.fullmatch(user_id):
            message = f"{user_id[:80]!r} is no user id: 1 to 64 characters of A-Z, a-z, 0-9, _ and -"
            raise MisuseError(message)
    if not ids:
        raise MisuseError("no user id given")
    return list(dict.fromkeys(ids))
