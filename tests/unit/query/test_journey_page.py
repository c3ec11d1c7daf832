"""The order page's pure parts, run by Node with what the demo's city tells."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

import pytest

from harkara_cli.demo.city import City
from harkara_cli.demo.people import make_people
from harkara_cli.demo.streets import load_streets
from tests.support.node import without_node

PAGES = Path(str(files("harkara_query_service"))) / "console"
BEGIN = datetime(2026, 1, 27, 10, 30, tzinfo=UTC)
FIRST_SEED_WITH_A_FAILED_PAYMENT = 16

FOLD = """
const journeys = new model.Journeys();
const fresh = given.map((batch) => journeys.take(batch).length);
const orders = journeys.orders().map((order) => ({
  ...order, steps: [...order.steps.keys()], headline: model.headlineOf(order), isOver: model.isOver(order),
}));
return { fresh, orders, wallet: journeys.wallet() };
"""

FOLD_EACH = f"const fold = (given) => {{{FOLD}}}; return given.map((events) => fold([events]));"

Event = dict[str, Any]


@pytest.fixture(scope="module")
def run_module(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs the body of a function of `model` (a module of the page) and `given`, and returns its answer."""
    node = shutil.which("node")
    if node is None:
        without_node()
    folder = tmp_path_factory.mktemp("pages")

    def run(module: str, body: str, given: Any) -> Any:
        # Node takes a file for a module by its name.
        copy = folder / f"{module}.mjs"
        copy.write_text((PAGES / f"{module}.js").read_text(encoding="utf-8"), encoding="utf-8")
        program = folder / "program.mjs"
        program.write_text(
            "import { readFileSync } from 'node:fs';\n"
            f"import * as model from './{module}.mjs';\n"
            f"const answer = ((given) => {{{body}}})(JSON.parse(readFileSync(0, 'utf8')));\n"
            "console.log(JSON.stringify(answer));\n",
            encoding="utf-8",
        )
        done = subprocess.run(  # noqa: S603 - which() found it.
            [node, program], input=json.dumps(given), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def events_of(user_id: str, *, seed: int = FIRST_SEED_WITH_A_FAILED_PAYMENT, orders: int = 1) -> list[Event]:
    """What a user of the demo's city is told, as REST tells it."""
    streets = load_streets()
    people = make_people(streets, Random(f"{seed} people"), customers=8, riders=1)  # noqa: S311 - to be repeated.
    city = City(
        streets,
        people,
        seed=seed,
        run="r",
        gap=90.0,
        clock=lambda seconds: BEGIN + timedelta(seconds=seconds),
        most_orders=orders,
    )
    told = []
    while (next_at := city.next_at) is not None:
        told += [happening for happening in city.advance(next_at) if happening.user_id == user_id]
    return [
        {
            "event_id": f"evt_{number}",
            "event_type": happening.event_type,
            "seq": number,
            "timestamp": (BEGIN + timedelta(seconds=happening.at)).isoformat(),
            "data": happening.data,
        }
        for number, happening in enumerate(told, 1)
    ]


def test_history_and_live_events_that_overlap_in_any_order_make_one_journey(run_module: Any) -> None:
    events = events_of("demo_customer")
    newest_first = events[::-1]
    at_once = run_module("journey-model", FOLD, [events])
    # Live ones come first, then two pages of history that overlap them and each other.
    mixed = run_module("journey-model", FOLD, [events[20:], newest_first[:25], newest_first[15:]])
    assert mixed["orders"] == at_once["orders"]
    assert sum(mixed["fresh"]) == len(events)
    (order,) = at_once["orders"]
    assert order["steps"] == [
        "order_created",
        "payment_completed",
        "order_confirmed",
        "order_ready",
        "delivery_accepted",
        "delivery_in_transit",
        "delivery_arrived",
        "delivery_completed",
    ]
    assert [payment["state"] for payment in order["payments"]] == ["failed", "paid"]
    assert order["headline"] == {"text": "Delivered", "mood": "good"}
    assert order["isOver"] is True


def test_an_order_says_at_each_moment_what_it_is_at(run_module: Any) -> None:
    events = events_of("demo_customer")
    moments = [
        events[:count]
        for count, event in enumerate(events, 1)
        if event["event_type"] not in ("location_updated", "eta_updated")
    ]
    orders = [answer["orders"][0] for answer in run_module("journey-model", FOLD_EACH, moments)]
    seen = [
        (order["headline"]["text"], order["headline"]["mood"], order["eta"] is not None) for order in orders
    ]
    rider = next(
        event["data"]["delivery_boy_name"].split()[0]
        for event in events
        if event["event_type"] == "delivery_accepted"
    )
    assert seen == [
        ("Ordered", "busy", False),
        ("Paying", "busy", False),
        ("Payment failed. You can try again", "bad", False),
        ("Paying", "busy", False),
        ("Paid. Waiting for the shop", "busy", False),
        ("Circus Dosa House is preparing it", "busy", False),
        ("Ready. Looking for a rider", "busy", False),
        (f"{rider} is fetching your order", "busy", True),
        (f"{rider} is on the way to you", "busy", True),
        (f"{rider} is at your door", "good", False),
        ("Delivered", "good", False),
    ]


def test_a_delivery_is_known_by_its_id_where_the_order_is_not_named(run_module: Any) -> None:
    """The catalogue's own events name the order only when the delivery is complete."""
    events = events_of("demo_customer")
    for event in events:
        if event["event_type"] != "delivery_completed" and "delivery_id" in event["data"]:
            event["data"] = {name: value for name, value in event["data"].items() if name != "order_id"}
    (order,) = run_module("journey-model", FOLD, [events])["orders"]
    assert order["steps"][-1] == "delivery_completed"
    assert len(order["positions"]) > 5


def test_a_wallet_adds_up_to_what_the_city_paid(run_module: Any) -> None:
    events = events_of("demo_rider", orders=12)
    wallet = run_module("journey-model", FOLD, [events])["wallet"]
    of = {kind: [event["data"] for event in events if event["event_type"] == kind] for kind in
          ("earning_recorded", "bonus_earned", "payout_completed", "wallet_updated")}  # fmt: skip
    assert of["payout_completed"]
    assert wallet["balance"] == of["wallet_updated"][-1]["new_balance"]
    assert wallet["earned"] == sum(data["amount"] for data in of["earning_recorded"])
    assert wallet["bonuses"] == sum(data["amount"] for data in of["bonus_earned"])
    assert wallet["paidOut"] == sum(data["amount"] for data in of["payout_completed"])
    assert [entry["at"] for entry in wallet["entries"]] == sorted(
        (entry["at"] for entry in wallet["entries"]), reverse=True
    )


def test_a_payout_is_one_entry_that_is_on_its_way_until_it_is_there(run_module: Any) -> None:
    events = events_of("demo_rider", orders=12)
    approved = next(index for index, event in enumerate(events) if event["event_type"] == "payout_approved")
    before, after = (
        [entry for entry in answer["wallet"]["entries"] if entry["kind"] == "payout"][-1]
        for answer in run_module("journey-model", FOLD_EACH, [events[: approved + 1], events])
    )
    assert (before["isPending"], after["isPending"]) == (True, False)
    assert before["amount"] == after["amount"] == -events[approved]["data"]["amount"]


def test_a_place_is_found_along_a_way_and_beside_it(run_module: Any) -> None:
    line = [{"x": 0, "y": 0}, {"x": 100, "y": 0}, {"x": 100, "y": 100}]
    body = "return given.spots.map((spot) => model.along(given.line, spot))"
    spots = [{"x": 50, "y": 10}, {"x": 100, "y": 40}, {"x": 120, "y": 130}]
    found = run_module("journey-map", body, {"line": line, "spots": spots})
    assert [(place["metres"], round(place["off"])) for place in found] == [(50, 10), (140, 0), (200, 36)]
    body = "return given.at.map((metres) => model.spotAt(given.line, metres))"
    assert run_module("journey-map", body, {"line": line, "at": [-1, 150, 900]}) == [
        {"x": 0, "y": 0},
        {"x": 100, "y": 50},
        {"x": 100, "y": 100},
    ]
