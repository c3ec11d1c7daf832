"""The demo's city: what happens in it, in which order, and that it can be had again."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harkara_catalogue import Catalogue, check_data
from harkara_cli.demo.city import EVENTS_PER_ORDER, ORDER_SECONDS, City
from harkara_cli.demo.orders import State
from harkara_cli.demo.people import make_people
from harkara_cli.demo.services import SERVICES, service_of
from harkara_cli.demo.streets import load_streets
from harkara_cli.demo.telling import Happening

CATALOGUE = Catalogue.reference()
STREETS = load_streets()
BEGIN = datetime(2026, 1, 27, 10, 30, tzinfo=UTC)
SEEDS = st.integers(0, 2**32)
# Each example is a whole city.
few_examples = settings(max_examples=20)


def city_of(seed: int, *, orders: int = 4, riders: int = 4, run: str = "r", gap: float = 90.0) -> City:
    people = make_people(STREETS, Random(f"{seed} people"), customers=6, riders=riders)  # noqa: S311 - to be repeated.
    return City(
        STREETS,
        people,
        seed=seed,
        run=run,
        gap=gap,
        clock=lambda seconds: BEGIN + timedelta(seconds=seconds),
        most_orders=orders,
    )


def whole_life(city: City) -> list[Happening]:
    happenings = []
    while (next_at := city.next_at) is not None:
        happenings += city.advance(next_at)
    return happenings


def of_order(happenings: list[Happening], number: int) -> list[Happening]:
    """What an order's customer is told of it."""
    return [
        happening
        for happening in happenings
        if happening.data.get("order_id") == f"ord_r_{number}" and "customer" in happening.user_id
    ]


def test_all_seventeen_types_appear() -> None:
    seen = {happening.event_type for happening in whole_life(city_of(1, orders=60))}
    assert seen == set(CATALOGUE.types)
    assert len(seen) == 17


@few_examples
@given(seed=SEEDS)
def test_every_event_has_the_catalogues_shape(seed: int) -> None:
    for happening in whole_life(city_of(seed)):
        assert check_data(CATALOGUE, happening.event_type, json.dumps(happening.data)) is None


@few_examples
@given(seed=SEEDS)
def test_the_fields_of_the_catalogue_are_all_there(seed: int) -> None:
    for happening in whole_life(city_of(seed, orders=2)):
        known = set(getattr(CATALOGUE.types[happening.event_type].data, "fields"))  # noqa: B009 - of an object.
        # A UPI id is there only where UPI was used.
        assert known - {"upi_id"} <= set(happening.data), happening.event_type


@few_examples
@given(seed=SEEDS, steps=st.lists(st.floats(0.1, 900), min_size=1, max_size=5))
def test_the_same_seed_tells_the_same_however_far_it_goes_at_a_time(seed: int, steps: list[float]) -> None:
    stepping = city_of(seed)
    told: list[Happening] = []
    at = 0.0
    for step in itertools.cycle(steps):
        at += max(step, (stepping.next_at or 0.0) - at)
        told += stepping.advance(at)
        if stepping.next_at is None:
            break
    assert told == whole_life(city_of(seed))


def test_another_seed_is_another_city() -> None:
    one, other = (whole_life(city_of(seed, orders=1)) for seed in (1, 2))
    assert one[0].data["items"] != other[0].data["items"]


def test_two_runs_of_a_seed_differ_in_ids_alone() -> None:
    one, other = (
        json.dumps([happening.data for happening in whole_life(city_of(1, run=run))]) for run in "ab"
    )
    assert one != other
    assert one == other.replace("_b_", "_a_")


EXPECTED = (
    "order_created",
    "payment_initiated",
    "payment_completed",
    "order_confirmed",
    "order_ready",
    "delivery_accepted",
    "delivery_in_transit",
    "delivery_arrived",
    "delivery_completed",
)


@few_examples
@given(seed=SEEDS)
def test_an_order_goes_through_its_steps_in_order(seed: int) -> None:
    city = city_of(seed, orders=3)
    happenings = whole_life(city)
    for number in (1, 2, 3):
        told = of_order(happenings, number)
        assert [one.at for one in told] == sorted(one.at for one in told)
        types = [one.event_type for one in told if one.event_type not in ("location_updated", "eta_updated")]
        failures = types.count("payment_failed")
        charging = ["payment_initiated", "payment_failed"] * failures
        if failures == 3:
            assert types == ["order_created", *charging]
            assert told[-1].data["retry_available"] is False
        else:
            assert types == ["order_created", *charging, *EXPECTED[1:]]
    assert sum(city.ended.values()) == 3
    assert city.orders == {}


@few_examples
@given(seed=SEEDS)
def test_a_rider_has_one_order_at_a_time_and_their_balance_adds_up(seed: int) -> None:
    happenings = whole_life(city_of(seed, orders=6, riders=2, gap=30.0))
    busy: dict[str, str] = {}
    balances: dict[str, int] = {}
    for happening in happenings:
        data = happening.data
        if "rider" not in happening.user_id:
            continue
        match happening.event_type:
            case "delivery_accepted":
                assert happening.user_id not in busy
                busy[happening.user_id] = data["delivery_id"]
            case "delivery_completed":
                assert busy.pop(happening.user_id) == data["delivery_id"]
            case "wallet_updated":
                before = balances.get(happening.user_id, data["previous_balance"])
                assert data["previous_balance"] == before
                assert data["new_balance"] == before + data["change"] >= 0
                balances[happening.user_id] = data["new_balance"]
            case "earning_recorded":
                assert data["amount"] == sum(data["breakdown"].values())
    assert busy == {}


def test_places_on_the_way_can_be_superseded_and_expire_and_nothing_else_can() -> None:
    for happening in whole_life(city_of(1)):
        if happening.event_type == "location_updated":
            assert happening.collapse_key == happening.data["delivery_id"]
            assert happening.ttl is not None
        else:
            assert happening.collapse_key is None
            assert (happening.ttl is not None) == (happening.event_type == "eta_updated")


def test_a_customer_has_one_order_at_a_time_and_the_first_one_the_first_order() -> None:
    happenings = whole_life(city_of(3, orders=30, gap=20.0))
    open_orders: set[str] = set()
    for happening in happenings:
        if "customer" not in happening.user_id:
            continue
        ended = happening.event_type == "delivery_completed" or (
            happening.event_type == "payment_failed" and not happening.data["retry_available"]
        )
        if happening.event_type == "order_created":
            assert happening.user_id not in open_orders
            open_orders.add(happening.user_id)
        elif ended:
            open_orders.discard(happening.user_id)
    assert happenings[0].user_id == "demo_customer"


def test_an_order_has_about_as_many_events_and_lasts_about_as_long_as_the_pace_reckons_with() -> None:
    city = city_of(1, orders=100, riders=20)
    happenings = whole_life(city)
    assert len(happenings) / 100 == pytest.approx(EVENTS_PER_ORDER, rel=0.15)
    began = {one.data["order_id"]: one.at for one in happenings if one.event_type == "order_created"}
    lasted = [
        one.at - began[one.data["order_id"]] for one in happenings if one.event_type == "delivery_completed"
    ]
    assert sum(lasted) / len(lasted) == pytest.approx(ORDER_SECONDS, rel=0.25)
    assert city.ended[State.DELIVERED] > city.ended[State.ABANDONED]


def test_each_type_has_one_service_that_may_emit_it() -> None:
    assert {service_of(event_type) for event_type in CATALOGUE.types} == set(SERVICES)
    with pytest.raises(KeyError):
        service_of("order")
