"""`demo`."""

from typing import Annotated

import typer

from harkara_cli.commands.options import DEFAULT, DataDirOption, JsonOption

_MAX_RATE = 1_000
_MAX_SPEED = 10_000


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="Events")(demo)


def demo(  # noqa: PLR0913 - each is an option of the command.
    *,
    rate: Annotated[
        float,
        typer.Option(min=0.1, max=_MAX_RATE, metavar="N", help="Events a second, on average."),
    ] = 5,
    speed: Annotated[
        float,
        typer.Option(
            min=1,
            max=_MAX_SPEED,
            metavar="N",
            help="How many times as fast as life: at 10 an order takes a minute or two.",
        ),
    ] = 10,
    orders: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="End after so many orders.", show_default="until Ctrl-C"),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Another city. The same one has the same people, orders, routes and events, but for times"
            " and ids.",
        ),
    ] = 10,
    as_json: JsonOption = False,
    data_dir: DataDirOption = DEFAULT,
) -> int:
    """Let a small city live on the running mesh: see orders move in a browser.

    Customers around Connaught Place, New Delhi, order from shops; payments fail now and then and are tried
    again; riders bring the food through the streets, and are paid. All 17 types of events come, each from
    its own service. Open one of the links that are printed first. Needs ./harkara up in another terminal;
    if that is restarted, the city waits and goes on.
    """
    from harkara_cli.demo.run import DemoOptions, run  # noqa: PLC0415 - see main.

    return run(
        DemoOptions(data_dir=data_dir, rate=rate, seed=seed, orders=orders, speed=speed, as_json=as_json)
    )
