"""The AsyncAPI document says what the WebSocket API does: held against the edge, the codes, the reference."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator

from harkara_catalogue import CLOSE_CODES, Catalogue, EventType, asyncapi_document, example_data
from harkara_catalogue.codes import ERROR_CODES
from harkara_catalogue.shapes import ANY, BOOLEAN, NUMBER, STRING, ArrayShape, fields
from harkara_edge.domain import messages, replies
from tests.support.reference_vectors import load_vectors

CATALOGUE = Catalogue.reference()
DOCUMENT = asyncapi_document(CATALOGUE)
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
REFERENCE = load_vectors()

COUPON = EventType(
    "coupon_granted",
    "low",
    "Marketing",
    "",
    fields(
        coupon_id=STRING,
        amount=NUMBER,
        transferable=BOOLEAN,
        shops=ArrayShape(fields(shop_id=STRING)),
        extra=ANY,
    ),
)


def faults(name: str, payload: object) -> list[str]:
    schema = MESSAGES[name]["payload"]
    validator = Draft7Validator(schema, format_checker=Draft7Validator.FORMAT_CHECKER)
    return [error.message for error in validator.iter_errors(payload)]


def fitting(document: dict[str, Any], payload: object) -> list[str]:
    return [
        name
        for name, message in document["components"]["messages"].items()
        if Draft7Validator(message["payload"]).is_valid(payload)
    ]


def resolved(pointer: dict[str, str], document: dict[str, Any] = DOCUMENT) -> Any:
    (path,) = pointer.values()
    found: Any = document
    for part in path.removeprefix("#/").split("/"):
        found = found[part]
    return resolved(found, document) if set(found) == {"$ref"} else found


def test_the_document_is_json_and_whoever_asked_may_change_it() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
    asyncapi_document(CATALOGUE)["components"]["messages"].clear()
    assert asyncapi_document(CATALOGUE) == DOCUMENT


@pytest.mark.parametrize("name", MESSAGES)
def test_every_schema_is_one_and_every_example_fits_its_own_message_and_no_other(name: str) -> None:
    Draft7Validator.check_schema(MESSAGES[name]["payload"])
    assert MESSAGES[name]["examples"]
    for example in MESSAGES[name]["examples"]:
        assert faults(name, example["payload"]) == []
        assert fitting(DOCUMENT, example["payload"]) == [name]


def test_every_reference_leads_somewhere_and_every_message_is_sent_or_received() -> None:
    (channel,) = DOCUMENT["channels"].values()
    assert channel["address"] == "/api/websocket/ws"
    assert {name: resolved(pointer) for name, pointer in channel["messages"].items()} == MESSAGES
    assert [resolved(pointer) for pointer in channel["servers"]] == list(DOCUMENT["servers"].values())
    told: set[str] = set()
    for operation in DOCUMENT["operations"].values():
        assert resolved(operation["channel"]) == channel
        pointers = (*operation["messages"], *operation.get("reply", {}).get("messages", ()))
        told |= {resolved(pointer)["name"] for pointer in pointers}
    assert told == {message["name"] for message in MESSAGES.values()}


def test_what_the_edge_reads_is_what_a_client_may_send_field_for_field() -> None:
    for kind in (
        messages.Auth,
        messages.Subscribe,
        messages.Unsubscribe,
        messages.Heartbeat,
        messages.Ack,
    ):
        name = str(kind.__struct_config__.tag)
        assert set(MESSAGES[name]["payload"]["properties"]) == {"type", *kind.__struct_fields__}
    received = {
        resolved(pointer)["name"]
        for operation in DOCUMENT["operations"].values()
        if operation["action"] == "receive"
        for pointer in operation["messages"]
    }
    assert received == {"auth", "subscribe", "unsubscribe", "heartbeat", "ack"}
    for name in received:
        for example in MESSAGES[name]["examples"]:
            messages.parse(json.dumps(example["payload"]))


def test_what_the_edge_says_fits() -> None:
    authenticated = replies.authenticated(
        user_id="user_1",
        user_role="customer",
        connection_id="conn_1",
        epoch="e",
        seq=0,
        heartbeat_interval=30,
        expires_at=1_800_000_000.0,
        recovered=None,
    )
    assert faults("authenticated", json.loads(authenticated)) == []
    updated = replies.subscription_updated(("order_ready", "*"))
    assert faults("subscription_updated", json.loads(updated)) == []
    assert faults("heartbeat_ack", json.loads(replies.heartbeat_ack(1_800_000_000.5, 7))) == []
    for code, error in ERROR_CODES.items():
        assert (faults("error", json.loads(replies.error(code, ["x"]))) == []) is error.on_websocket


@pytest.mark.parametrize(
    "name", [name for name, vector in REFERENCE.items() if vector.kind == "client_message"]
)
def test_a_client_of_the_reference_says_what_is_documented(name: str) -> None:
    body = REFERENCE[name].body
    assert faults(body["type"], body) == []


@pytest.mark.parametrize("name", CATALOGUE.types)
def test_the_example_of_a_type_is_the_references_own(name: str) -> None:
    assert example_data(CATALOGUE.types[name]) == REFERENCE[f"event_{name}"].body["data"]


def test_every_close_is_told_with_what_a_client_does_then() -> None:
    (channel,) = DOCUMENT["channels"].values()
    told = channel["x-close-codes"]
    assert {int(code): close["client"] for code, close in told.items()} == {
        code: close.client.value for code, close in CLOSE_CODES.items()
    }
    assert told["4401"]["error"] == "unauthenticated"
    assert "error" not in told["1000"]


def test_a_deployments_own_type_is_a_message_like_the_others() -> None:
    document = asyncapi_document(Catalogue.of((*CATALOGUE.types.values(), COUPON)))
    message = document["components"]["messages"]["event_coupon_granted"]
    data = message["examples"][0]["payload"]["data"]
    assert data == {
        "coupon_id": "text",
        "amount": 1,
        "transferable": True,
        "shops": [{"shop_id": "text"}],
        "extra": "anything",
    }
    assert fitting(document, message["examples"][0]["payload"]) == ["event_coupon_granted"]
    types = document["components"]["messages"]["subscribe"]["payload"]["properties"]["events"]["items"][
        "enum"
    ]
    assert types == [*CATALOGUE.types, "coupon_granted", "*"]


@pytest.mark.parametrize("name", ["ack", "error", "auth"])
def test_a_type_that_is_named_like_a_message_takes_nobodys_place(name: str) -> None:
    own = EventType(name, "low", "Other", "", fields())
    document = asyncapi_document(Catalogue.of([own]))
    assert document["components"]["messages"][name] != document["components"]["messages"][f"event_{name}"]
    example = document["components"]["messages"][f"event_{name}"]["examples"][0]["payload"]
    assert fitting(document, example) == [f"event_{name}"]


def test_the_server_is_the_one_whose_address_is_given() -> None:
    document = asyncapi_document(CATALOGUE, "wss://events.example.com/api/websocket/ws")
    assert document["servers"]["edge"]["host"] == "events.example.com"
    assert document["servers"]["edge"]["protocol"] == "wss"


def test_an_example_is_the_callers_to_change() -> None:
    example_data(CATALOGUE.types["order_created"])["items"].clear()
    assert msgspec.json.encode(example_data(CATALOGUE.types["order_created"])["items"]) != b"[]"
