"""What `python -m harkara_client.outbox` says before there is anything to relay."""

from __future__ import annotations

from pathlib import Path

import pytest

from harkara_client.outbox import schema_sql
from harkara_client.outbox.__main__ import main
from tests.support.postgres import Database


def test_it_prints_the_migration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--schema", "shop", "--no-notify"]) == 0
    assert capsys.readouterr().out == schema_sql("shop", notify=False)


def test_without_a_token_it_says_how_to_give_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARKARA_TOKEN", raising=False)
    assert main(["relay", "--targets", "127.0.0.1:1"]) == 2
    assert capsys.readouterr().err == "no token: give --token-file, or set HARKARA_TOKEN\n"


def test_a_token_file_that_others_may_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    token.chmod(0o640)
    relay = ["relay", "--dsn", "port=1", "--targets", "127.0.0.1:1", "--token-file", str(token)]
    assert main(relay) == 2
    assert capsys.readouterr().err == f"{token}: others may read it: its mode is 0640, use 0600\n"
    token.unlink()
    assert main(relay) == 2
    assert capsys.readouterr().err == f"{token}: No such file or directory\n"


def test_a_file_of_certificates_that_holds_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARKARA_TOKEN", "t")
    trusted = tmp_path / "ca.pem"
    relay = ["relay", "--dsn", "port=1", "--targets", "127.0.0.1:1", "--ca-file", str(trusted)]
    assert main(relay) == 2
    assert capsys.readouterr().err == "--ca-file: it needs --tls\n"
    assert main([*relay, "--tls"]) == 2
    assert capsys.readouterr().err == f"{trusted}: No such file or directory\n"
    for text in ("", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        trusted.write_text(text)
        assert main([*relay, "--tls"]) == 2
        assert capsys.readouterr().err == f"{trusted}: holds no certificate as PEM\n"


def test_where_there_is_no_outbox_it_ends_and_says_so(
    empty_database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    token.chmod(0o600)
    relay = ["relay", "--dsn", empty_database.dsn, "--targets", "127.0.0.1:1", "--token-file", str(token)]
    assert main(relay) == 1
    assert 'relation "public.harkara_outbox" does not exist' in capsys.readouterr().err
