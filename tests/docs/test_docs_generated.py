"""The pages that are made from the code say what the code says now."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs import generate
from harkara_catalogue import Catalogue, catalogue_markdown, codes_markdown
from harkara_servicekit.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_as_the_code_is(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generate.render(text) == text, "run .venv/bin/python docs/generate.py"


def test_every_generated_part_stands_on_one_page() -> None:
    names = [name for page in PAGES for name in generate.names_in(page.read_text(encoding="utf-8"))]
    assert sorted(names) == sorted(generate.PARTS)


def test_the_protocol_page_has_the_tables_of_errors_and_closes() -> None:
    assert codes_markdown() in (ROOT / "docs/protocol.md").read_text(encoding="utf-8")


def test_the_events_page_has_the_whole_catalogue() -> None:
    page = (ROOT / "docs/events.md").read_text(encoding="utf-8")
    assert catalogue_markdown(Catalogue.reference()).strip() in page


@pytest.mark.parametrize("service", generate.SERVICES)
def test_the_operations_page_has_every_setting_with_its_meaning(service: str) -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    settings = generate.settings_of(service)
    assert len(settings) == len(generate.settings_class(service).model_fields)
    for variable, field in settings.items():
        assert field.description, f"{variable} has no description"
        assert page.count(f"| `{variable}` | {field.description} |") == 1


def test_every_service_has_the_settings_of_all() -> None:
    for service in generate.SERVICES:
        assert issubclass(generate.settings_class(service), ServiceSettings)


def test_what_stands_between_the_marks_is_replaced_and_nothing_else() -> None:
    before, after = "# Prose\n\n<!-- generated: codes -->\n", "<!-- end of codes -->\n\nMore prose.\n"
    rendered = generate.render(f"{before}stale\n{after}")
    assert rendered == f"{before}\n{codes_markdown().strip()}\n\n{after}"
    assert generate.render(rendered) == rendered


def test_a_mark_of_an_unknown_name_is_no_silence() -> None:
    with pytest.raises(KeyError, match="settings of nobody"):
        generate.render("<!-- generated: settings of nobody -->\n<!-- end of settings of nobody -->\n")


def test_the_check_names_the_stale_page_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = "<!-- generated: codes -->\n<!-- end of codes -->\n"
    (tmp_path / "protocol.md").write_text(stale)
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 1
    assert capsys.readouterr().out == "stale: docs/protocol.md (run python docs/generate.py)\n"
    assert (tmp_path / "protocol.md").read_text() == stale

    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert generate.main() == 0
    assert codes_markdown() in (tmp_path / "protocol.md").read_text()


def test_the_generator_runs_as_a_script_from_anywhere() -> None:
    done = subprocess.run(  # noqa: S603 - our own script.
        [sys.executable, str(ROOT / "docs/generate.py"), "--check"],
        cwd=os.sep,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
