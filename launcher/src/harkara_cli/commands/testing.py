"""`test` and `install`."""

import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from harkara_cli.chromium import find_chromium
from harkara_cli.data_dir import ROOT
from harkara_cli.errors import CliError, MisuseError

# With these, pytest must run in one process, or is quicker so.
_ALONE = ("-n", "--numprocesses", "--pdb", "--collect-only", "--co", "--fixtures", "--markers", "--version")

_FAULTS = "tests/faults"
_BROWSER = "tests/browser"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(
        "test",
        rich_help_panel="Upkeep",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(run_tests)
    app.command(rich_help_panel="Upkeep")(install)


def run_tests(
    pytest_arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PYTEST ARGUMENT]",
            help="Passed on to pytest, such as tests/unit -k token.",
            show_default=False,
        ),
    ] = None,
    *,
    faults: Annotated[
        bool,
        typer.Option(
            "--faults",
            help="The fault suite instead, which takes long: it kills, freezes and starves a mesh under load."
            " --seed N repeats a run; -m ci is the part that every change must pass.",
        ),
    ] = False,
    browser: Annotated[
        bool,
        typer.Option(
            "--browser",
            help="The tests in a real browser instead, which need a Chromium on this machine."
            " --screenshots takes the pictures of docs/images anew; --keep-screenshots FOLDER takes some"
            " besides.",
        ),
    ] = False,
) -> None:
    """Run the tests: all of them, or what the arguments to pytest say, from the root of the checkout."""
    if not _has_test_tools():
        raise CliError("pytest is not installed here: run ./harkara test, which installs it")
    if faults and browser:
        raise MisuseError("--faults and --browser are two runs: give one of them")
    given = pytest_arguments or []
    if browser:
        find_chromium()  # Before anything is collected or started.
    os.chdir(ROOT)
    sys.stdout.flush()
    # The same process: a Ctrl-C reaches pytest alone, and its exit status is ours.
    # Faults are timed: one test at a time, and nothing beside it. The browser's tests share all they need.
    if faults or browser:
        folder = _FAULTS if faults else _BROWSER
        chosen = [*([] if any(argument.startswith(folder) for argument in given) else [folder]), *given]
    else:
        chosen = [*_side_by_side(given), *given]
    command = [sys.executable, "-P", "-m", "pytest", *chosen]
    os.execv(sys.executable, command)  # noqa: S606


def install(
    *,
    test: Annotated[bool, typer.Option("--test", help="The tools that tests and checks need, too.")] = False,
) -> None:
    """Install what constraints.txt pins, and do no more. Every other command does it by itself."""
    if test and not _has_test_tools():
        raise CliError("the test tools are installed by ./harkara, not by python -m harkara_cli")


def _has_test_tools() -> bool:
    return importlib.util.find_spec("pytest") is not None


def _side_by_side(given: Sequence[str]) -> list[str]:
    """One process for each core and one more, unless the arguments speak against it.

    Many tests wait for processes that they start.
    """
    if any(argument.startswith(_ALONE) or "::" in argument or argument == "no:xdist" for argument in given):
        return []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return ["-n", str(cores + 1), "--dist", "worksteal"] if cores > 1 else []
