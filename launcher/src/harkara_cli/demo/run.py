"""`demo`: brings the city to a running mesh, at its pace, until it is over or somebody stops it."""

import contextlib
import math
import random
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Event

from harkara_cli import mesh_state
from harkara_cli.calls import connected
from harkara_cli.data_dir import DEFAULT_DATA_DIR, ROOT, DataDir
from harkara_cli.demo.city import EVENTS_PER_ORDER, ORDER_SECONDS, City
from harkara_cli.demo.emission import Emission, draft_of
from harkara_cli.demo.narration import Counts, JsonNarrator, Links, Narrator, PlainNarrator, TerminalNarrator
from harkara_cli.demo.orders import State
from harkara_cli.demo.pace import Pace
from harkara_cli.demo.people import People, make_people
from harkara_cli.demo.streets import load_streets
from harkara_cli.mesh_state import DEMO_ADMIN, MeshState
from harkara_cli.rest import serves_pages
from harkara_cli.users import Users

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Events of so long go together; the panel is drawn as often.
_TURN_SECONDS = 0.1
# More than this at once is not made up for: the city waited.
_LONGEST_TURN_SECONDS = 1.0
_CREDENTIAL_SECONDS = 86_400  # Emission asks for new ones before these end.
_ADMIN_SECONDS = 3_600  # Links are copied, and what is printed may be kept in a file.
_LEAST_CUSTOMERS = 8
_LEAST_RIDERS = 5
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True)
class DemoOptions:
    """What is asked for.

    Attributes:
        data_dir: The data folder of the mesh.
        rate: Events in one of our seconds, on average.
        seed: Of all chances.
        orders: After how many orders it ends; None is never.
        speed: Seconds of the city in one of ours.
        as_json: Print JSON lines.
    """

    data_dir: Path
    rate: float
    seed: int
    orders: int | None
    speed: float
    as_json: bool


def run(options: DemoOptions) -> int:
    """Runs the demo.

    Returns:
        The exit status: 0, also where it was stopped.

    Raises:
        CliError: No mesh runs, or it refuses what the demo does.
    """
    data = DataDir(options.data_dir)
    state = mesh_state.load(data)
    streets = load_streets()
    gap = EVENTS_PER_ORDER / options.rate * options.speed
    people = make_people(
        streets,
        Random(f"{options.seed} people"),  # noqa: S311 - no secret.
        customers=max(_LEAST_CUSTOMERS, math.ceil(2 * ORDER_SECONDS / gap)),
        riders=max(_LEAST_RIDERS, math.ceil(ORDER_SECONDS / gap)),
    )
    _add_missing(people, data, state)
    pace = Pace(options.speed, time.monotonic, time.time)
    city = City(
        streets,
        people,
        seed=options.seed,
        run="".join(random.choices(_LETTERS, k=6)),  # noqa: S311 - a name, no secret.
        gap=gap,
        clock=pace.time_at,
        most_orders=options.orders,
    )
    narrator = _narrator(as_json=options.as_json)
    with _stopped_by_signals() as stopping, narrator:
        narrator.begins(_links(city, people, data, state), options.seed, options.speed)
        emission = Emission(
            find_targets=lambda: mesh_state.load(data).emit_targets,
            mint=lambda service, globs: data.minter().for_service(service, globs, _CREDENTIAL_SECONDS),
            on_news=narrator.news,
            stopping=stopping,
        )
        _Demo(city, pace, narrator, emission, stopping).run()
    return 0


class _Demo:
    def __init__(
        self, city: City, pace: Pace, narrator: Narrator, emission: Emission, stopping: Event
    ) -> None:
        self._city = city
        self._pace = pace
        self._narrator = narrator
        self._emission = emission
        self._stopping = stopping
        self._began = time.monotonic()

    def run(self) -> None:
        """Until it is over or stopped; then the line of counts, whatever happened."""
        try:
            self._turn()
            while self._city.next_at is not None and not self._stopping.wait(self._pause()):
                self._turn()
        finally:
            self._emission.close()
            self._narrator.__exit__(None, None, None)
            self._narrator.ends(self._counts())

    def _pause(self) -> float:
        wait = self._pace.wait_until(self._city.next_at or 0.0)
        return min(max(wait, _TURN_SECONDS), 0.5)

    def _turn(self) -> None:
        now = self._pace.seconds()
        happenings = self._city.advance(now)
        drafts = []
        for happening in happenings:
            when = self._pace.time_at(happening.at)
            drafts.append(draft_of(happening, when))
            self._narrator.happens(happening, f"{when.astimezone():%H:%M:%S}")
        self._emission.bring(drafts)
        if self._pace.wait_until(now) < -_LONGEST_TURN_SECONDS:
            self._pace.turn_back(now)
        self._narrator.goes_on(self._counts())

    def _counts(self) -> Counts:
        under_way = Counter(str(order.state) for order in self._city.orders.values())
        return Counts(
            seconds=round(time.monotonic() - self._began, 1),
            events=self._emission.stored,
            orders=self._city.begun,
            delivered=self._city.ended[State.DELIVERED],
            given_up=self._city.ended[State.ABANDONED],
            under_way={state: under_way[state] for state in State if state in under_way},
        )


def _narrator(*, as_json: bool) -> Narrator:
    if as_json:
        return JsonNarrator()
    return TerminalNarrator() if sys.stderr.isatty() else PlainNarrator()


def _add_missing(people: People, data: DataDir, state: MeshState) -> None:
    """Adds those whom the mesh does not know; who was disabled or made something else stays so."""
    with connected(state.auth_target, "auth-service", data.credential("operator")) as caller:
        users = Users(caller)
        known = {user_id for user_id, _, _ in users.listed(list(people.roles))}
        missing = [(user_id, role) for user_id, role in people.roles.items() if user_id not in known]
        if missing:
            users.add(missing)


def _links(city: City, people: People, data: DataDir, state: MeshState) -> Links:
    minter = data.minter()
    customer = people.customers[0].user_id
    rider = people.riders[0].user_id
    order_id = city.order_id(1)
    journey = f"{state.rest_url}/journey.html"
    script = "./harkara" if Path.cwd() == ROOT else str(ROOT / "harkara")
    more = [] if data.path == DEFAULT_DATA_DIR else ["--data-dir", str(data.path)]
    pages = {
        "journey": f"{journey}?order={order_id}#token={minter.for_user(customer, 'customer')}",
        "wallet": f"{journey}#token={minter.for_user(rider, 'delivery_boy')}",
        "console": f"{state.rest_url}/#token={minter.for_user(DEMO_ADMIN, 'admin', _ADMIN_SECONDS)}",
    }
    return Links(
        **(pages if serves_pages(state.rest_url) else dict.fromkeys(pages)),
        tail=shlex.join([script, "tail", "--user", customer, *more]),
        order_id=order_id,
        user_id=customer,
    )


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    """An event that is set by Ctrl-C, and by what else asks a process to stop."""
    stopping = Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in _STOP_SIGNALS}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
