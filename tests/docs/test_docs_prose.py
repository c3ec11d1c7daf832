"""What the pages name is there: files, anchors, commands, variables, metrics, folders, examples."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from docs import generate
from harkara_cli.main import build_app
from harkara_edge.domain import messages, replies
from harkara_event_service.domain.event import Event, NumberedEvent, client_text

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("clients/*/README.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}

# Read by the launcher, by the containers, or by an example of ours.
OTHER_VARIABLES = {
    "HARKARA_DATA_DIR",
    "HARKARA_PG_BINDIR",
    "HARKARA_REPLICAS",
    "HARKARA_MIGRATE_DSN",
    "HARKARA_UID",
    "HARKARA_GID",
    "HARKARA_ALLOWED_ORIGINS",
    "HARKARA_WEBSOCKET_URL",
    "HARKARA_TOKEN",
    "HARKARA_CHROMIUM",
}


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors_of(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(TEXTS[name])):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / name).parent / path if path else ROOT / name
        assert found.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors_of(found.read_text(encoding="utf-8")), f"{name} links to {target}"


def test_every_picture_is_shown_by_a_page() -> None:
    shown = {
        found
        for text in TEXTS.values()
        for found in re.findall(r"!\[[^\]]*\]\((?:docs/)?images/([^)]+)\)", text)
    }
    assert {path.name for path in (ROOT / "docs/images").iterdir()} == shown


def test_nothing_that_is_tracked_names_a_package_registry() -> None:
    # In pieces, or this file would.
    hosts = ["registry." + "npmjs", "pypi." + "org", "python" + "hosted", "deb." + "debian"]
    named = subprocess.run(  # noqa: S603 - git, on our own tree.
        ["git", "grep", "--untracked", "-lF", *(part for host in hosts for part in ("-e", host))],  # noqa: S607
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (named.returncode, named.stdout, named.stderr) == (1, "", "")


def test_every_command_that_is_named_is_there() -> None:
    command = typer.main.get_command(build_app())
    known = {*getattr(command, "commands", {}), "install"}  # install: the bootstrap's own.
    named = {
        word
        for text in TEXTS.values()
        for word in re.findall(r"\./harkara ([a-z]+)", re.sub(r"\n\s*", " ", text))
    }
    assert named <= known


def test_every_variable_that_is_named_is_read_by_something() -> None:
    settings = {variable for service in generate.SERVICES for variable in generate.settings_of(service)}
    named = {word for text in TEXTS.values() for word in re.findall(r"\bHARKARA_[A-Z0-9_]*[A-Z0-9]\b", text)}
    assert named <= settings | OTHER_VARIABLES


def test_every_metric_that_is_named_in_prose_is_there() -> None:
    page = TEXTS["docs/operations.md"]
    tables = "\n".join(generate.PARTS[f"metrics of {service}"]() for service in generate.SERVICES)
    named = set(re.findall(r"`(harkara_(?:edge|event_service|auth_service|query_service)_[a-z_]+)[`{]", page))
    named -= {f"harkara_{service.replace('-', '_')}" for service in generate.SERVICES}
    assert len(named) > len(generate.SERVICES)
    assert {name for name in named if f"`{name}`" not in tables} == set()


def test_every_test_that_is_named_is_there() -> None:
    named = {
        found
        for text in TEXTS.values()
        for found in re.findall(r"`([a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`", text)
    }
    missing = {
        (path, name)
        for path, name in named
        if f"def {name}(" not in (ROOT / "tests" / path).read_text(encoding="utf-8")
    }
    assert len(named) > 100
    assert missing == set()


def test_the_map_of_the_folders_names_every_member() -> None:
    members = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["harkara"][
        "members"
    ]
    mapped = re.findall(r"^\| \[`([a-z/-]+)/`\]", TEXTS["README.md"], flags=re.MULTILINE)
    assert set(members) <= set(mapped)
    assert all((ROOT / folder).is_dir() for folder in mapped)


def test_decisions_are_numbered_and_listed() -> None:
    pages = sorted(path.name for path in (ROOT / "docs/decisions").glob("0*.md"))
    assert [int(name[:4]) for name in pages] == list(range(1, len(pages) + 1))
    assert re.findall(r"\((0[^)]+)\)", TEXTS["docs/decisions/README.md"]) == pages
    for name in pages:
        text = TEXTS[f"docs/decisions/{name}"]
        number, _, title = text.partition("\n")[0].removeprefix("# ").partition(". ")
        assert f"| [{number}]({name}) | {title} |" in TEXTS["docs/decisions/README.md"]
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequence"))


def json_values(text: str) -> Iterator[Any]:
    """The JSON values of a page's examples: one or more in a block."""
    decoder = json.JSONDecoder()
    for block in re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL):
        rest = block.strip()
        while rest:
            value, end = decoder.raw_decode(rest)
            yield value
            rest = rest[end:].strip()


def test_the_messages_on_the_protocol_page_are_those_of_the_edge() -> None:
    seen: list[str] = []
    for value in json_values(TEXTS["docs/protocol.md"]):
        kind = value.get("type", "event" if "event_type" in value else "rest failure")
        seen.append(kind)
        match kind:
            case "auth" | "subscribe" | "unsubscribe" | "heartbeat" | "ack":
                messages.parse(json.dumps(value))
            case "rest failure":
                assert value.keys() == {"status", "error"}
                assert value["error"].keys() == {"code", "message"}
            case _:
                assert list(value) == list(json.loads(_made_by_the_code(kind))), kind
    assert set(seen) == {
        "auth",
        "authenticated",
        "subscribe",
        "subscription_updated",
        "event",
        "heartbeat",
        "heartbeat_ack",
        "ack",
        "error",
        "rest failure",
    }


def _made_by_the_code(kind: str) -> bytes:
    now = datetime.now(UTC)
    match kind:
        case "authenticated":
            return replies.authenticated(
                user_id="u",
                user_role="customer",
                connection_id="c",
                epoch="e",
                seq=1,
                heartbeat_interval=30,
                expires_at=0,
                recovered=None,
            )
        case "subscription_updated":
            return replies.subscription_updated(())
        case "heartbeat_ack":
            return replies.heartbeat_ack(0, 1)
        case "error":
            return replies.error("unknown_event_type", ["x"])
        case "event":
            return client_text(NumberedEvent(Event("evt_1", "u", "t", "low", now, "s", "{}", now), 1))
    raise AssertionError(kind)


def test_the_error_in_the_example_has_the_text_of_the_code() -> None:
    (shown,) = [value for value in json_values(TEXTS["docs/protocol.md"]) if value.get("type") == "error"]
    assert shown == json.loads(replies.error(shown["code"], shown["events"]))
