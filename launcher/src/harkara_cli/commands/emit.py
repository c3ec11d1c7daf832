"""`emit`."""

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

from harkara_cli.commands.options import DEFAULT, DataDirOption, JsonOption, complete_types, complete_users
from harkara_cli.data_dir import DataDir
from harkara_cli.errors import CliError, MisuseError, OutputError
from harkara_cli.tokens import SERVICE_NAME

if TYPE_CHECKING:
    from harkara_cli.emit import Emitter, Outcome
    from harkara_cli.progress import ProgressLine

_PANEL = "Events"
_CREDENTIAL_SECONDS = 86_400
_DEMO_SERVICE = "demo_service"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel=_PANEL)(emit)


def emit(  # noqa: PLR0913 - one option for each field of an event.
    *,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="The user it is for.", show_default=False, autocompletion=complete_users
        ),
    ] = None,
    event_type: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Such as order_created.",
            show_default=False,
            autocompletion=complete_types,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="The event's data: a JSON object.", show_default=False),
    ] = None,
    level: Annotated[
        Literal["low", "medium", "high", "critical"] | None,
        typer.Option(help="How urgent it is.", show_default="the type's"),
    ] = None,
    event_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="EVENT_ID",
            help="evt_ and a ULID: makes a repetition harmless.",
            show_default="minted",
        ),
    ] = None,
    source: Annotated[str, typer.Option(metavar="NAME", help="Emit as this service.")] = _DEMO_SERVICE,
    timestamp: Annotated[
        str | None, typer.Option(metavar="ISO8601", help="When it happened.", show_default="now")
    ] = None,
    collapse_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="A later event of this user, type and key supersedes it; only on level low.",
            show_default=False,
        ),
    ] = None,
    ttl: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Do not deliver it later than that.", show_default="for ever"),
    ] = None,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Bring it to whoever is there, and store it nowhere.")
    ] = False,
    from_file: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Emit the events of this file, a JSON object a line; - is standard input. The other"
            " options fill in what a line leaves out. Of two members of one name the last counts.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = DEFAULT,
) -> int:
    """Emit an event as an internal service does, and print its id and seq."""
    if not SERVICE_NAME.fullmatch(source):
        message = f"--source {source[:80]!r}: 1 to 64 characters of A-Z, a-z, 0-9, _ and -"
        raise MisuseError(message)
    given: dict[str, Any] = {
        "user_id": user,
        "event_type": event_type,
        "data": data,
        "event_level": level,
        "event_id": event_id,
        "timestamp": timestamp,
        "collapse_key": collapse_key,
        "ttl": ttl,
        "storage": "ephemeral" if ephemeral else None,
    }
    fields = {name: value for name, value in given.items() if value is not None}
    if from_file is None:
        missing = [
            option
            for option, value in (("--user", user), ("--type", event_type), ("--data", data))
            if value is None
        ]
        if missing:
            message = f"missing: {', '.join(missing)} (or --from FILE)"
            raise MisuseError(message)
        return _emit_one(fields, source, data_dir, as_json=as_json)
    if event_id is not None:
        raise MisuseError("--id goes with one event, not with --from")
    if from_file == "-":
        return _emit_all(sys.stdin.buffer, fields, source, data_dir, as_json=as_json)
    from harkara_cli.standard_streams import Input  # noqa: PLC0415 - see main.

    with io.BufferedReader(Input(from_file, f"--from {from_file}")) as file:
        return _emit_all(file, fields, source, data_dir, as_json=as_json)


@contextmanager
def _emitter(source: str, data_dir: Path) -> Iterator["Emitter"]:
    from harkara_cli import mesh_state  # noqa: PLC0415 - see main.
    from harkara_cli.calls import connected_to_all  # noqa: PLC0415
    from harkara_cli.emit import Emitter  # noqa: PLC0415

    data = DataDir(data_dir)
    targets = mesh_state.load(data).emit_targets
    # The operator of a mesh may speak for each of its services.
    credential = data.minter().for_service(source, ["*"], _CREDENTIAL_SECONDS)
    with connected_to_all(targets, "event-service", credential) as replicas:
        yield Emitter(replicas)


def _emit_one(fields: dict[str, Any], source: str, data_dir: Path, *, as_json: bool) -> int:
    from harkara_cli.console import put  # noqa: PLC0415 - see main.
    from harkara_cli.emit import draft  # noqa: PLC0415

    event = draft(fields)
    with _emitter(source, data_dir) as emitter:
        outcome = emitter.one(event)
    try:
        put(_told(outcome, as_json=as_json))
    except OutputError as error:
        raise _with(error, f"the event is stored: {_told(outcome, as_json=False)}") from error
    return 0


def _emit_all(
    file: IO[bytes], defaults: dict[str, Any], source: str, data_dir: Path, *, as_json: bool
) -> int:
    from harkara_cli.console import put, say  # noqa: PLC0415 - see main.
    from harkara_cli.emit import drafts_in  # noqa: PLC0415

    stored = told = 0
    line = _progress_line(file)
    read = _Counted(file)
    with _emitter(source, data_dir) as emitter:
        try:
            for batch in drafts_in(read, defaults):
                outcomes = list(emitter.many(batch))
                # Before any is told: all of them are stored, whether telling succeeds or not.
                stored += sum(outcome.error is None for outcome in outcomes)
                with line.hidden() if line else nullcontext():
                    for outcome in outcomes:
                        told += 1
                        if as_json or outcome.error is None:
                            put(_told(outcome, as_json=as_json))
                        else:
                            say(f"event {told}: {outcome.error}")
                if line:
                    line.advance(told, read.bytes)
        except CliError as error:
            count = "1 event was" if stored == 1 else f"{stored} events were"
            raise _with(error, f"{count} stored before that") from error
        finally:
            if line:
                line.erase()
    if line:
        say(line.summary())
    if stored < told:
        message = f"{told - stored} of {told} events were refused"
        raise CliError(message)
    return 0


class _Counted:
    """A file, and how many bytes were read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._read = getattr(file, "read1", file.read)
        self.bytes = 0

    def read(self, size: int) -> bytes:
        """Reads what there is, at most so much."""
        data: bytes = self._read(size)
        self.bytes += len(data)
        return data


def _progress_line(file: IO[bytes]) -> "ProgressLine | None":
    """Where a person looks on, who has not typed the events there."""
    from harkara_cli.console import use_colour  # noqa: PLC0415 - see main.

    try:
        if not use_colour(2) or file.isatty():
            return None
        status = os.fstat(file.fileno())
    except (OSError, ValueError):
        return None
    from harkara_cli.progress import ProgressLine  # noqa: PLC0415 - rich takes a while.

    return ProgressLine(status.st_size if stat.S_ISREG(status.st_mode) else None)


def _told(outcome: "Outcome", *, as_json: bool) -> str:
    again = " (stored before)" if outcome.duplicate else ""
    number = f"seq {outcome.seq}" if outcome.seq else "not stored"
    return outcome.to_json() if as_json else f"{outcome.event_id} {number}{again}"


def _with(error: CliError, more: str) -> CliError:
    """The same error, with what was done before it: that must be known even where nobody reads on."""
    return type(error)(f"{str(error) or 'nobody reads the output any more'}; {more}")
