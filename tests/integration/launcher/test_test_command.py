"""`test --browser`, up to where pytest takes over."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from harkara_cli.chromium import find_chromium
from harkara_cli.errors import CliError
from harkara_cli.main import main

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that programs are looked for in; no browser is named."""
    monkeypatch.delenv("HARKARA_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(folder: Path, name: str) -> Path:
    """A program of this name."""
    file = folder / name
    file.write_text("#!/bin/sh\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


@pytest.mark.usefixtures("path")
def test_without_a_chromium_the_browser_tests_say_what_to_install(capsys: Captured) -> None:
    assert main(["test", "--browser"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "harkara: no Chromium found (chromium, chromium-browser, google-chrome on PATH): install one"
        " (Debian: the package chromium), or name it in HARKARA_CHROMIUM\n"
    )


def test_the_chromium_that_is_named_is_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(path, "chromium")
    mine = program(path, "my-chromium")
    monkeypatch.setenv("HARKARA_CHROMIUM", str(mine))
    assert find_chromium() == mine


def test_a_chromium_that_is_named_and_not_there_is_not_replaced_by_another(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(path, "chromium")
    monkeypatch.setenv("HARKARA_CHROMIUM", "/no/such/chromium")
    with pytest.raises(CliError, match="HARKARA_CHROMIUM names /no/such/chromium"):
        find_chromium()


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_a_chromium_on_the_path_is_found_by_each_of_its_names(path: Path, name: str) -> None:
    file = program(path, name)
    assert find_chromium() == file


def test_the_fault_suite_and_the_browser_tests_are_two_runs(capsys: Captured) -> None:
    assert main(["test", "--faults", "--browser"]) == 2
    assert capsys.readouterr().err == "harkara: --faults and --browser are two runs: give one of them\n"
