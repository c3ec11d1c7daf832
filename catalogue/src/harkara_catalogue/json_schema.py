"""JSON Schemas (2020-12) of events, made from the catalogue.

They say as much of `data_check`'s rules as a schema can. That a text is strict JSON, its size and
its depth are no matter of a schema.

What does not belong here: shapes of messages other than events.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from harkara_catalogue.event_types import LEVELS, Catalogue, EventType
from harkara_catalogue.shapes import ArrayShape, Scalar, Shape

JsonSchema: TypeAlias = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def data_schema(event_type: EventType) -> JsonSchema:
    """Return the schema of one type's `data`.

    Returns:
        A new dictionary, the caller's to change.
    """
    return {
        "$schema": DIALECT,
        "title": f"data of {event_type.name}",
        **_description(event_type),
        **_schema_of(event_type.data),
    }


def event_schema(catalogue: Catalogue, name: str) -> JsonSchema:
    """Return the schema of an event of one type, as a client receives it.

    Args:
        catalogue: The event types.
        name: A type of that catalogue.

    Returns:
        A new dictionary, the caller's to change.

    Raises:
        KeyError: The catalogue has no such type.
    """
    event_type = catalogue.types[name]
    return {
        "$schema": DIALECT,
        "title": name,
        **_description(event_type),
        "type": "object",
        "properties": {
            "event_type": {"const": name},
            "event_level": {"enum": list(LEVELS), "default": event_type.default_level},
            "event_id": {"type": "string", "pattern": "^evt_", "description": "Unique; deduplicate by it."},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened; UTC."},
            "user_id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
            "data": _schema_of(event_type.data),
            "source": {"type": "string", "description": "The service that emitted the event."},
            "seq": {
                "type": "integer",
                "minimum": 1,
                "description": "The event's number in its user's stream: gap-free over all types.",
            },
        },
        # A client written from the reference alone knows seven fields; seq is an addition.
        "required": ["event_type", "event_level", "event_id", "timestamp", "user_id", "data", "source"],
    }


def events_schema(catalogue: Catalogue) -> JsonSchema:
    """Return one schema that an event of any of the types fits, as a client receives it.

    Returns:
        A new dictionary, the caller's to change; each type's schema is under `$defs`.
    """
    schemas = {name: event_schema(catalogue, name) for name in catalogue.types}
    for schema in schemas.values():
        del schema["$schema"]
    return {
        "$schema": DIALECT,
        "title": "event",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in schemas],
        "$defs": schemas,
    }


def _description(event_type: EventType) -> JsonSchema:
    return {"description": f"{event_type.when}."} if event_type.when else {}


def _schema_of(shape: Shape) -> JsonSchema:
    if shape is Scalar.ANY:
        return {}
    if isinstance(shape, Scalar):
        return {"type": shape.value}
    if isinstance(shape, ArrayShape):
        return {"type": "array", "items": _schema_of(shape.items)}
    return {"type": "object", "properties": {name: _or_null(field) for name, field in shape.fields.items()}}


def _or_null(shape: Shape) -> JsonSchema:
    schema = _schema_of(shape)
    if "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema
