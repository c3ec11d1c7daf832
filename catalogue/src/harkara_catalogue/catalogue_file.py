"""Event types of a deployment's own, read from a JSON file.

The file names each type once, with its default level, and whatever else there is to say:

    {
      "event_types": {
        "coupon_granted": {
          "level": "low",
          "group": "Marketing",
          "when": "A coupon is granted",
          "data": {
            "coupon_id": "string",
            "amount": "number",
            "transferable": "boolean",
            "shop": {"shop_id": "string", "location": {"latitude": "number", "longitude": "number"}},
            "items": [{"name": "string"}],
            "tags": ["string"],
            "extra": "any"
          }
        }
      }
    }

`level` is required, the others are not: `group` is "Other" where absent, `when` empty, and without
`data` any object will do. In `data` a word is a scalar, an object an object with these known fields,
an array of one shape an array of such items. A name is a lower-case letter, then up to 63 of a-z, 0-9
and "_"; a type of the reference cannot be defined again. What the file holds beyond this is refused: a
misspelt "levle" must not be a type's silent default.

What does not belong here: what shapes mean (`shapes`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harkara_catalogue.data_check import MAX_DATA_DEPTH
from harkara_catalogue.event_types import LEVELS, REFERENCE_TYPES, Catalogue, EventType, Level
from harkara_catalogue.shapes import ArrayShape, ObjectShape, Scalar, Shape

DEFAULT_GROUP: Final = "Other"

_TYPE_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MAX_FIELD_NAME_LENGTH: Final = 128
_SCALARS: Final = {scalar.value: scalar for scalar in Scalar}
_LEVELS: Final[Mapping[str, Level]] = {level: level for level in LEVELS}
_KEYS_OF_A_TYPE: Final = ("level", "group", "when", "data")


class CatalogueFileError(Exception):
    """A catalogue file that cannot be used.

    Args:
        path: The file.
        faults: All that is wrong with it, in the order of the file; at least one.
    """

    def __init__(self, path: Path, faults: tuple[str, ...]) -> None:
        self.path = path
        self.faults = faults
        super().__init__("\n".join(f"{path}: {fault}" for fault in faults))


def load_catalogue(path: Path | str | None) -> Catalogue:
    """Return the reference's catalogue with a deployment's own types after it.

    Args:
        path: The file that defines them; None where there is none.

    Raises:
        CatalogueFileError: The file cannot be read or has faults; tells all of them.
    """
    if path is None:
        return Catalogue.reference()
    path = Path(path)
    reader = _Reader()
    own_types = reader.read(path)
    if reader.faults:
        raise CatalogueFileError(path, tuple(reader.faults))
    return Catalogue.of((*REFERENCE_TYPES, *own_types))


class _Object(dict[str, object]):
    """An object of the file, and the names that it holds more than once."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.repeated = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]


class _Reader:
    """Reads one file and gathers its faults."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def read(self, path: Path) -> list[EventType]:
        """Return the types of the file: those to use, if there are no faults afterwards."""
        try:
            content: object = json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=_Object)
        except OSError as error:
            self.faults.append(f"cannot be read: {error.strerror or 'input/output error'}")
        except UnicodeDecodeError:
            self.faults.append("is not UTF-8")
        except RecursionError:
            self.faults.append("is nested too deep")
        except ValueError as error:
            self.faults.append(f"is not valid JSON: {error}")
        else:
            return self._read_types(content)
        return []

    def _read_types(self, content: object) -> list[EventType]:
        top = self._object(content, "the file", known=("event_types",))
        if top is None:
            return []
        if "event_types" not in top:
            self.faults.append('"event_types" is missing')
            return []
        definitions = self._object(top["event_types"], "event_types")
        types = [self._read_type(name, definition) for name, definition in (definitions or {}).items()]
        return [event_type for event_type in types if event_type is not None]

    def _read_type(self, name: str, definition: object) -> EventType | None:
        place = f"event_types.{name}"
        if not _TYPE_NAME.fullmatch(name):
            place = f"event_types[{json.dumps(name)}]"
            self.faults.append(f"{place}: a type's name is a-z, then up to 63 of a-z, 0-9 and _")
        elif any(name == event_type.name for event_type in REFERENCE_TYPES):
            self.faults.append(f"{place}: is a type of the reference and cannot be defined again")
        keys = self._object(definition, place, known=_KEYS_OF_A_TYPE)
        if keys is None:
            return None
        return EventType(
            name=name,
            default_level=self._level(keys, place),
            group=self._text(keys, "group", place) or DEFAULT_GROUP,
            when=self._text(keys, "when", place),
            data=self._data(keys.get("data", _Object([])), f"{place}.data"),
        )

    def _level(self, keys: Mapping[str, object], place: str) -> Level:
        level = keys.get("level")
        if isinstance(level, str) and level in _LEVELS:
            return _LEVELS[level]
        problem = f"must be one of {', '.join(LEVELS)}" if "level" in keys else "is missing"
        self.faults.append(f"{place}.level: {problem}")
        return "low"

    def _text(self, keys: Mapping[str, object], key: str, place: str) -> str:
        text = keys.get(key, "")
        if isinstance(text, str) and (not text or text.isprintable()):
            return text
        self.faults.append(f"{place}.{key}: must be one line of text")
        return ""

    def _data(self, value: object, place: str) -> ObjectShape:
        if not isinstance(value, _Object):
            self.faults.append(f"{place}: must be an object")
            return ObjectShape({})
        return self._object_shape(value, place, 1)

    def _object_shape(self, value: _Object, place: str, depth: int) -> ObjectShape:
        self._object(value, place)
        return ObjectShape(
            {name: self._shape(part, self._field(name, place), depth + 1) for name, part in value.items()}
        )

    def _field(self, name: str, place: str) -> str:
        place = f"{place}.{name}" if name.isidentifier() else f"{place}[{json.dumps(name)}]"
        # A quote or a backslash would have an escaped form in texts, which a typed decoder does not look for.
        if not 1 <= len(name) <= _MAX_FIELD_NAME_LENGTH or not name.isprintable() or set(name) & set('"\\'):
            self.faults.append(
                f"{place}: a field's name is 1 to {_MAX_FIELD_NAME_LENGTH} printable characters "
                "without quotes and backslashes"
            )
        return place

    def _shape(self, value: object, place: str, depth: int) -> Shape:
        if isinstance(value, str) and value in _SCALARS:
            return _SCALARS[value]
        if isinstance(value, (_Object, list)) and depth > MAX_DATA_DEPTH:
            self.faults.append(f"{place}: is deeper than data may be ({MAX_DATA_DEPTH})")
            return Scalar.ANY
        if isinstance(value, _Object):
            return self._object_shape(value, place, depth)
        if isinstance(value, list) and len(value) == 1:
            return ArrayShape(self._shape(value[0], f"{place}[0]", depth + 1))
        self.faults.append(
            f"{place}: must be one of {', '.join(_SCALARS)}, an object of fields, or an array of one shape"
        )
        return Scalar.ANY

    def _object(
        self, value: object, place: str, known: tuple[str, ...] | None = None
    ) -> Mapping[str, object] | None:
        """Return the value where it is an object, having told what is wrong with its names."""
        if not isinstance(value, _Object):
            self.faults.append(f"{place}: must be an object")
            return None
        self.faults.extend(f"{place}: {json.dumps(name)} stands there twice" for name in value.repeated)
        if known is not None:
            self.faults.extend(
                f"{place}: {json.dumps(name)} is not known here; known are {', '.join(known)}"
                for name in value
                if name not in known
            )
        return value
