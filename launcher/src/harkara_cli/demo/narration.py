"""What people, or programs, read while the demo runs.

Links and the last line are results and go to standard output. On a terminal the rest is a small panel that
stays in its place; elsewhere it is a line now and then; with `--json` all of it is JSON lines.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from harkara_cli.console import paint, put, say, use_colour
from harkara_cli.demo.telling import Happening

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_NEWS_LINES = 8
_PLAIN_SECONDS = 10.0
_PANEL_SECONDS = 0.4
_LEVEL_STYLES = {"payment_failed": "bold red", "delivery_completed": "green", "order_created": "cyan"}
_SENTENCES: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "order_created": lambda data: (
        ", ".join(f"{item['quantity']} {item['name']}" for item in data["items"])
        + f" from {data['shop']['name']}, ₹{data['total_with_fee']}"
    ),
    "payment_completed": lambda data: f"paid ₹{data['amount']} by {data['method']}",
    "payment_failed": lambda data: (
        f"payment failed: {data['error']}; they {'will try again' if data['retry_available'] else 'give up'}"
    ),
    "order_confirmed": lambda data: f"{data['shop_name']} cooks",
    "order_ready": lambda _: "is ready",
    "delivery_accepted": lambda data: f"{data['delivery_boy_name']} comes for it, by {data['vehicle_type']}",
    "delivery_in_transit": lambda data: (
        f"is on the way, {data['distance_remaining_km']} km, {data['eta_minutes']} min"
    ),
    "delivery_completed": lambda data: f"delivered after {data['total_time_minutes']} min",
}


@dataclass(frozen=True)
class Links:
    """Where to look.

    Attributes:
        journey: The first order, as its customer sees it; None, as the next two, where the console is off.
        wallet: A rider's wallet.
        console: The admin's console.
        tail: The command that follows the customer in a terminal.
        order_id: Of that first order.
        user_id: That customer.
    """

    journey: str | None
    wallet: str | None
    console: str | None
    tail: str
    order_id: str
    user_id: str


@dataclass(frozen=True)
class Counts:
    """How far the city is.

    Attributes:
        seconds: Since it began.
        events: On disk.
        orders: That have begun.
        delivered: Of those.
        given_up: Of those: not paid.
        under_way: The others, by what they are at.
    """

    seconds: float
    events: int
    orders: int
    delivered: int
    given_up: int
    under_way: Mapping[str, int]

    def sentence(self) -> str:
        """All of it in one line."""
        ends = [f"{self.delivered} delivered"]
        ends += [f"{self.given_up} given up unpaid"] if self.given_up else []
        ends += [f"{sum(self.under_way.values())} under way"] if self.under_way else []
        orders = f"{self.orders} order{'' if self.orders == 1 else 's'}"
        return f"{self.events:,} events of {orders} in {self.seconds:.0f} s: {', '.join(ends)}"


class Narrator(Protocol):
    """Tells what happens. It is entered before anything is told, and left at the end."""

    def __enter__(self) -> Self:
        """Begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends; after this the terminal is as it was."""

    def begins(self, links: Links, seed: int, speed: float) -> None:
        """Where to look."""

    def happens(self, happening: Happening, when: str) -> None:
        """An event of the city; `when` is the time of day."""

    def goes_on(self, counts: Counts) -> None:
        """How far it is; told often."""

    def news(self, sentence: str) -> None:
        """What the mesh does to us."""

    def ends(self, counts: Counts) -> None:
        """The line of counts."""


class PlainNarrator:
    """Lines, for a pipe or a file."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PLAIN_SECONDS

    def __enter__(self) -> Self:
        """Begins."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends."""

    def begins(self, links: Links, seed: int, speed: float) -> None:
        """Where to look."""
        colour = use_colour(1)

        def title(text: str) -> str:
            return paint(text, "1", when=colour)

        pages = (
            ("Follow an order as its customer, in a browser:", links.journey),
            ("A rider's wallet:", links.wallet),
            ("The console, as admin:", links.console),
        )
        shown = [line for name, link in pages if link is not None for line in (title(name), link)]
        off = "This mesh serves no pages: its console is off (HARKARA_QUERY_SERVICE_CONSOLE)."
        tokens = "The links hold tokens: the admin's is good for an hour, the others for 24."
        put(
            "\n".join(
                [
                    "",
                    f"{title(f'The city is awake, {speed:g} times as fast as life.')} Ctrl-C ends it.",
                    "",
                    *(shown or [off]),
                    title("The customer's events, in a terminal:"),
                    f"  {links.tail}",
                    "",
                    *([tokens] if shown else []),
                    f"This city is --seed {seed}.",
                    "",
                ]
            )
        )

    def happens(self, happening: Happening, when: str) -> None:
        """Nothing: there is too much of it for a log."""

    def goes_on(self, counts: Counts) -> None:
        """A line now and then."""
        if time.monotonic() >= self._next:
            self._next += _PLAIN_SECONDS
            say(counts.sentence())

    def news(self, sentence: str) -> None:
        """A line."""
        say(sentence)

    def ends(self, counts: Counts) -> None:
        """The line of counts."""
        put(counts.sentence())


class TerminalNarrator(PlainNarrator):
    """A panel at the bottom of a terminal, on standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[tuple[str, str, str]] = deque(maxlen=_NEWS_LINES)
        self._live: Live | None = None
        self._drawn = 0.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Takes the panel away."""
        if self._live is not None:
            self._live.stop()

    def begins(self, links: Links, seed: int, speed: float) -> None:
        """The links, and the panel below them."""
        from rich.console import Console  # noqa: PLC0415 - a tenth of a second, which a pipe need not pay.
        from rich.live import Live  # noqa: PLC0415

        super().begins(links, seed, speed)
        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._live.start()

    def happens(self, happening: Happening, when: str) -> None:
        """A line of the panel."""
        if (text := sentence_of(happening)) is not None:
            self._lines.append((when, text, _LEVEL_STYLES.get(happening.event_type, "")))

    def goes_on(self, counts: Counts) -> None:
        """Shows the panel as it is now, not more often than an eye follows."""
        if self._live is not None and time.monotonic() >= self._drawn + _PANEL_SECONDS:
            self._drawn = time.monotonic()
            self._live.update(self._panel(counts), refresh=True)

    def news(self, sentence: str) -> None:
        """A line above the panel, which stays."""
        if self._live is None:
            say(sentence)
        else:
            self._live.console.print(f"harkara: {sentence}", style="yellow")

    def _panel(self, counts: Counts) -> "RenderableType":
        from rich.console import Group  # noqa: PLC0415 - as above.
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for when, text, style in self._lines:
            table.add_row(when, Text(text, style))
        states = " · ".join(f"{count} {state}" for state, count in counts.under_way.items())
        parts = (Text(counts.sentence(), "bold"), Text(states or "nothing under way", "dim"))
        return Group(table, Text(), *parts)


class JsonNarrator(PlainNarrator):
    """JSON lines on standard output: `started`, `progress`, `news`, `ended`."""

    def begins(self, links: Links, seed: int, speed: float) -> None:
        """Where to look."""
        _put_json("started", seed=seed, speed=speed, **asdict(links))

    def goes_on(self, counts: Counts) -> None:
        """A line now and then."""
        if time.monotonic() >= self._next:
            self._next += _PLAIN_SECONDS
            _put_json("progress", **asdict(counts))

    def news(self, sentence: str) -> None:
        """A line."""
        _put_json("news", message=sentence)

    def ends(self, counts: Counts) -> None:
        """The counts."""
        _put_json("ended", **asdict(counts))


def sentence_of(happening: Happening) -> str | None:
    """What happened, for people; None where that is not worth a line."""
    data = happening.data
    for_customer = happening.user_id.startswith("demo_customer")
    if happening.event_type == "payout_completed":
        return f"      ₹{data['amount']} paid out to {happening.user_id}"
    # What a shop or a rider is told too is told once here.
    tell = _SENTENCES.get(happening.event_type) if for_customer else None
    return None if tell is None else f"#{data['order_id'].rpartition('_')[2]:<4} {tell(data)}"


def _put_json(kind: str, **fields: object) -> None:
    put(json.dumps({"kind": kind, **fields}, ensure_ascii=False))
