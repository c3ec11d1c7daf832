"""The setting that joins replicas; the others are checked by their types."""

from __future__ import annotations

from pathlib import Path

import pytest

from harkara_event_service.settings import Settings
from harkara_servicekit.settings import load

PREFIX = "HARKARA_EVENT_SERVICE_"
REQUIRED = {f"{PREFIX}CREDENTIAL_FILE": "token", f"{PREFIX}POSTGRES_DSN": "postgresql://somewhere"}


def loaded(backplane: str) -> Settings:
    return load(Settings, REQUIRED | {f"{PREFIX}BACKPLANE": backplane})


def test_a_replica_is_alone_unless_told_otherwise() -> None:
    assert load(Settings, REQUIRED).backplane_servers == loaded("local").backplane_servers == []
    assert load(Settings, REQUIRED).credential_file == Path("token")


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("nats://127.0.0.1:4222", ["nats://127.0.0.1:4222"]),
        ("nats://one:4222, nats://two:4223", ["nats://one:4222", "nats://two:4223"]),
        ("nats://us:secret@[::1]:4222", ["nats://us:secret@[::1]:4222"]),
    ],
)
def test_the_servers_of_a_backplane_are_taken_apart(text: str, servers: list[str]) -> None:
    assert loaded(text).backplane_servers == servers


@pytest.mark.parametrize(
    "text",
    [
        "nats",
        "nats://",
        "nats://us:secret@host",
        "redis://us:secret@host:1",
        "nats://host:99999",
        "nats://host:4222,",
        "local,nats://host:4222",
        "nats://host:4222/secret",
        "nats://[host:4222",
    ],
)
def test_anything_else_is_a_fault_and_is_not_repeated(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        loaded(text)

    told = capsys.readouterr().err
    assert told.startswith("HARKARA_EVENT_SERVICE_BACKPLANE: ")
    assert "secret" not in told
