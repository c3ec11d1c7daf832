"""Writes src/harkara_client/events.py from the catalogue: the only writer of that file.

`python clients/python/generate.py` writes; `--check` writes nothing, and exits 1 where the file would change.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from harkara_catalogue import Catalogue, EventType
from harkara_catalogue.shapes import ArrayShape, ObjectShape, Scalar, Shape

TARGET: Final = Path(__file__).resolve().parent / "src" / "harkara_client" / "events.py"

_HEAD: Final = '''\
"""The `data` of each type of event, as a class; for `Emitter.emit_event` and `Event.data_as`.

Every field may be left out, and may be null. Fields that are not named here go in a plain mapping, with
`Emitter.emit`.

Generated from the catalogue by clients/python/generate.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import UNSET, Struct, UnsetType

from harkara_client.event_data import EventData, Number
'''
_SCALARS: Final = {
    Scalar.STRING: "str",
    Scalar.NUMBER: "Number",
    Scalar.BOOLEAN: "bool",
    Scalar.ANY: "Any",
}


def render(catalogue: Catalogue) -> str:
    """Return the module for a catalogue."""
    text = "".join(part for event_type in catalogue.types.values() for part in _classes_of(event_type))
    head = _HEAD if ": Any" in text else _HEAD.replace("import Any, ClassVar", "import ClassVar")

    every = "\n\nBY_TYPE: dict[str, type[EventData]] = {\n"
    every += "".join(f'    "{name}": {_camel(name)},\n' for name in catalogue.types)
    every += '}\n"""The classes by the names of their types."""\n'
    return head + text + every


def _classes_of(event_type: EventType) -> list[str]:
    """The class of a type, after those of the objects in it."""
    name = _camel(event_type.name)
    classes: list[str] = []
    fields = _fields(name, event_type.data, classes)
    head = f'    """{event_type.when}. {event_type.default_level.capitalize()}."""\n\n'
    own = f'    event_type: ClassVar[str] = "{event_type.name}"\n\n'
    return [*classes, f"\n\nclass {name}(EventData, kw_only=True):\n{head}{own}{fields}"]


def _fields(owner: str, shape: ObjectShape, classes: list[str]) -> str:
    lines = (
        f"    {field}: {_type_of(owner, field, inner, classes)} | UnsetType | None = UNSET\n"
        for field, inner in shape.fields.items()
    )
    return "".join(lines)


def _type_of(owner: str, field: str, shape: Shape, classes: list[str]) -> str:
    if isinstance(shape, Scalar):
        return _SCALARS[shape]
    if isinstance(shape, ArrayShape):
        return f"Sequence[{_type_of(owner, field.removesuffix('s'), shape.items, classes)}]"
    name = owner + _camel(field)
    fields = _fields(name, shape, classes)
    classes.append(f'\n\nclass {name}(Struct, kw_only=True):\n    """Of {owner}."""\n\n{fields}')
    return name


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def main() -> int:
    """Generate, or with --check compare; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where the file is stale")
    check: bool = parser.parse_args().check
    fresh = render(Catalogue.reference())
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == fresh:
        return 0
    if check:
        sys.stdout.write(f"stale: {TARGET} (run python clients/python/generate.py)\n")
        return 1
    TARGET.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
