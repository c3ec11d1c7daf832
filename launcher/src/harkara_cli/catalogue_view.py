"""The event types as people read them: a table of all, or everything about one."""

import json
import shlex

from harkara_catalogue import Catalogue, EventType, example_data
from harkara_catalogue.shapes import known_fields
from harkara_cli.console import LEVEL_COLOURS, paint, put, put_table, use_colour


def show_all(catalogue: Catalogue) -> None:
    """A table on standard output: each type with its level, when it comes, and what it holds."""
    rows = [
        (
            event_type.name,
            event_type.default_level,
            event_type.when,
            ", ".join(event_type.data.fields),
        )
        for event_type in catalogue.types.values()
    ]
    put_table(("type", "level", "when", "fields of data"), rows)


def show_one(event_type: EventType) -> None:
    """On standard output: what a type is, every field at any depth, and how to emit one."""
    colour = use_colour(1)
    level = paint(event_type.default_level, LEVEL_COLOURS[event_type.default_level], when=colour)
    put(f"{paint(event_type.name, '1', when=colour)}  {level}")
    if event_type.when:
        put(f"{event_type.when}.")
    put("")
    if event_type.data.fields:
        put_table(("field", "type"), known_fields(event_type.data))
    else:
        put("Its data may be any object.")
    example = json.dumps(example_data(event_type), ensure_ascii=False)
    arguments = ["--user", "demo_customer", "--type", event_type.name, "--data", example]
    put(f"\n{paint('Emit one:', '1', when=colour)}")
    put(f"  {shlex.join(['./harkara', 'emit', *arguments])}")
