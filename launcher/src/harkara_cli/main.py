"""The `harkara` command line: its commands, and how a failure ends one.

A module of commands offers `register(app)`; a new group is one more line in `build_app`. Commands import
what they need when they run: `--help` and `token` must answer at once.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from harkara_cli.commands import (
    bench,
    catalogue,
    demo,
    doctor,
    emit,
    events,
    mesh,
    tail,
    testing,
    tokens,
    upkeep,
    users,
)
from harkara_cli.completion import use_own_scripts
from harkara_cli.console import say
from harkara_cli.errors import CliError, MisuseError

INTERRUPTED = 130

_HELP_OPTIONS = ["-h", "--help"]

_HELP = """Harkara delivers the events of an order-and-delivery business to the people they are for.

**./harkara up** runs the whole mesh on this machine; the other commands talk to it.
"""


def build_app() -> typer.Typer:
    """The application with all its commands."""
    use_own_scripts()
    app = typer.Typer(
        name="harkara",
        help=_HELP,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": _HELP_OPTIONS},
    )

    # Its mere presence makes Typer treat every command as a subcommand, even a single one.
    @app.callback(invoke_without_command=True)
    def harkara(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    groups = (mesh, doctor, demo, emit, tail, events, catalogue, tokens, users, upkeep, testing, bench)
    for group in groups:
        group.register(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: As after `./harkara`; those of the process by default.

    Returns:
        The exit status: 0, 2 for misuse, 1 for a failure, 130 where it was interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _refuse_what_is_no_text(given)
        command = typer.main.get_command(build_app())
        _leave_out_types_of_flags(command)
        status = command.main(args=given, prog_name="harkara", standalone_mode=False)
    except CliError as error:
        if text := str(error):  # Empty where nobody reads what we print: that is no news to anybody.
            say(text)
        return error.exit_status
    except typer.TyperException as error:
        if text := error.format_message():  # Empty where the help was printed instead.
            say(_one_line(text))
        return error.exit_code
    except OSError as error:
        say(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return 1
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return status if isinstance(status, int) else 0


def _leave_out_types_of_flags(command: Any) -> None:
    """Typer's help says `<bool>` of a flag, as if it took a value."""
    help_option = command.get_help_option(typer.Context(command, help_option_names=_HELP_OPTIONS))
    for parameter in (*command.params, help_option):
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    for each in getattr(command, "commands", {}).values():
        _leave_out_types_of_flags(each)


def _refuse_what_is_no_text(given: Sequence[str]) -> None:
    """Refuses bytes that are no UTF-8 in what we are given, before they get into an event or a token.

    Raises:
        MisuseError: There are some.
    """
    settings = ((name, text) for name, text in os.environ.items() if name.startswith("HARKARA_"))
    for name, text in (*settings, *(("an argument", text) for text in given)):
        try:
            text.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(text).decode(errors="backslashreplace")
            message = f"{name} is not UTF-8: {shown[:80]}"
            raise MisuseError(message) from None


def _one_line(text: str) -> str:
    # That is how pydantic, inside Typer, begins what it says.
    return " ".join(text.split()).rstrip(".").replace("Value error, ", "") + " (see --help)"
