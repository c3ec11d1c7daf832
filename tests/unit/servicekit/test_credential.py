"""A service's own credential: what stands in its file now."""

import os
from pathlib import Path

import pytest

from harkara_servicekit import credential as module
from harkara_servicekit.credential import Credential
from harkara_servicekit.settings import SettingsError


def put(path: Path, token: str) -> None:
    """Replace the file, as a rotation does."""
    new = path.with_suffix(".new")
    new.write_text(token)
    new.chmod(0o600)
    new.replace(path)


def sent(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def test_the_token_in_the_file_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "token"
    put(path, "one\n")
    assert Credential(path).metadata() == sent("one")


def test_a_credential_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        Credential(tmp_path / "none")


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    put(path, "one")
    credential = Credential(path)
    assert credential.metadata() == sent("one")
    put(path, "two")
    assert credential.metadata() == sent("two")


def test_a_file_that_was_written_over_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    put(path, "one")
    credential = Credential(path)
    path.write_text("two")
    os.utime(path, ns=(1, 1))  # The clock of a file system may be coarse.
    assert credential.metadata() == sent("two")


def test_the_old_token_is_kept_while_the_file_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "token"
    put(path, "one")
    credential = Credential(path)
    path.unlink()
    assert credential.metadata() == sent("one")
    put(path, "")
    assert credential.metadata() == sent("one")
    put(path, "open to all")
    path.chmod(0o644)
    assert credential.metadata() == sent("one")
    path.chmod(0o600)
    assert credential.metadata() == sent("open to all")


def test_a_file_replaced_while_it_was_first_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stamp was once taken after the reading: then it was the new file's, and the old token stayed.
    path = tmp_path / "token"
    put(path, "one")

    def read_and_replaced(given: Path) -> str:
        text = given.read_text()
        put(path, "two")
        monkeypatch.undo()
        return text

    monkeypatch.setattr(module, "read_secret_file", read_and_replaced)
    credential = Credential(path)
    assert credential.metadata() == sent("two")
