"""Settings: read from the environment, checked whole, told at once."""

from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from harkara_servicekit.settings import (
    Address,
    GrpcSettings,
    ServiceSettings,
    SettingsError,
    Targets,
    load,
    read_secret_file,
    split_address,
)

PREFIX = "HARKARA_SAMPLE_"


class Sample(ServiceSettings):
    env_prefix: ClassVar[str] = PREFIX

    ops_address: Address = Field("127.0.0.1:9199")
    required: str
    count: int = Field(3, ge=1)


class GrpcSample(GrpcSettings):
    env_prefix: ClassVar[str] = PREFIX

    ops_address: Address = Field("127.0.0.1:9199")
    listen_address: Address = Field("127.0.0.1:50000")


class Whole(ServiceSettings):
    env_prefix: ClassVar[str] = PREFIX

    ops_address: Address = Field("127.0.0.1:9199")

    @model_validator(mode="after")
    def _never_good(self) -> "Whole":
        raise ValueError("ONE or OTHER is required")


class Listing(ServiceSettings):
    env_prefix: ClassVar[str] = PREFIX

    ops_address: Address = Field("127.0.0.1:9199")
    targets: Targets = ("127.0.0.1:1",)


def faults(
    capsys: pytest.CaptureFixture[str], cls: type[ServiceSettings], environment: dict[str, str] | None = None
) -> list[str]:
    """The lines told of faulty settings, which end the process with 2."""
    with pytest.raises(SystemExit) as ended:
        load(cls, environment)
    assert ended.value.code == 2
    out, told = capsys.readouterr()
    assert not out
    return told.splitlines()


def names(lines: list[str]) -> set[str]:
    return {line.partition(": ")[0] for line in lines}


def test_what_is_not_given_has_its_default() -> None:
    settings = load(Sample, {f"{PREFIX}REQUIRED": "yes"})
    assert (settings.required, settings.count, settings.ops_address) == ("yes", 3, "127.0.0.1:9199")
    assert (settings.log_level, settings.log_format, settings.shutdown_seconds) == ("info", "json", 10.0)


def test_the_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}REQUIRED", "yes")
    monkeypatch.setenv(f"{PREFIX}COUNT", "7")
    settings = load(Sample)
    assert (settings.required, settings.count) == ("yes", 7)


def test_an_environment_given_stands_instead_of_the_process_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"{PREFIX}COUNT", "7")
    assert load(Sample, {f"{PREFIX}REQUIRED": "yes"}).count == 3


@pytest.mark.parametrize("from_process", [True, False])
def test_every_fault_is_told_at_once_by_its_variable(
    from_process: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        f"{PREFIX}OPS_ADDRESS": "nowhere",
        f"{PREFIX}LOG_LEVEL": "loud",
        f"{PREFIX}LOG_FORMAT": "xml",
        f"{PREFIX}SHUTDOWN_SECONDS": "0",
        f"{PREFIX}COUNT": "many",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    lines = faults(capsys, Sample, None if from_process else environment)
    assert names(lines) == {*environment, f"{PREFIX}REQUIRED"}
    assert len(lines) == 6


def test_a_fault_of_no_one_variable_is_told_under_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    lines = faults(capsys, Whole, {})
    assert names(lines) == {"HARKARA_SAMPLE"}
    assert "ONE or OTHER is required" in lines[0]


def test_a_fault_of_one_item_is_told_under_its_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}TARGETS", "127.0.0.1:1, nowhere")
    assert names(faults(capsys, Listing)) == {f"{PREFIX}TARGETS"}


def test_targets_stand_with_commas_between_and_each_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert load(Listing, {f"{PREFIX}TARGETS": "a:1, b:2"}).targets == ("a:1", "b:2")
    (line,) = faults(capsys, Listing, {f"{PREFIX}TARGETS": "a:1,b:2,a:1"})
    assert "names a replica twice" in line


@pytest.mark.parametrize("from_process", [True, False])
def test_empty_means_unset(
    from_process: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {f"{PREFIX}REQUIRED": "", f"{PREFIX}COUNT": ""}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert names(faults(capsys, Sample, None if from_process else environment)) == {f"{PREFIX}REQUIRED"}


def test_variables_that_nobody_knows_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}REQUIRED", "yes")
    monkeypatch.setenv(f"{PREFIX}NO_SUCH_THING", "x")
    monkeypatch.setenv("COUNT", "9")  # Not ours: it has no prefix.
    assert load(Sample).count == 3
    assert load(Sample, {f"{PREFIX}REQUIRED": "yes", f"{PREFIX}NO_SUCH_THING": "x"}).count == 3


def test_settings_cannot_be_changed() -> None:
    settings = load(Sample, {f"{PREFIX}REQUIRED": "yes"})
    with pytest.raises(ValidationError):
        settings.count = 5  # type: ignore[misc]


# ---- addresses


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("db.internal:65535", ("db.internal", 65535)),
        ("[::1]:8080", ("::1", 8080)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
    ],
)
def test_an_address_is_taken_apart(text: str, parts: tuple[str, int]) -> None:
    assert split_address(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        ":80",
        "host:",
        "host:-1",
        "host:65536",
        "host:http",
        "host:٣",
        "[]:80",
        # Which colon ends the host? An IPv6 address needs brackets, both of them, and nothing else has them.
        "::1",
        "::1:80",
        "[::1:80",
        "::1]:80",
        "[host]:80",
        "http://host:80",
    ],
)
def test_what_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not host:port"):
        split_address(text)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_ip_address_and_port_comes_back(address: object, port: int) -> None:
    host = str(address)
    assert split_address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}") == (host, port)


@given(st.text())
def test_any_text_is_taken_apart_or_refused_as_a_value(text: str) -> None:
    try:
        host, port = split_address(text)
    except ValueError:
        return
    assert host
    assert 0 <= port <= 65535


# ---- plain text beyond loopback


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"])
def test_grpc_may_listen_on_loopback(address: str) -> None:
    assert load(GrpcSample, {f"{PREFIX}LISTEN_ADDRESS": address}).listen_address == address


@pytest.mark.parametrize("address", ["0.0.0.0:1", "10.0.0.7:1", "[::]:1", "auth.internal:1"])
def test_grpc_may_listen_beyond_loopback_only_where_it_is_agreed(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {f"{PREFIX}LISTEN_ADDRESS": address}
    assert names(faults(capsys, GrpcSample, given)) == {f"{PREFIX}ALLOW_PLAIN_TEXT"}
    assert faults(capsys, GrpcSample, {**given, f"{PREFIX}ALLOW_PLAIN_TEXT": "false"})
    agreed = load(GrpcSample, {**given, f"{PREFIX}ALLOW_PLAIN_TEXT": "true"})
    assert agreed.listen_address == address


def test_plain_text_beyond_loopback_is_told_beside_other_faults(capsys: pytest.CaptureFixture[str]) -> None:
    given = {f"{PREFIX}LISTEN_ADDRESS": "0.0.0.0:1", f"{PREFIX}LOG_LEVEL": "loud"}
    assert names(faults(capsys, GrpcSample, given)) == {f"{PREFIX}ALLOW_PLAIN_TEXT", f"{PREFIX}LOG_LEVEL"}


def test_a_faulty_listen_address_is_one_fault(capsys: pytest.CaptureFixture[str]) -> None:
    lines = faults(capsys, GrpcSample, {f"{PREFIX}LISTEN_ADDRESS": "nowhere"})
    assert names(lines) == {f"{PREFIX}LISTEN_ADDRESS"}
    assert len(lines) == 1


# ---- secrets in files


def secret_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_secret_is_read_without_the_white_space_around_it(tmp_path: Path, mode: int) -> None:
    assert read_secret_file(secret_file(tmp_path, b" a token \n", mode)) == "a token"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o666])
def test_a_secret_that_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SettingsError, match=f"mode is {mode:04o}, use 0600"):
        read_secret_file(secret_file(tmp_path, b"a token", mode))


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b" \n\t", "empty"), (b"caf\xe9", "not text")]
)
def test_a_secret_must_be_text_and_some(tmp_path: Path, content: bytes, reason: str) -> None:
    path = secret_file(tmp_path, content)
    with pytest.raises(SettingsError) as caught:
        read_secret_file(path)
    assert str(caught.value) == f"{path}: {reason}"


def test_a_missing_secret_is_told_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_secret_file(tmp_path / "none")
    assert str(caught.value) == f"{tmp_path / 'none'}: No such file or directory"


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(SettingsError, match="Is a directory"):
        read_secret_file(tmp_path)
