"""`./harkara` in a checkout of its own, whose one member needs nothing from anywhere.

The checkout has the real script and the real bootstrap, and stands for the launcher a member that
prints how it was called.
"""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harkara_cli.data_dir import ROOT
from tests.support.processes import family_of, wait_until_gone

MAIN = """
import json, os, sys
print(json.dumps({"pid": os.getpid(), "arguments": sys.argv[1:], "prefix": sys.prefix, "cwd": os.getcwd()}))
"""

# A build backend that needs no package: what an editable install asks for, and no more. Told to, it
# waits for ever, so that a test can end an install halfway.
BACKEND = """
import os, pathlib, zipfile

NAME = "harkara_cli-0.1.0"

def prepare_metadata_for_build_editable(folder, config_settings=None):
    info = pathlib.Path(folder) / f"{NAME}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: harkara-cli\\nVersion: 0.1.0\\n")
    wheel = ["Wheel-Version: 1.0", "Generator: toy", "Root-Is-Purelib: true", "Tag: py3-none-any", ""]
    (info / "WHEEL").write_text("\\n".join(wheel))
    return info.name

def build_editable(folder, config_settings=None, metadata_directory=None):
    if held := os.environ.get("HOLD_BUILD"):
        os.open(held, os.O_WRONLY)
        os.open(held, os.O_RDONLY)
        while True: pass
    root = pathlib.Path.cwd()
    with open(root.parent / "builds", "a") as builds: builds.write("built\\n")
    files = {"harkara_cli.pth": str(root / "src")}
    info = pathlib.Path(metadata_directory)
    files |= {f"{info.name}/{part.name}": part.read_text() for part in info.iterdir()}
    record = f"{info.name}/RECORD"
    files[record] = "".join(f"{name},,\\n" for name in [*files, record])
    with zipfile.ZipFile(pathlib.Path(folder) / f"{NAME}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items(): wheel.writestr(name, text)
    return f"{NAME}-py3-none-any.whl"

get_requires_for_build_editable = lambda config_settings=None: []
"""


@dataclass
class Checkout:
    """A checkout, and a way to run its `./harkara`."""

    root: Path

    def run(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        script: Path | None = None,
        cwd: Path | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(  # noqa: S603 - our own script.
            [script or self.root / "harkara", *arguments],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
        )

    def builds(self) -> int:
        file = self.root / "builds"
        return len(file.read_text().splitlines()) if file.exists() else 0


def make_checkout(root: Path) -> Checkout:
    package = root / "launcher" / "src" / "harkara_cli"
    package.mkdir(parents=True)
    real = ROOT / "launcher" / "src" / "harkara_cli"
    for name in ("__init__.py", "bootstrap.py", "child_process.py"):
        shutil.copy(real / name, package / name)
    shutil.copy(ROOT / "harkara", root / "harkara")
    (package / "__main__.py").write_text(MAIN)
    (root / "constraints.txt").write_text("# nothing\n")
    (root / "pyproject.toml").write_text(
        '[tool.harkara]\nmembers = ["launcher"]\n[dependency-groups]\nbuild = ["pip"]\ntest = ["pip"]\n'
    )
    (root / "launcher" / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "toy"\nbackend-path = ["."]\n'
        '[project]\nname = "harkara-cli"\nversion = "0.1.0"\n'
    )
    (root / "launcher" / "toy.py").write_text(BACKEND)
    return Checkout(root)


def said(run: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout, in a folder whose name has a space, after its first run."""
    checkout = make_checkout(tmp_path_factory.mktemp("first") / "my checkout")
    first = checkout.run("up", "--json", environment={"NO_COLOR": "1"})
    assert said(first)["arguments"] == ["up", "--json"]
    assert first.stderr.splitlines() == [
        f"harkara: Making .venv with Python {sys.version.split()[0]}",
        "harkara: Installing the build tools",
        "harkara: Installing Harkara and what it runs on",
    ]
    return checkout


def test_a_second_run_installs_nothing_and_says_nothing(installed: Checkout) -> None:
    before = installed.builds()
    again = installed.run("status")
    assert (said(again)["arguments"], again.stderr) == (["status"], "")
    assert installed.builds() == before


def test_the_command_runs_in_the_venv_and_its_pid_is_that_of_the_script(
    installed: Checkout, tmp_path: Path
) -> None:
    with subprocess.Popen(  # noqa: S603 - our own script.
        [installed.root / "harkara"], stdout=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        answer = json.loads(process.stdout.read())
    assert answer == {
        "pid": process.pid,
        "arguments": [],
        "prefix": str(installed.root / ".venv"),
        "cwd": str(tmp_path),
    }


def test_it_runs_through_symbolic_links_relative_ones_too(installed: Checkout, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "absolute").symlink_to(installed.root / "harkara")
    (tmp_path / "bin" / "relative").symlink_to("../absolute")
    assert said(installed.run("x", script=tmp_path / "bin" / "relative", cwd=tmp_path))["arguments"] == ["x"]


def test_a_module_of_the_working_folder_is_not_taken_for_one_of_ours(
    installed: Checkout, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    (tmp_path / "harkara_cli").mkdir()
    assert said(installed.run(cwd=tmp_path))["cwd"] == str(tmp_path)


@pytest.mark.parametrize("elsewhere", ["", "1"])
def test_compiled_code_is_kept_and_never_beside_the_sources_where_that_is_not_wanted(
    tmp_path: Path, installed: Checkout, elsewhere: str
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "part.py").write_text("")
    main = installed.root / "launcher" / "src" / "harkara_cli" / "__main__.py"
    before = main.read_text()
    main.write_text(f"import sys\nsys.path.insert(0, {str(package)!r})\nimport part\nprint(part.__cached__)")
    try:
        run = installed.run(environment={"PYTHONDONTWRITEBYTECODE": elsewhere, "PYTHONPYCACHEPREFIX": ""})
    finally:
        main.write_text(before)
    compiled = Path(run.stdout.strip())
    assert compiled.exists()
    assert compiled.is_relative_to(installed.root / ".venv" if elsewhere else package)


def change(checkout: Checkout) -> None:
    with (checkout.root / "launcher" / "pyproject.toml").open("a") as file:
        file.write("# changed\n")


def test_after_a_change_two_runs_at_once_install_once_and_in_place(installed: Checkout) -> None:
    before = installed.builds()
    change(installed)
    runs = [
        subprocess.Popen(  # noqa: S603 - our own script.
            [installed.root / "harkara"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [run.communicate(timeout=50) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    assert installed.builds() == before + 1
    assert not any("Making .venv" in errors for _, errors in told)


def test_the_test_tools_are_installed_when_tests_are_asked_for_and_not_before(installed: Checkout) -> None:
    before = installed.builds()
    assert installed.run("test").stderr == "harkara: Installing the test tools\n"
    assert installed.run("test").stderr == ""
    assert installed.run("install", "--test").stderr == ""
    assert installed.run("up").stderr == ""
    assert installed.builds() == before


def test_an_install_that_was_ended_leaves_no_process_and_the_next_run_starts_from_nothing(
    installed: Checkout, tmp_path: Path
) -> None:
    before = installed.builds()
    change(installed)
    os.mkfifo(held := tmp_path / "held")
    first = subprocess.Popen(  # noqa: S603 - our own script.
        [installed.root / "harkara"], env={**os.environ, "HOLD_BUILD": str(held)}, stderr=subprocess.PIPE
    )
    with first, held.open():  # Opens when the build has begun.
        family = family_of(first.pid)
        assert len(family) > 1
        first.send_signal(signal.SIGTERM)
        assert first.wait(10) == 128 + signal.SIGTERM
    wait_until_gone(family)
    again = installed.run()
    assert said(again)
    assert "Making .venv" in again.stderr
    assert installed.builds() == before + 1


def test_a_failed_install_shows_what_pip_said_and_the_next_run_goes_on_from_there(
    installed: Checkout,
) -> None:
    requirements = installed.root / "constraints.txt"
    requirements.write_text("this is no requirement\n")
    failed = installed.run()
    assert failed.returncode == 1
    assert "Invalid requirement" in failed.stderr
    assert failed.stderr.splitlines()[-1].endswith("failed (it can be started from nothing: remove .venv)")
    requirements.write_text("# nothing\n")
    again = installed.run()
    assert said(again)
    assert "Making .venv" not in again.stderr


def fake_python(folder: Path, *, version_is_enough: bool, has_venv: bool) -> Path:
    """A folder for PATH with a `python3` that answers the script's two questions."""
    folder.mkdir()
    python = folder / "python3"
    python.write_text(
        "#!/bin/sh\n"
        f"case $* in *version_info*) exit {int(not version_is_enough)} ;;\n"
        f" *ensurepip*) exit {int(not has_venv)} ;; esac\nexit 1\n"
    )
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    for tool in ("sh", "dirname", "readlink"):
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    return folder


def test_without_a_recent_python_one_line_says_so(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    path = fake_python(tmp_path / "bin", version_is_enough=False, has_venv=False)
    run = checkout.run(environment={"PATH": str(path)})
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "harkara: no Python 3.11 or newer found: install one, then run this again\n"


def test_a_python_without_venv_is_named_in_one_line(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    path = fake_python(tmp_path / "bin", version_is_enough=True, has_venv=False)
    run = checkout.run(environment={"PATH": str(path)})
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (
        f"harkara: {path / 'python3'} comes without venv and ensurepip: install them"
        " (Debian: the package python3-venv)\n"
    )


def test_a_venv_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    (checkout.root / ".venv").touch()
    run = checkout.run()
    assert run.returncode == 1
    assert run.stderr == f"harkara: cannot install: {checkout.root / '.venv'}: Not a directory\n"
