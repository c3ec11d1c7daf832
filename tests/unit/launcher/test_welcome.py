"""What `up` says to people once all is ready."""

import shlex
from pathlib import Path

import pytest

from harkara_cli import up
from harkara_cli.data_dir import DEFAULT_DATA_DIR, ROOT, DataDir
from harkara_cli.mesh_state import DemoUser, MeshState


def commands(data_dir: Path) -> list[list[str]]:
    """The commands that are there to be pasted, as a shell takes them apart."""
    anna = DemoUser("anna", "customer", "a token")
    text = up._welcome(
        MeshState(
            "ws://", "http://", "", [], "", "", None, str(DataDir(data_dir).path), {}, {}, "", "", [anna]
        ),
        console=True,
    )
    lines = [line for line in text.splitlines() if line.startswith("  ") and "harkara" in line.split()[0]]
    return [shlex.split(line) for line in lines]


def all_commands(script: str, *more: str) -> list[list[str]]:
    data = '{"order_id":"ord_1","total_amount":130}'
    return [
        [script, "demo", *more],
        [script, "tail", "--user", "anna", *more],
        [script, "emit", "--user", "anna", "--type", "order_created", "--data", data, *more],
        [script, "token", "--user", "demo_admin", *more],
    ]


def test_in_the_checkout_the_commands_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert commands(DEFAULT_DATA_DIR) == all_commands("./harkara")


def test_the_commands_work_in_every_folder_and_name_one_with_blanks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = all_commands(str(ROOT / "harkara"), "--data-dir", str(tmp_path / "anna's data"))
    assert commands(Path("anna's data")) == expected
