"""`catalogue`, as a shell sees it: it needs no mesh."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harkara_catalogue import (
    Catalogue,
    asyncapi_document,
    catalogue_typescript,
    event_schema,
    events_schema,
)
from harkara_cli.main import main

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def own_types(tmp_path: Path) -> Path:
    """A deployment's own types."""
    file = tmp_path / "types.json"
    file.write_text('{"event_types": {"coupon_granted": {"level": "low", "data": {"tags": ["string"]}}}}')
    return file


def printed(capsys: Captured, *arguments: str) -> Any:
    assert main(["catalogue", *arguments]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    return json.loads(shown.out)


def test_the_table_has_a_row_for_each_type(capsys: Captured) -> None:
    assert main(["catalogue"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0][:3] == ["type", "level", "when"]
    assert [row[:2] for row in rows[1:]] == [
        [event_type.name, event_type.default_level] for event_type in Catalogue.reference().types.values()
    ]


def test_one_type_is_told_in_full_with_a_command_that_emits_it(capsys: Captured) -> None:
    assert main(["catalogue", "--type", "delivery_in_transit"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("delivery_in_transit  medium\nDelivery boy picks up and starts moving.\n")
    assert ["location.latitude", "number"] in [line.split() for line in shown.splitlines()]
    assert "./harkara emit --user demo_customer --type delivery_in_transit --data '{" in shown


def test_schemas_are_of_all_types_or_of_one(capsys: Captured) -> None:
    assert printed(capsys, "--format", "json-schema") == events_schema(Catalogue.reference())
    one = printed(capsys, "--format", "json-schema", "--type", "order_ready")
    assert one == event_schema(Catalogue.reference(), "order_ready")
    Draft202012Validator.check_schema(one)


def test_the_asyncapi_document_is_printed_of_all_types_or_of_one(capsys: Captured) -> None:
    assert printed(capsys, "--format", "asyncapi") == asyncapi_document(Catalogue.reference())
    one = printed(capsys, "--format", "asyncapi", "--type", "order_ready")
    assert [name for name in one["components"]["messages"] if name.startswith("event_")] == [
        "event_order_ready"
    ]


def test_types_for_typescript_are_those_that_the_client_ships(capsys: Captured) -> None:
    assert main(["catalogue", "--format", "typescript"]) == 0
    assert capsys.readouterr().out == catalogue_typescript(Catalogue.reference())


def test_a_deployments_own_types_are_shown_like_the_others(own_types: Path, capsys: Captured) -> None:
    assert main(["catalogue", "--file", str(own_types)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["coupon_granted", "low", "tags"]
    document = printed(capsys, "--file", str(own_types), "--format", "asyncapi")
    assert "event_coupon_granted" in document["components"]["messages"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--type", "order_eaten"], "--type order_eaten: the catalogue has no such event type"),
        (["--format", "yaml"], "Invalid value for '--format'"),
        (["--file", "/no/such/file"], "/no/such/file: "),
    ],
)
def test_misuse_is_one_line_and_ends_with_2(arguments: list[str], said: str, capsys: Captured) -> None:
    assert main(["catalogue", *arguments]) == 2
    shown = capsys.readouterr()
    assert (shown.out, len(shown.err.splitlines())) == ("", 1)
    assert said in shown.err


def test_every_fault_of_a_file_is_told_in_one_line(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "types.json"
    file.write_text('{"event_types": {"A": {"level": "low"}, "b": {"level": "loud"}}}')
    assert main(["catalogue", "--file", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "a type's name is a-z" in line
    assert "event_types.b.level" in line


def test_a_reader_who_leaves_early_is_no_traceback() -> None:
    line = f"{sys.executable} -P -m harkara_cli catalogue --format asyncapi | true"
    run = subprocess.run(  # noqa: S602 - our own command, and a shell's pipe is the point.
        line, shell=True, capture_output=True, timeout=30, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")
