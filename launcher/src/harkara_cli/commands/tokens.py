"""`token`."""

from typing import Annotated, Literal

import typer

from harkara_cli.commands.options import DEFAULT, DataDirOption, read_ids
from harkara_cli.data_dir import DataDir
from harkara_cli.errors import MisuseError
from harkara_cli.tokens import MAX_USER_SECONDS, SERVICE_NAME

_TYPES_LENGTH = 100


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="People and services")(token)


def token(  # noqa: PLR0913 - each is an option of the command.
    *,
    more: Annotated[list[str] | None, typer.Argument(metavar="[ID]", help="More user ids.")] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="A token for this user; - reads ids from standard input. Repeatable."
        ),
    ] = None,
    role: Annotated[
        Literal["customer", "delivery_boy", "shop", "support", "admin"] | None,
        typer.Option(help="Good only while the user has this role.", show_default=False),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A token for an emitting service instead.", show_default=False),
    ] = None,
    types: Annotated[
        str | None,
        typer.Option(
            metavar="GLOBS",
            help="The event types that the service may emit, with commas: 'payment_*,order_ready'.",
            show_default=False,
        ),
    ] = None,
    expires_in: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS",
            min=1,
            help="How long it is good.",
            show_default="24 hours; a service's, a year",
        ),
    ] = None,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Print a token for each user, or one for a service. The mesh need not run."""
    from harkara_cli.console import put  # noqa: PLC0415 - see main.

    if service is not None:
        if user or more or role:
            raise MisuseError("--service goes with --types alone, not with users")
        if not SERVICE_NAME.fullmatch(service):
            message = f"{service[:80]!r} is no service name: 1 to 64 of A-Z, a-z, 0-9, _ and -"
            raise MisuseError(message)
        if not types:
            raise MisuseError("--service needs --types: which event types it may emit, such as 'payment_*'")
        minter = DataDir(data_dir).minter()
        seconds = _checked(expires_in, minter.usual_service_seconds, minter.longest_service_seconds)
        put(minter.for_service(service, _globs(types), seconds))
        return
    if types is not None:
        raise MisuseError("--types goes with --service")
    if not user:
        raise MisuseError("whose token: --user ID, or --service NAME")
    minter = DataDir(data_dir).minter()
    seconds = _checked(expires_in, MAX_USER_SECONDS, MAX_USER_SECONDS)
    for user_id in read_ids([*user, *(more or [])]):
        put(minter.for_user(user_id, role, seconds))


def _globs(text: str) -> list[str]:
    globs = [part.strip() for part in text.split(",")]
    if not all(globs) or any(len(part) > _TYPES_LENGTH for part in globs):
        message = f"--types {text[:80]} is no list of event types"
        raise MisuseError(message)
    return globs


def _checked(given: int | None, usual: int, longest: int) -> int:
    if given is not None and given > longest:
        message = f"--expires-in {given}: at most {longest} seconds are accepted"
        raise MisuseError(message)
    return usual if given is None else given
