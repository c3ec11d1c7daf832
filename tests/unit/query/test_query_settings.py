"""The query-service's settings: from the environment, checked whole."""

import pytest

from harkara_query_service.settings import QueryServiceSettings
from harkara_servicekit.settings import load

PREFIX = "HARKARA_QUERY_SERVICE_"
REQUIRED = {
    f"{PREFIX}POSTGRES_DSN": "postgresql://reader:secret@db:5432/harkara",
    f"{PREFIX}CREDENTIAL_FILE": "/run/secrets/query-service",
}


def test_only_the_database_and_the_credential_must_be_given() -> None:
    settings = load(QueryServiceSettings, REQUIRED)
    assert settings.listen_address == "127.0.0.1:8000"
    assert settings.ops_address == "127.0.0.1:9104"
    assert settings.auth_target == "127.0.0.1:50052"
    assert settings.event_targets == ("127.0.0.1:50051",)
    assert settings.allowed_origins == "loopback"
    assert settings.console
    assert settings.websocket_url is None


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**REQUIRED, f"{PREFIX}EVENT_TARGETS": "one:1, two:2"}.items():
        monkeypatch.setenv(name, value)
    assert load(QueryServiceSettings).event_targets == ("one:1", "two:2")


@pytest.mark.parametrize(
    "url",
    [
        *("ws://127.0.0.1:8080/api/websocket/ws", "wss://live.example/api/websocket/ws", "ws://[::1]:8080"),
        "wss://live.example",
    ],
)
def test_the_websocket_of_the_console_is_an_address_of_one(url: str) -> None:
    assert load(QueryServiceSettings, {**REQUIRED, f"{PREFIX}WEBSOCKET_URL": url}).websocket_url == url


@pytest.mark.parametrize(
    "url",
    [
        *("http://live.example/", "live.example", "ws://", "ws://a b/", "ws://user:secret@live.example/ws"),
        *("ws://live.example/ws?x=1", "ws://live.example/'; script-src *", 'ws://live.example/"><script>'),
        *("ws://live.example/ws\nX-Header: 1", "ws://*/ws"),
    ],
)
def test_what_could_mean_something_in_a_header_or_a_page_is_no_address_of_a_websocket(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        load(QueryServiceSettings, {**REQUIRED, f"{PREFIX}WEBSOCKET_URL": url})
    assert f"{PREFIX}WEBSOCKET_URL" in capsys.readouterr().err


def test_the_password_is_not_shown() -> None:
    assert "secret@" not in repr(load(QueryServiceSettings, REQUIRED))


def test_all_faults_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load(
            QueryServiceSettings,
            {
                f"{PREFIX}POSTGRES_DSN": "mysql://root:secret@db/x",
                f"{PREFIX}EVENT_TARGETS": "one:1,one:1",
                f"{PREFIX}ALLOWED_ORIGINS": "*",
                f"{PREFIX}LISTEN_ADDRESS": "nowhere",
            },
        )
    assert ended.value.code == 2
    told = capsys.readouterr().err
    for name in ("POSTGRES_DSN", "EVENT_TARGETS", "ALLOWED_ORIGINS", "LISTEN_ADDRESS", "CREDENTIAL_FILE"):
        assert f"{PREFIX}{name}" in told
    assert "secret" not in told
