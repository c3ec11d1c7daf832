"""The AsyncAPI 3.0 document of the WebSocket API, made from the catalogue and the codes.

It says of docs/protocol.md what a program can use: the channel, every message both ways with examples,
which message answers which, the event types, the errors and the closes. The application that it
describes is Harkara: it receives what clients say, and sends events. Payloads are in AsyncAPI's own
schema language, of which JSON Schema's words used here are a part.

What does not belong here: REST (the query-service's OpenAPI document), and gRPC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from harkara_catalogue.codes import CLOSE_CODES, ERROR_CODES
from harkara_catalogue.event_types import Catalogue
from harkara_catalogue.examples import example_data
from harkara_catalogue.json_schema import JsonSchema, event_schema

Document: TypeAlias = dict[str, Any]

VERSION: Final = "1.0.0"
"""Of the WebSocket contract, not of this software."""

DEFAULT_WEBSOCKET_URL: Final = "ws://127.0.0.1:8080/api/websocket/ws"
"""Where a mesh on one machine listens unless it is told otherwise."""

MAX_SEQ: Final = 2**63 - 1

_CHANNEL: Final = "events"
_DESCRIPTION: Final = """\
How a phone or a browser receives its user's events.

Every message is one JSON object in a text frame, of at most 64 KiB. The first one is `auth`, within ten
seconds; a connection is subscribed to nothing until it says `subscribe` or `resume`. A client ignores
fields, and types of messages, that it does not know. An event is the one message without a `type`: it has
an `event_type`.

How a connection ends is told by the close code: `x-close-codes` of the channel says what a client does
then.
"""

_SEQ: Final[JsonSchema] = {"type": "integer", "minimum": 0, "maximum": MAX_SEQ}
_USER_ID: Final[JsonSchema] = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
_EPOCH: Final[JsonSchema] = {
    "type": "string",
    "description": "Names one life of the log: a seq means something only beside its epoch.",
}
_EXAMPLE_TOKEN: Final = "eyJhbGc..."  # noqa: S105 - no secret.
_EXAMPLE_TIME: Final = "2026-01-27T10:30:00Z"
_EXAMPLE_EPOCH: Final = "V2hPbm5lY3Rz"


def asyncapi_document(catalogue: Catalogue, websocket_url: str = DEFAULT_WEBSOCKET_URL) -> Document:
    """Return the document.

    Args:
        catalogue: The event types, a deployment's own ones included.
        websocket_url: Where clients connect, as `ws://host:port/path` or `wss://…`.

    Returns:
        A new dictionary, the caller's to change.
    """
    url = urlsplit(websocket_url)
    messages = _messages(catalogue)
    events = [_key(name) for name in catalogue.types]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Harkara WebSocket", "version": VERSION, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {
            "edge": {
                "host": url.netloc,
                "protocol": url.scheme,
                "description": "Any edge worker. The token is in the first message, never in the URL.",
            }
        },
        "channels": {
            _CHANNEL: {
                "address": url.path,
                "title": "One connection",
                "description": "All messages of one user's connection, both ways, in order.",
                "servers": [{"$ref": "#/servers/edge"}],
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
                "x-close-codes": _close_codes(),
            }
        },
        "operations": {
            "authenticate": _received("auth", "Say who the client is, first and again", "authenticated"),
            "subscribe": _received("subscribe", "Ask for types of events", "subscription_updated"),
            "unsubscribe": _received("unsubscribe", "Ask for no more of them", "subscription_updated"),
            "heartbeat": _received("heartbeat", "Say that the client is there", "heartbeat_ack"),
            "acknowledge": _received("ack", "Say how far the client got"),
            "deliver": _operation("send", "Bring the user's events, in order", events),
            "refuse": _operation("send", "Tell an error", ["error"]),
        },
        "components": {"messages": messages},
    }


def _received(message: str, summary: str, *answers: str) -> Document:
    operation = _operation("receive", summary, [message])
    if answers:
        operation["reply"] = {
            "channel": {"$ref": f"#/channels/{_CHANNEL}"},
            "messages": _in_channel([*answers, "error"]),
        }
    return operation


def _operation(action: str, summary: str, messages: Iterable[str]) -> Document:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{_CHANNEL}"},
        "summary": summary,
        "messages": _in_channel(messages),
    }


def _in_channel(messages: Iterable[str]) -> list[Document]:
    return [{"$ref": f"#/channels/{_CHANNEL}/messages/{name}"} for name in messages]


def _close_codes() -> Document:
    return {
        str(close.close_code): {
            **({"error": close.error_code} if close.error_code else {}),
            "when": close.when,
            "client": close.client.value,
        }
        for close in CLOSE_CODES.values()
    }


def _messages(catalogue: Catalogue) -> Document:
    return {
        **dict(_client_messages(catalogue)),
        **dict(_server_messages(catalogue)),
        **{_key(name): _event(catalogue, name) for name in catalogue.types},
    }


def _key(event_type: str) -> str:
    # A deployment may call a type "ack": that is no other message's name.
    return f"event_{event_type}"


def _client_messages(catalogue: Catalogue) -> Iterator[tuple[str, Document]]:
    entries = _entries(catalogue)
    wanted = list(catalogue.types)[:2]
    resume = {
        "type": ["object", "null"],
        "description": "Restore the subscription and go on after `seq`; without `seq`, where the device is.",
        "properties": {"epoch": _or_null(_EPOCH), "seq": _or_null(_SEQ), "events": entries},
    }
    yield _message(
        "auth",
        "Says who the client is: the first message, and again before `expires_at`.",
        {
            "token": {"type": "string", "maxLength": 8192, "description": "A JWT."},
            "user_id": _or_null({**_USER_ID, "description": "Where given, it must be the token's."}),
            "user_role": {"type": ["string", "null"], "description": "Where given, it must be the user's."},
            "device_id": {
                "type": ["string", "null"],
                "description": "A name that the device made for itself, 1 to 64 of A-Z, a-z, 0-9, _ and -;"
                " what is acknowledged is remembered for it. One of another form is as none.",
            },
            "resume": resume,
        },
        ["token"],
        (
            "The first message",
            {"token": _EXAMPLE_TOKEN, "user_id": "user_123", "user_role": "customer"},
        ),
        (
            "Going on",
            {"token": _EXAMPLE_TOKEN, "resume": {"epoch": _EXAMPLE_EPOCH, "seq": 42, "events": wanted}},
        ),
        (
            "Going on where the device is",
            {"token": _EXAMPLE_TOKEN, "device_id": "9f2c-phone", "resume": {"events": wanted}},
        ),
    )
    yield _message(
        "subscribe",
        "Adds types of events to what is subscribed.",
        {"events": entries},
        ["events"],
        ("Some types", {"events": wanted}),
        ("Every type, those of the future too", {"events": ["*"]}),
    )
    yield _message(
        "unsubscribe",
        "Takes types of events away. What is not subscribed is no error.",
        {"events": {"type": "array", "items": {"type": "string"}}},
        ["events"],
        ("One type", {"events": wanted[:1]}),
    )
    yield _message(
        "heartbeat",
        "Says that the client is there: every `heartbeat_interval` seconds.",
        {
            "timestamp": {"type": ["string", "null"], "description": "The client's time; not looked at."},
            "ack": _or_null({**_SEQ, "description": "As an `ack` message."}),
        },
        [],
        ("With an acknowledgement", {"timestamp": _EXAMPLE_TIME, "ack": 42}),
    )
    yield _message(
        "ack",
        "Everything up to `seq` has been dealt with; moves the device's place. Nothing answers it.",
        {"seq": _SEQ},
        ["seq"],
        ("An acknowledgement", {"seq": 42}),
    )


def _server_messages(catalogue: Catalogue) -> Iterator[tuple[str, Document]]:
    wanted = list(catalogue.types)[:2]
    time = {"type": "string", "format": "date-time"}
    authenticated = {
        "user_id": "user_123",
        "user_role": "customer",
        "connection_id": "conn_abc123xyz",
        "epoch": _EXAMPLE_EPOCH,
        "seq": 41,
        "heartbeat_interval": 30,
        "expires_at": "2026-01-28T10:30:00.000Z",
    }
    yield _message(
        "authenticated",
        "Answers `auth`.",
        {
            "user_id": _USER_ID,
            "user_role": {"enum": ["customer", "delivery_boy", "shop", "support", "admin"]},
            "connection_id": {"type": "string", "description": "A name for this connection, for reports."},
            "epoch": _EPOCH,
            "seq": {**_SEQ, "description": "Nothing up to this number will come on this connection."},
            "heartbeat_interval": {"type": "integer", "minimum": 1, "description": "Seconds."},
            "expires_at": {**time, "description": "When the token ends, and with it this connection."},
            "recovered": {"type": "boolean", "description": "Only after a `resume`: whether it succeeded."},
        },
        list(authenticated),
        ("The answer to a first `auth`", authenticated),
        ("The answer to one with `resume`", {**authenticated, "seq": 42, "recovered": True}),
    )
    yield _message(
        "subscription_updated",
        "Answers `subscribe` and `unsubscribe`, exactly where the change takes effect.",
        {
            "subscribed_events": {
                **_entries(catalogue),
                "description": "All that is subscribed now, in the order first asked for.",
            }
        },
        ["subscribed_events"],
        ("Two types", {"subscribed_events": wanted}),
    )
    yield _message(
        "heartbeat_ack",
        "Answers `heartbeat`.",
        {
            "timestamp": {**time, "description": "The server's time."},
            "seq": {
                **_SEQ,
                "description": "This connection's position: what it is subscribed to was written up to here.",
            },
        },
        ["timestamp", "seq"],
        ("An answer", {"timestamp": "2026-01-27T10:30:00.123Z", "seq": 57}),
    )
    errors = [error for error in ERROR_CODES.values() if error.on_websocket]
    yield _message(
        "error",
        "A message had no effect, or the connection is about to be closed.",
        {
            "code": {
                "enum": [error.code for error in errors],
                "description": "\n".join(f"- `{error.code}`: {error.meaning}." for error in errors),
            },
            "message": {"type": "string", "description": "For people; it may change."},
            "events": {
                "type": "array",
                "items": {"type": "string"},
                "description": "The types at fault, where it is them.",
            },
        },
        ["code", "message"],
        (
            "A type that is not there",
            {
                "code": "unknown_event_type",
                "message": ERROR_CODES["unknown_event_type"].meaning,
                "events": ["order_exploded"],
            },
        ),
    )


def _event(catalogue: Catalogue, name: str) -> Document:
    event_type = catalogue.types[name]
    schema = event_schema(catalogue, name)
    del schema["$schema"]
    schema["properties"]["seq"]["description"] += " One that is not stored has none."
    return {
        "name": name,
        "title": name,
        "summary": f"{event_type.when or name}.",
        "tags": [{"name": event_type.group}],
        "payload": schema,
        "examples": [
            {
                "name": name,
                "payload": {
                    "event_type": name,
                    "event_level": event_type.default_level,
                    "event_id": "evt_01KG0V4BZ2T9J5M8N3Q7R1S6XY",
                    "timestamp": _EXAMPLE_TIME,
                    "user_id": "user_123",
                    "data": example_data(event_type),
                    "source": "demo_service",
                    "seq": 42,
                },
            }
        ],
    }


def _message(
    name: str,
    summary: str,
    properties: JsonSchema,
    required: list[str],
    *examples: tuple[str, Document],
) -> tuple[str, Document]:
    return name, {
        "name": name,
        "title": name,
        "summary": summary,
        "payload": {
            "type": "object",
            "properties": {"type": {"const": name}, **properties},
            "required": ["type", *required],
        },
        "examples": [
            {"name": f"{name}_{number}", "summary": said, "payload": {"type": name, **payload}}
            for number, (said, payload) in enumerate(examples, 1)
        ],
    }


def _entries(catalogue: Catalogue) -> JsonSchema:
    return {
        "type": "array",
        "maxItems": 200,
        "items": {"enum": [*catalogue.types, "*"]},
        "description": "Types of events; `*` is every type.",
    }


def _or_null(schema: JsonSchema) -> JsonSchema:
    return {**schema, "type": [schema["type"], "null"]}
