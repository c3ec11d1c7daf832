"""TypeScript types of events, and the table of close codes for JavaScript, made from the catalogue.

They say as much of an event as TypeScript can: a field of `data` may be absent or null, as `shapes`
has it, and further ones may stand beside it.

What does not belong here: who writes these texts where (`clients/javascript/generate.py`), and shapes
of messages other than events.
"""

from __future__ import annotations

import json
import re
from typing import Final

from harkara_catalogue.codes import CLOSE_CODES, ClientAction
from harkara_catalogue.event_types import LEVELS, Catalogue, EventType
from harkara_catalogue.shapes import ArrayShape, ObjectShape, Scalar, Shape

_WORDS: Final = {
    Scalar.STRING: "string",
    Scalar.NUMBER: "number",
    Scalar.BOOLEAN: "boolean",
    Scalar.ANY: "unknown",
}
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*\Z")
_ACTIONS: Final = {
    ClientAction.STOP: "stop",
    ClientAction.BACK_OFF: "back_off",
    ClientAction.RECONNECT: "reconnect",
    ClientAction.RECONNECT_SPREAD: "reconnect_spread",
    ClientAction.NEW_TOKEN: "new_token",
}


def catalogue_typescript(catalogue: Catalogue) -> str:
    """Return the declarations of all events, as one module.

    `EventDataByType` has the shape of `data` for each type; `HarkaraEvent` is any event, told apart by its
    `event_type`.

    Args:
        catalogue: The event types.

    Returns:
        TypeScript that ends with a line end.
    """
    types = list(catalogue.types.values())
    return "\n".join(
        (
            "// Made from the catalogue of event types; not to be changed by hand.",
            "",
            f"export type EventLevel = {' | '.join(json.dumps(level) for level in LEVELS)};",
            "",
            *(line for event_type in types for line in _data_interface(event_type)),
            "/** What the `data` of each type holds. */",
            "export interface EventDataByType {",
            *(f"  {_key(event_type.name)}: {_interface_name(event_type)};" for event_type in types),
            "}",
            "",
            "export type EventType = keyof EventDataByType;",
            "",
            "/** An event as it is on the wire. */",
            "export interface WireEventOf<Name extends string, Data> {",
            "  event_type: Name;",
            "  event_level: EventLevel;",
            "  /** Unique; deduplicate by it. */",
            "  event_id: string;",
            "  /** When it happened; ISO 8601, UTC. */",
            "  timestamp: string;",
            "  user_id: string;",
            "  data: Data;",
            "  /** The service that emitted the event. */",
            "  source: string;",
            "  /** Its number in its user's stream; absent from an event that is stored nowhere. */",
            "  seq?: number;",
            "}",
            "",
            "/** An event as the client tells it: with the two short names beside the wire's. */",
            "export interface EventOf<Name extends string, Data> extends WireEventOf<Name, Data> {",
            "  /** The same as `event_type`. */",
            "  type: Name;",
            "  /** The same as `event_level`. */",
            "  level: EventLevel;",
            "}",
            "",
            "/** Any event of the catalogue; `event_type` tells which. */",
            "export type HarkaraEvent = {",
            "  [Name in EventType]: EventOf<Name, EventDataByType[Name]>;",
            "}[EventType];",
            "",
        )
    )


def close_codes_javascript() -> str:
    """Return what a client does after each close, as one JavaScript module.

    Returns:
        JavaScript that ends with a line end.
    """
    return "\n".join(
        (
            "// Made from the catalogue of codes; not to be changed by hand.",
            "",
            f"/** @typedef {{{' | '.join(json.dumps(word) for word in _ACTIONS.values())}}} CloseAction */",
            "",
            "/**",
            " * What to do after a close, by the number in its frame.",
            " *",
            " * @type {ReadonlyMap<number, CloseAction>}",
            " */",
            "export const CLOSE_ACTIONS = new Map([",
            *(
                f"  [{close.close_code}, {json.dumps(_ACTIONS[close.client])}],"
                for close in CLOSE_CODES.values()
            ),
            "]);",
            "",
        )
    )


def _data_interface(event_type: EventType) -> list[str]:
    about = [f"/** {_comment(event_type.when)}. */"] if event_type.when else []
    return [
        *about,
        f"export interface {_interface_name(event_type)} {_object(event_type.data, '')}",
        "",
    ]


def _type_of(shape: Shape, indent: str) -> str:
    if isinstance(shape, Scalar):
        return _WORDS[shape]
    if isinstance(shape, ArrayShape):
        return f"Array<{_type_of(shape.items, indent)}>"
    return _object(shape, indent)


def _object(shape: ObjectShape, indent: str) -> str:
    inner = indent + "  "
    lines = [
        f"{inner}{_key(name)}?: {_type_of(field, inner)} | null;" for name, field in shape.fields.items()
    ]
    lines.append(f"{inner}[further: string]: unknown;")
    return "\n".join(("{", *lines, f"{indent}}}"))


def _interface_name(event_type: EventType) -> str:
    words = re.split(r"[^A-Za-z0-9]+", event_type.name)
    return "".join(word[:1].upper() + word[1:] for word in words) + "Data"


def _key(name: str) -> str:
    return name if _IDENTIFIER.match(name) else json.dumps(name)


def _comment(text: str) -> str:
    return text.replace("*/", "* /")
