# ruff: noqa: INP001 - docs/ is no package; this file is run, and imported by its test.
"""Writes the tables of docs/ that are made from the code: the only writer of what stands between two marks.

`python docs/generate.py` writes; `--check` writes nothing, and exits 1 naming each page that would change.
Such a part stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`; `PARTS` has the names.

What does not belong here: prose.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from harkara_auth_service.domain.access import RPC_RULES as AUTH_RULES
from harkara_auth_service.domain.token_rules import PrincipalKind
from harkara_auth_service.domain.users import Principal, Role
from harkara_catalogue import Catalogue, catalogue_markdown, codes_markdown
from harkara_event_service.adapters.log_metrics import LogMetrics
from harkara_event_service.metrics import BackplaneMetrics
from harkara_event_service.ports import Caller, CallerKind
from harkara_event_service.wiring import RULES as EVENT_RULES
from harkara_query_service.domain.access import PUBLIC, READS, Reach, reach
from harkara_servicekit.settings import ServiceSettings

DOCS: Final = Path(__file__).resolve().parent
SERVICES: Final = ("edge", "event-service", "auth-service", "query-service")

_MARK: Final = re.compile(
    r"(?P<begin><!-- generated: (?P<name>[a-z -]+) -->\n).*?(?P<end><!-- end of (?P=name) -->)", re.DOTALL
)
_PARTS_OF_THE_MESH: Final = ("edge", "event-service", "query-service", "operator")
_ROLES: Final = tuple(role.value for role in Role)


def render(page: str) -> str:
    """Return a page with every generated part as the code is now.

    Raises:
        KeyError: A mark has a name that is none of `PARTS`.
    """
    return _MARK.sub(
        lambda match: f"{match['begin']}\n{PARTS[match['name']]().strip()}\n\n{match['end']}", page
    )


def names_in(page: str) -> list[str]:
    """Return the names of a page's generated parts, in order."""
    return [match["name"] for match in _MARK.finditer(page)]


# Settings.


def settings_class(service: str) -> type[ServiceSettings]:
    """Return the one settings class of a service.

    Args:
        service: The name of its folder.
    """
    module = _module(service, "settings")
    (found,) = (
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, ServiceSettings)
        and value.__module__ == module.__name__
    )
    return found


def settings_of(service: str) -> dict[str, FieldInfo]:
    """Return the settings of a service by the name of their environment variable, in its class's order."""
    found = settings_class(service)
    prefix = found.env_prefix
    own = [name for name in found.model_fields if name not in ServiceSettings.model_fields]
    return {prefix + name.upper(): found.model_fields[name] for name in (*own, *ServiceSettings.model_fields)}


def _settings_table(service: str) -> str:
    return _table(
        ("variable", "meaning", "values", "default"),
        (
            (f"`{variable}`", field.description or "", _values(field), _default(field))
            for variable, field in settings_of(service).items()
        ),
    )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    if isinstance(value, (int, float)):
        return f"{value:,g}" if abs(value) < 1_000_000 else f"{value:,}"
    return f"`{value}`"


def _values(field: FieldInfo) -> str:
    """Say what may be given, as far as the type says it."""
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    kinds = {kind, *get_args(kind)}
    if bool in kinds:
        return "`true`, `false`"
    if SecretStr in kinds:
        return "secret"
    if Path in kinds:
        return "file"
    if kinds & {int, float}:
        return _range(field)
    return ""


def _range(field: FieldInfo) -> str:
    texts: list[str] = []
    for bound in field.metadata:
        match bound:
            case Gt(limit):
                texts.append(f"over {limit:,}")
            case Ge(limit):
                texts.append(f"from {limit:,}")
            case Lt(limit):
                texts.append(f"under {limit:,}")
            case Le(limit):
                texts.append(f"to {limit:,}")
            case _:
                pass
    return " ".join(texts)


# Metrics.


def _metrics_table(service: str, *further: Callable[[CollectorRegistry], object]) -> str:
    registry = CollectorRegistry()
    for make in (_module(service, "metrics").Metrics, *further):
        make(registry)
    return _table(
        ("metric", "kind", "meaning"),
        (
            (
                f"`{family.name}{'_total' if family.type == 'counter' else ''}`",
                family.type,
                family.documentation,
            )
            for family in registry.collect()
        ),
    )


# Who may do what.


def _rpcs_table() -> str:
    return _table(
        ("method", "who may call it"),
        (
            *((f"`{method}`", _who(_event_callers(), rule)) for method, rule in EVENT_RULES.items()),
            *((f"`{method}`", _who(_auth_callers(), rule)) for method, rule in AUTH_RULES.items()),
        ),
    )


def _event_callers() -> dict[str, Caller]:
    return {
        "any user": Caller(CallerKind.USER, "somebody"),
        "service": Caller(CallerKind.SERVICE, "some_service"),
        **{name: Caller(CallerKind.INTERNAL, name) for name in _PARTS_OF_THE_MESH},
    }


def _auth_callers() -> dict[str, Principal]:
    def principal(kind: PrincipalKind, name: str, role: str) -> Principal:
        return Principal(kind, name, role, (), 0.0, 0)

    return {
        **{role: principal(PrincipalKind.USER, "somebody", role) for role in _ROLES},
        "service": principal(PrincipalKind.SERVICE, "some_service", "service"),
        **{name: principal(PrincipalKind.INTERNAL, name, "internal") for name in _PARTS_OF_THE_MESH},
    }


def _who(callers: Mapping[str, Any], rule: Callable[[Any], bool]) -> str:
    return ", ".join(name for name, caller in callers.items() if rule(caller)) or "nobody"


def _reads_table() -> str:
    words = {Reach.NOTHING: "no", Reach.OWN: "own", Reach.ANY: "any"}
    roles = (*_ROLES, "service")
    rows = [(f"`GET {path}`", *(words[reach(path, role)] for role in roles)) for path in READS]
    rows += [(f"`GET {path}`", *["without a token"] * len(roles)) for path in sorted(PUBLIC)]
    return _table(("path", *roles), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join("|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|\n" for line in lines)


def _module(service: str, name: str) -> ModuleType:
    return importlib.import_module(f"harkara_{service.replace('-', '_')}.{name}")


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "codes": codes_markdown,
    "catalogue": lambda: catalogue_markdown(Catalogue.reference()),
    "rpcs": _rpcs_table,
    "reads": _reads_table,
    "settings of edge": lambda: _settings_table("edge"),
    "settings of event-service": lambda: _settings_table("event-service"),
    "settings of auth-service": lambda: _settings_table("auth-service"),
    "settings of query-service": lambda: _settings_table("query-service"),
    "metrics of edge": lambda: _metrics_table("edge"),
    "metrics of event-service": lambda: _metrics_table("event-service", LogMetrics, BackplaneMetrics),
    "metrics of auth-service": lambda: _metrics_table("auth-service"),
    "metrics of query-service": lambda: _metrics_table("query-service"),
}
"""What can be generated, by the name in the mark."""


def main() -> int:
    """Generate, or with --check compare; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a page is stale")
    check: bool = parser.parse_args().check
    stale = False
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        fresh = render(page)
        if fresh == page:
            continue
        stale = True
        if check:
            sys.stdout.write(f"stale: docs/{path.name} (run python docs/generate.py)\n")
        else:
            path.write_text(fresh, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
