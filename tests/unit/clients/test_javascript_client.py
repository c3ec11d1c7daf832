"""The JavaScript client's files: those made from the catalogue are current, and its own tests pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harkara_catalogue import CLOSE_CODES, Catalogue, EventType, catalogue_typescript, close_codes_javascript
from harkara_catalogue.shapes import BOOLEAN, NUMBER, STRING, ArrayShape, fields
from harkara_client_javascript import MODULES
from tests.support.node import JAVASCRIPT_CLIENT, node_with_websocket, without_node


def test_what_is_made_from_the_catalogue_is_as_the_catalogue_is() -> None:
    done = subprocess.run(  # noqa: S603 - our own file.
        [sys.executable, JAVASCRIPT_CLIENT / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_every_close_code_of_the_catalogue_has_its_action() -> None:
    text = close_codes_javascript()
    for code in CLOSE_CODES:
        assert f"  [{code}, " in text


def test_types_say_what_the_shapes_say() -> None:
    text = catalogue_typescript(
        Catalogue.of(
            [
                EventType(
                    "stock-low",
                    "low",
                    "Shop",
                    "Few are left */",
                    fields(
                        name=STRING,
                        left=NUMBER,
                        urgent=BOOLEAN,
                        shelves=ArrayShape(fields(row=NUMBER)),
                        **{"per cent": NUMBER},
                    ),
                )
            ]
        )
    )
    assert (
        "/** Few are left * /. */\n"
        "export interface StockLowData {\n"
        "  name?: string | null;\n"
        "  left?: number | null;\n"
        "  urgent?: boolean | null;\n"
        "  shelves?: Array<{\n"
        "    row?: number | null;\n"
        "    [further: string]: unknown;\n"
        "  }> | null;\n"
        '  "per cent"?: number | null;\n'
        "  [further: string]: unknown;\n"
        "}\n"
    ) in text
    assert '  "stock-low": StockLowData;\n' in text


def test_the_modules_to_serve_are_there_and_import_nothing_from_elsewhere() -> None:
    assert (MODULES / "index.js").is_file()
    for module in MODULES.glob("*.js"):
        for line in module.read_text(encoding="utf-8").splitlines():
            if line.startswith(("import ", "export ")) and " from " in line and module.name != "react.js":
                target = line.rsplit("'", 2)[1]
                assert target.startswith("./"), f"{module.name}: {line}"
                assert (MODULES / Path(target)).is_file(), f"{module.name}: {line}"


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip), ("true", pytest.fail)])
def test_a_test_without_node_is_skipped_and_in_ci_it_fails(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: Any
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome.Exception, match="no node"):
        without_node()


@pytest.mark.timeout(120)
def test_the_clients_own_tests_pass() -> None:
    node = node_with_websocket()
    if node is None:
        without_node()
    tests = sorted((JAVASCRIPT_CLIENT / "test").glob("*.test.js"))
    assert tests
    # Without React, which only the checks of that folder install: those run all, and skip none in CI.
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(  # noqa: S603 - our own files.
        [node[0], "--test", *tests], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
