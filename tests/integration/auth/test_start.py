"""How auth-service starts, refuses to, and stops, as an OS process and in this one."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from harkara_auth_service.settings import AuthServiceSettings
from harkara_auth_service.wiring import serve
from harkara_servicekit.settings import SettingsError, load
from tests.support.auth_service import auth_settings, running_auth_service
from tests.support.postgres import Database

PREFIX = "HARKARA_AUTH_SERVICE_"


def refused_settings(capsys: pytest.CaptureFixture[str], **given: str) -> list[str]:
    """The lines that a process with these settings ends with."""
    with pytest.raises(SystemExit) as caught:
        load(AuthServiceSettings, {PREFIX + name.upper(): value for name, value in given.items()})
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()


async def refusal(settings: AuthServiceSettings) -> str:
    """Why a service does not start."""
    with pytest.raises(SettingsError) as caught:
        await serve(settings, asyncio.Event())
    reason = str(caught.value)
    assert "\n" not in reason
    return reason


def test_a_process_serves_until_sigterm_and_ends_with_0(
    make_settings: Callable[..., AuthServiceSettings],
) -> None:
    settings = make_settings()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HARKARA_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "harkara_auth_service"],
        env={
            **inherited,
            PREFIX + "LISTEN_ADDRESS": settings.listen_address,
            PREFIX + "OPS_ADDRESS": settings.ops_address,
            PREFIX + "POSTGRES_DSN": settings.postgres_dsn.get_secret_value(),
            PREFIX + "HS256_KEY_FILE": str(settings.hs256_key_file),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    addresses: dict[str, str] = {}
    for line in process.stderr:
        record = json.loads(line)
        addresses |= {key: value for key, value in record.items() if key.endswith("_address")}
        if record["event"] == "ready":
            break
    assert httpx.get(f"http://{addresses['ops_address']}/readyz", trust_env=False).status_code == 200
    process.send_signal(signal.SIGTERM)
    output, rest = process.communicate(timeout=10)
    assert process.returncode == 0
    assert not output
    assert json.loads(rest.splitlines()[-1])["event"] == "stopped"
    assert "Traceback" not in rest


def test_every_faulty_setting_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = refused_settings(
        capsys,
        listen_address="here",
        postgres_dsn="mysql://somebody:secret@host/x",
        jwks_url="http://id.example.test/keys",
        service_token_max_days="0",
    )
    assert [line.split(":")[0] for line in lines] == [
        PREFIX + "LISTEN_ADDRESS",
        PREFIX + "POSTGRES_DSN",
        PREFIX + "JWKS_URL",
        PREFIX + "SERVICE_TOKEN_MAX_DAYS",
    ]
    assert "secret" not in "".join(lines)


def test_a_service_without_any_key_does_not_start(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refused_settings(capsys, postgres_dsn="postgresql://u:p@127.0.0.1/x")
    assert "one of HS256_KEY_FILE, JWKS_FILE and JWKS_URL is required" in line


def test_a_missing_key_is_told_beside_other_faults(capsys: pytest.CaptureFixture[str]) -> None:
    lines = refused_settings(capsys, listen_address="here", service_token_max_days="0")
    assert [line.split(":")[0] for line in lines] == [
        PREFIX + "LISTEN_ADDRESS",
        PREFIX + "POSTGRES_DSN",
        PREFIX + "JWKS_URL",
        PREFIX + "SERVICE_TOKEN_MAX_DAYS",
    ]
    assert "one of HS256_KEY_FILE, JWKS_FILE and JWKS_URL is required" in lines[2]


@pytest.mark.parametrize("url", ["https://id.example.test/keys", "http://127.0.0.1:8/k", "http://[::1]/k"])
def test_a_key_set_is_read_by_https_and_on_loopback_in_plain_text(url: str) -> None:
    settings = {"postgres_dsn": "postgresql://u:p@127.0.0.1/x", "jwks_url": url}
    assert AuthServiceSettings.model_validate(settings).jwks_url == url


NOWHERE = "postgresql://u:p@127.0.0.1:1/x"
KEY_FAULTS: dict[str, tuple[bytes, int, str]] = {
    "short": (b"c2hvcnQ", 0o600, "too short"),
    "not random": (b"A" * 64, 0o600, "a placeholder"),
    "empty": (b"", 0o600, "empty"),
    "not base64url": (b"not base64url!", 0o600, "not base64url"),
    "open to others": (b"A" * 64, 0o644, "mode is 0644"),
}


@pytest.mark.parametrize(("content", "mode", "reason"), KEY_FAULTS.values(), ids=KEY_FAULTS.keys())
async def test_a_key_file_that_is_no_secret_stops_the_start_with_one_line(
    tmp_path: Path, content: bytes, mode: int, reason: str
) -> None:
    settings = auth_settings(tmp_path, NOWHERE)
    assert settings.hs256_key_file
    settings.hs256_key_file.write_bytes(content)
    settings.hs256_key_file.chmod(mode)
    told = await refusal(settings)
    assert reason in told
    assert not content or content.decode() not in told.replace(reason, "")


async def test_all_key_files_that_cannot_be_used_are_told_in_one_line(tmp_path: Path) -> None:
    jwks = tmp_path / "jwks.json"
    jwks.write_text('{"keys":[]}')
    told = await refusal(
        auth_settings(tmp_path, NOWHERE, hs256_key_file=tmp_path / "missing", jwks_file=jwks)
    )
    assert "missing: No such file" in told
    assert "jwks.json: no usable key" in told


async def test_a_missing_list_of_revoked_credentials_stops_the_start(
    make_settings: Callable[..., AuthServiceSettings], tmp_path: Path
) -> None:
    told = await refusal(make_settings(revoked_credentials_file=tmp_path / "typo"))
    assert "typo: No such file" in told


async def test_a_database_without_tables_stops_the_start(empty_database: Database, tmp_path: Path) -> None:
    assert "run ./harkara migrate" in await refusal(auth_settings(tmp_path, empty_database.dsn))


async def test_a_taken_address_stops_the_start(make_settings: Callable[..., AuthServiceSettings]) -> None:
    async with running_auth_service(make_settings()) as service:
        for name in ("listen_address", "ops_address"):
            with pytest.raises(OSError, match=r"."):
                async with running_auth_service(make_settings(**{name: getattr(service.bound, name)})):
                    pass
