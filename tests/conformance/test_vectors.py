"""The examples of the reference are all there, and the catalogue says what they show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harkara_catalogue import LEVELS, Catalogue, check_data, data_schema, event_schema
from harkara_catalogue.shapes import ArrayShape, ObjectShape, Scalar, Shape
from tests.support.reference_vectors import load_vectors

CATALOGUE = Catalogue.reference()
VECTORS = load_vectors()

CLIENT_MESSAGES = [
    "auth",
    "heartbeat",
    "management_subscribe",
    "management_unsubscribe",
    "subscribe",
]
SERVER_MESSAGES = [
    "authenticated",
    "heartbeat_ack",
    "management_subscribed",
    "management_unsubscribed",
    "subscription_updated",
]
EVENTS = [
    "event_bonus_earned",
    "event_delivery_accepted",
    "event_delivery_arrived",
    "event_delivery_completed",
    "event_delivery_in_transit",
    "event_earning_recorded",
    "event_eta_updated",
    "event_location_updated",
    "event_order_confirmed",
    "event_order_created",
    "event_order_ready",
    "event_payment_completed",
    "event_payment_failed",
    "event_payment_initiated",
    "event_payout_approved",
    "event_payout_completed",
    "event_wallet_updated",
    "incoming_event",
]
REST_RESPONSES = [
    "rest_analytics_summary",
    "rest_critical_events",
    "rest_event",
    "rest_stats",
    "rest_user_events",
]

# What the examples of the types leave out, because "Incoming Events" shows it.
COMMON_FIELDS = {
    "event_id": "evt_abc123xyz",
    "timestamp": "2026-01-27T10:30:00Z",
    "source": "earnings_service",
}


def names_of(kind: str) -> list[str]:
    return [name for name, vector in VECTORS.items() if vector.kind == kind]


def validate(schema: dict[str, Any], instance: object) -> None:
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(instance)


def test_every_example_of_the_reference_is_kept() -> None:
    assert names_of("client_message") == CLIENT_MESSAGES
    assert names_of("server_message") == SERVER_MESSAGES
    assert names_of("event") == EVENTS
    assert names_of("rest_response") == REST_RESPONSES
    assert len(VECTORS) == 33


def test_every_answer_names_a_message_of_the_client() -> None:
    assert {VECTORS[name].answers for name in SERVER_MESSAGES} == set(CLIENT_MESSAGES)


def test_every_rest_example_has_its_request() -> None:
    assert {name: request.route for name in REST_RESPONSES if (request := VECTORS[name].request)} == {
        "rest_analytics_summary": "/api/websocket/analytics/summary",
        "rest_critical_events": "/api/websocket/critical-events",
        "rest_event": "/api/websocket/events/{event_id}",
        "rest_stats": "/api/websocket/stats",
        "rest_user_events": "/api/websocket/events/user/{user_id}",
    }


def test_the_catalogue_has_the_types_of_the_examples_and_no_other() -> None:
    shown = [VECTORS[name].body["event_type"] for name in EVENTS if name != "incoming_event"]
    assert len(shown) == 17
    assert sorted(shown) == sorted(CATALOGUE.types)


@pytest.mark.parametrize("name", EVENTS)
def test_the_level_of_an_example_is_the_default_level_of_its_type(name: str) -> None:
    body = VECTORS[name].body
    assert body["event_level"] == CATALOGUE.level_of(body["event_type"])
    assert body["event_level"] in LEVELS


@pytest.mark.parametrize("name", EVENTS)
def test_the_data_of_an_example_passes_the_check(name: str) -> None:
    body = VECTORS[name].body
    assert check_data(CATALOGUE, body["event_type"], json.dumps(body["data"])) is None


@pytest.mark.parametrize("name", EVENTS)
def test_an_example_fits_the_schema_of_its_type(name: str) -> None:
    body = VECTORS[name].body
    validate(data_schema(CATALOGUE.types[body["event_type"]]), body["data"])
    validate(event_schema(CATALOGUE, body["event_type"]), {**COMMON_FIELDS, **body})


@pytest.mark.parametrize("name", [name for name in EVENTS if name != "incoming_event"])
def test_the_catalogue_knows_exactly_the_fields_that_the_example_shows(name: str) -> None:
    body = VECTORS[name].body
    shape = CATALOGUE.types[body["event_type"]].data
    shown = dict(places_of_value(body["data"], "data"))
    # The one field that the reference shows as null: a rating is a number where it shows one.
    if name == "event_delivery_completed":
        assert shown["data.delivery_rating"] is None
        shown["data.delivery_rating"] = Scalar.NUMBER
    assert dict(places_of_shape(shape, "data")) == shown


def places_of_value(value: object, place: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from places_of_value(part, f"{place}.{name}")
    elif isinstance(value, list):
        for part in value:
            yield from places_of_value(part, f"{place}[]")
    elif value is None:
        yield place, None
    elif isinstance(value, bool):
        yield place, Scalar.BOOLEAN
    else:
        yield place, Scalar.STRING if isinstance(value, str) else Scalar.NUMBER


def places_of_shape(shape: Shape, place: str) -> Iterator[tuple[str, object]]:
    if isinstance(shape, ObjectShape):
        for name, part in shape.fields.items():
            yield from places_of_shape(part, f"{place}.{name}")
    elif isinstance(shape, ArrayShape):
        yield from places_of_shape(shape.items, f"{place}[]")
    else:
        yield place, shape
