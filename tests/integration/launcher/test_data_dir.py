"""The data folder on a real file system."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harkara_cli import mesh_state
from harkara_cli.data_dir import DataDir
from harkara_cli.errors import CliError
from harkara_cli.tokens import DAY_SECONDS, INTERNAL_NAMES


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_secrets_of_a_new_folder_are_readable_by_us_alone(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "new" / "data")
    data.make()
    data.make_secrets()
    assert (mode(data.path), mode(data.secrets)) == (0o700, 0o700)
    files = sorted(data.secrets.iterdir())
    assert {mode(file) for file in files} == {0o600}
    assert [file.name for file in files] == [
        "edge.token",
        "event-service.token",
        "hs256.key",
        "operator.token",
        "postgres-auth_service.password",
        "postgres-event_service.password",
        "postgres-query_service.password",
        "query-service.token",
    ]
    assert len(data.minter().key) == 32


def test_the_password_of_nats_is_made_once_and_readable_by_us_alone(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.make()
    password = data.nats_password()
    assert len(password) > 30
    assert data.nats_password() == password
    assert mode(data.secrets / "nats.password") == 0o600


def test_secrets_stay_what_they_are_and_an_old_credential_is_renewed(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.make()
    data.make_secrets()
    before = {file.name: file.read_text() for file in data.secrets.iterdir()}
    data.make_secrets()
    assert {file.name: file.read_text() for file in data.secrets.iterdir()} == before
    minter = data.minter()
    old = minter.for_internal("edge", now=1_000_000_000)
    data.credential_file("edge").write_text(old)
    data.make_secrets()
    assert data.credential("edge") != old
    assert minter.is_ours(data.credential("edge"), 364 * DAY_SECONDS)
    assert {name for name in INTERNAL_NAMES if data.credential(name) + "\n" != before[f"{name}.token"]} <= {
        "edge"
    }


def test_one_folder_is_held_by_one_process(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    assert data.is_locked() is False
    with data.locked():
        assert data.is_locked() is True
        with pytest.raises(
            CliError, match=rf"^another ./harkara up \(pid {os.getpid()}\) runs on {tmp_path}$"
        ):
            data.locked().__enter__()
    assert data.is_locked() is False


def test_the_lock_goes_with_the_process_however_it_ends(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from harkara_cli.data_dir import DataDir\n"
        "with DataDir(Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(  # noqa: S603 - our own interpreter.
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert DataDir(tmp_path).is_locked() is True
        holder.kill()
    assert DataDir(tmp_path).is_locked() is False


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CliError, match=r"^cannot write in .*/file/data: Not a directory$"):
        DataDir(tmp_path / "file" / "data").make()


def test_what_a_killed_launcher_left_behind_is_no_running_mesh(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.make()
    data.run_file.write_text("{}")
    with pytest.raises(CliError, match=r"^no mesh runs on"):
        mesh_state.load(data)


def test_a_mesh_that_is_still_starting_is_told_from_one_that_does_not_run(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    with data.locked(), pytest.raises(CliError, match="is not ready yet"):
        mesh_state.load(data)
