"""The parts of the demo's city: streets, rides, an order's states, its clock, and how events go out."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.resources import files
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara.event.v1 import event_pb2
from harkara_cli.demo.emission import draft_of, waves
from harkara_cli.demo.narration import Links, PlainNarrator, sentence_of
from harkara_cli.demo.orders import MOVES, IllegalMoveError, Order, State, Step
from harkara_cli.demo.pace import Pace
from harkara_cli.demo.people import People, make_people
from harkara_cli.demo.rides import Ride
from harkara_cli.demo.streets import Point, Route, Streets, load_streets
from harkara_cli.demo.telling import Happening
from harkara_cli.rest import serves_pages

STREETS = load_streets()
CROSSINGS = st.sampled_from(sorted(STREETS.crossings))


@given(start=CROSSINGS, end=CROSSINGS)
def test_every_crossing_can_be_reached_and_no_way_is_shorter_than_the_crow_flies(
    start: str, end: str
) -> None:
    route = STREETS.route(start, end)
    one, other = STREETS.crossings[start], STREETS.crossings[end]
    assert (route.points[0], route.points[-1]) == (one, other)
    assert route.metres >= one.metres_to(other) - 1e-6
    assert route.metres == pytest.approx(STREETS.route(end, start).metres)


def test_the_shortest_of_two_ways_is_taken() -> None:
    corners = {"a": Point(0, 0), "b": Point(0, 0.01), "c": Point(0.02, 0.005)}
    streets = Streets(corners, {}, [["a", "b"], ["a", "c", "b"]])
    assert streets.route("a", "b").points == (corners["a"], corners["b"])


# Gates, halts, a cinema, a hotel: each surveyed for itself, none a point of the streets.
@pytest.mark.parametrize(
    ("street", "name", "place"),
    [
        ("Inner Circle", "Rajiv Chowk metro, gate 2", Point(28.634016, 77.219340)),
        ("Inner Circle", "Rajiv Chowk metro, gate 3", Point(28.633641, 77.220751)),
        ("Inner Circle", "Rajiv Chowk metro, gate 5", Point(28.631621, 77.220212)),
        ("Inner Circle", "Rajiv Chowk metro, gate 7", Point(28.632339, 77.218353)),
        ("Middle Circle", "Plaza cinema", Point(28.635092, 77.219694)),
        ("Radial Road", "Hotel Palace Heights", Point(28.633578, 77.221223)),
        ("Barakhamba Road", "Barakhamba Road metro", Point(28.629753, 77.224996)),
        ("Vivekanand Marg", "Shivaji Bridge railway", Point(28.636311, 77.222421)),
    ],
)
def test_a_street_passes_what_lies_on_it_in_new_delhi(street: str, name: str, place: Point) -> None:
    metres = min(metres_beside(line, place) for line in lines_of(street))
    assert metres < 30, f"{name} lies {metres:.0f} m beside {street}"


def test_the_circles_lie_around_the_metro_station_in_their_middle() -> None:
    rajiv_chowk = Point(28.632759, 77.219688)
    for name, radius in (("Inner Circle", 125), ("Outer Circle", 320)):
        for point in lines_of(name)[0]:
            assert rajiv_chowk.metres_to(point) == pytest.approx(radius, abs=15)


def lines_of(street: str) -> list[list[Point]]:
    """The points of each street of that name."""
    described = json.loads((files("harkara_query_service") / "console" / "streets.json").read_text("utf-8"))
    return [
        [STREETS.crossings[crossing] for crossing in line["crossings"]]
        for line in described["streets"]
        if line["name"] == street
    ]


def metres_beside(line: list[Point], place: Point) -> float:
    """How far a place lies beside a line."""
    route = Route(line)
    return min(route.at(metres)[0].metres_to(place) for metres in range(0, int(route.metres) + 1, 2))


def test_distance_and_heading_are_those_of_the_earth() -> None:
    here = Point(28.63, 77.22)
    assert here.metres_to(Point(28.64, 77.22)) == pytest.approx(1_112, abs=1)
    assert here.heading_to(Point(28.63, 77.23)) == pytest.approx(90, abs=0.1)
    assert here.heading_to(Point(28.62, 77.22)) == pytest.approx(180)


def test_a_place_along_a_route_lies_on_it() -> None:
    route = Route([Point(0, 0), Point(0, 0.01), Point(0.01, 0.01)])
    assert route.at(-5)[0] == Point(0, 0)
    assert route.at(route.metres / 4)[0].longitude == pytest.approx(0.005, rel=1e-3)
    assert route.at(route.metres * 2)[0] == Point(0.01, 0.01)
    assert Route([Point(1, 2)]).at(3) == (Point(1, 2), 0.0)


@given(start=CROSSINGS, end=CROSSINGS, seed=st.integers(), times=st.lists(st.floats(0, 3_000), min_size=2))
def test_a_rider_never_rides_back_and_never_faster_than_they_can(
    start: str, end: str, seed: int, times: list[float]
) -> None:
    ride = Ride(STREETS.route(start, end), Random(seed))  # noqa: S311 - to be repeated.
    for one, other in itertools.pairwise(sorted(times)):
        before, after = ride.at(one), ride.at(other)
        assert before.metres_left >= after.metres_left - 1e-6
        assert before.metres_left - after.metres_left <= 6.51 * (other - one) + 1e-6
    assert ride.at(0).metres_left == pytest.approx(ride.route.metres)
    assert ride.at(ride.seconds).metres_left == 0


def a_few(of_each: int) -> People:
    return make_people(STREETS, Random(1), customers=of_each, riders=of_each)  # noqa: S311 - to be repeated.


def an_order(state: State) -> Order:
    people = a_few(1)
    return Order(1, "ord_1", people.customers[0], people.shops[0], (), 20, 0.0, state)


@given(state=st.sampled_from(State), step=st.sampled_from(Step))
def test_an_order_takes_the_steps_of_the_table_and_an_illegal_one_changes_nothing(
    state: State, step: Step
) -> None:
    order = an_order(state)
    if (state, step) in MOVES:
        order.take(step)
        assert order.state is MOVES[state, step]
    else:
        with pytest.raises(IllegalMoveError, match="cannot be"):
            order.take(step)
        assert order.state is state


def test_the_first_of_each_kind_is_a_user_that_every_mesh_has() -> None:
    people = a_few(2)
    assert people.roles["demo_customer"] == "customer"
    assert people.roles["demo_shop"] == "shop"
    assert people.roles["demo_rider"] == "delivery_boy"
    assert people.roles["demo_rider_2"] == "delivery_boy"


def test_the_citys_clock_runs_faster_and_can_be_held() -> None:
    ours = [100.0]
    pace = Pace(10, lambda: ours[0], lambda: 1_000 + ours[0])
    ours[0] += 3
    assert pace.seconds() == 30
    assert pace.time_at(50) == datetime.fromtimestamp(1_105, UTC)
    assert pace.wait_until(50) == pytest.approx(2)
    ours[0] += 60
    pace.turn_back(30)
    assert pace.seconds() == 30
    assert pace.time_at(50) == datetime.fromtimestamp(1_165, UTC)


HAPPENING = Happening(1.0, "location_updated", "demo_customer", {"speed": 12.5}, "del_1", 60.0)


def test_a_happening_becomes_an_event_with_an_id_of_its_own() -> None:
    when = datetime(2026, 1, 27, 10, 30, 0, 250_000, UTC)
    one, other = draft_of(HAPPENING, when), draft_of(HAPPENING, when)
    assert one.event_id.startswith("evt_")
    assert one.event_id != other.event_id
    assert (one.source, one.collapse_key, one.ttl.seconds) == ("location_service", "del_1", 60)
    assert one.timestamp.ToJsonString() == "2026-01-27T10:30:00.250Z"
    assert json.loads(one.data) == {"speed": 12.5}
    assert not draft_of(replace(HAPPENING, ttl=None), when).HasField("ttl")


def test_what_two_services_say_of_one_user_goes_out_in_order() -> None:
    said = [
        ("anna", "orders"),
        ("ben", "orders"),
        ("anna", "payments"),
        ("ben", "orders"),
        ("anna", "orders"),
    ]
    drafts = [event_pb2.EventDraft(user_id=user_id, source=source) for user_id, source in said]
    made = waves(drafts)
    assert [{source: len(events) for source, events in wave.items()} for wave in made] == [
        {"orders": 3},
        {"payments": 1},
        {"orders": 1},
    ]
    assert waves([]) == []


def test_a_sentence_names_the_order_and_a_shops_copy_has_none() -> None:
    data = {"order_id": "ord_x_12", "amount": 90, "method": "upi"}
    told = Happening(1.0, "payment_completed", "demo_customer_3", data)
    assert sentence_of(told) == "#12   paid ₹90 by upi"
    assert sentence_of(replace(told, user_id="demo_shop")) is None
    assert sentence_of(HAPPENING) is None


class NoPages(BaseHTTPRequestHandler):
    """A query-service whose console is off."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Not to standard error."""


def test_where_the_console_is_off_no_link_is_printed_and_it_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with HTTPServer(("127.0.0.1", 0), NoPages) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        assert not serves_pages(f"http://127.0.0.1:{server.server_port}")
        answering.join()
    PlainNarrator().begins(Links(None, None, None, "./harkara tail", "ord_1", "demo_customer"), 16, 10)
    said = capsys.readouterr().out
    assert "its console is off" in said
    assert "./harkara tail" in said
    assert "browser" not in said
    assert "token" not in said
