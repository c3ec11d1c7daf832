"""`catalogue`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harkara_cli.commands.options import complete_types
from harkara_cli.errors import MisuseError

if TYPE_CHECKING:
    from harkara_catalogue import Catalogue


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="Events")(catalogue)


def catalogue(
    *,
    output: Annotated[
        Literal["table", "json-schema", "asyncapi", "typescript"],
        typer.Option(
            "--format",
            help="A table for people, a JSON Schema of an event as a client gets it, the AsyncAPI document of"
            " the WebSocket API, or types of events for TypeScript.",
        ),
    ] = "table",
    event_type: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only this event type.",
            show_default=False,
            autocompletion=complete_types,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="HARKARA_EVENT_SERVICE_CATALOGUE_FILE",
            help="Event types of the deployment's own, as the services are given them.",
            show_default="none",
        ),
    ] = None,
) -> None:
    """Show the event types: their level, when they come, what they hold. The mesh need not run."""
    import json  # noqa: PLC0415 - see main.

    from harkara_catalogue import (  # noqa: PLC0415
        asyncapi_document,
        catalogue_typescript,
        event_schema,
        events_schema,
    )
    from harkara_cli.catalogue_view import show_all, show_one  # noqa: PLC0415
    from harkara_cli.console import put  # noqa: PLC0415

    types = _chosen(_read(file), event_type)
    if output == "table" and event_type is not None:
        show_one(types.types[event_type])
    elif output == "table":
        show_all(types)
    elif output == "asyncapi":
        put(json.dumps(asyncapi_document(types), indent=2))
    elif output == "typescript":
        put(catalogue_typescript(types).rstrip("\n"))
    else:
        schema = events_schema(types) if event_type is None else event_schema(types, event_type)
        put(json.dumps(schema, indent=2))


def _read(file: Path | None) -> "Catalogue":
    from harkara_catalogue import CatalogueFileError, load_catalogue  # noqa: PLC0415 - see main.

    try:
        return load_catalogue(file)
    except CatalogueFileError as error:
        raise MisuseError("; ".join(str(error).splitlines())) from error


def _chosen(types: "Catalogue", name: str | None) -> "Catalogue":
    from harkara_catalogue import Catalogue  # noqa: PLC0415 - see main.

    if name is None:
        return types
    if name not in types.types:
        message = f"--type {name[:80]}: the catalogue has no such event type"
        raise MisuseError(message)
    return Catalogue.of([types.types[name]])
