"""The command line as a shell sees it: help, misuse, failures."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import jwt
import pytest

from harkara_cli.data_dir import DataDir
from harkara_cli.main import main

COMMANDS = [
    [],
    ["up"],
    ["status"],
    ["doctor"],
    ["token"],
    ["users"],
    ["users", "add"],
    ["users", "list"],
    ["users", "disable"],
    ["users", "remove"],
    ["emit"],
    ["tail"],
    ["events"],
    ["events", "show"],
    ["events", "list"],
    ["catalogue"],
    ["migrate"],
    ["test"],
    ["install"],
    ["bench"],
]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    """The folder of a mesh that once ran."""
    data = DataDir(tmp_path / "data")
    data.make()
    data.make_secrets()
    return str(data.path)


def claims_of(token: str, data_dir: str) -> dict[str, object]:
    key = DataDir(Path(data_dir)).minter().key
    return dict(jwt.decode(token, key, algorithms=["HS256"]))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_level_has_help(command: list[str], capsys: Captured) -> None:
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr()
    assert "Usage: harkara" in shown.out
    assert shown.err == ""


def test_without_a_command_the_help_is_shown(capsys: Captured) -> None:
    assert main([]) == 0
    assert "Usage: harkara" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["users"], "Missing command"),
        (["users", "add"], "Missing argument"),
        (["users", "add", "no spaces allowed"], "'no spaces allowed' is no user id"),
        (["users", "add", "anna", "--role", "king"], "Invalid value for '--role': 'king' is not one of"),
        (["up", "--ports", "some"], "Invalid value for '--ports'"),
        (["up", "--edge-workers", "0"], "Invalid value for '--edge-workers'"),
        (["token"], "whose token: --user ID, or --service NAME"),
        (["token", "--user", "a b"], "'a b' is no user id"),
        (["token", "--service", "orders"], "--service needs --types"),
        (["token", "--service", "orders", "--types", "x", "--user", "anna"], "--service goes with --types"),
        (["token", "--user", "anna", "--types", "x"], "--types goes with --service"),
        (["token", "--user", "anna", "--expires-in", "86401"], "--expires-in 86401: at most 86400 seconds"),
        (["token", "--user", "anna", "--expires-in", "0"], "Invalid value for '--expires-in'"),
        (["tail", "--user", ""], "'' is no user id"),
        (["tail", "--user", "a", "--user", "b", "--since", "3"], "--since 3 goes with one --user"),
        (["tail", "--level", "loud"], "Invalid value for '--level'"),
        (["tail", "--user", "anna", "--types", "a,,b"], "is no list of event types"),
        (["events", "show", "evt_1"], "'evt_1' is no event id"),
        (["events", "list"], "Missing option '--user'"),
        (["events", "list", "--user", "a b"], "'a b' is no user id"),
        (["events", "list", "--user", "a", "--limit", "0"], "Invalid value for '--limit'"),
        (["emit", "--user", "anna"], "missing: --type, --data (or --from FILE)"),
        (["emit", "--from", "/no/such/file"], "--from /no/such/file: No such file or directory"),
        (["status", "--data-dir", ""], ": it is empty (see --help)"),
        (["emit", "--from", "-", "--id", "evt_1"], "--id goes with one event"),
        (
            ["emit", "--user", "a", "--type", "b", "--data", "{}", "--timestamp", "now"],
            "timestamp now is not",
        ),
    ],
)
def test_misuse_is_one_line_and_ends_with_2(
    arguments: list[str], said: str, data_dir: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARKARA_DATA_DIR", data_dir)
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert shown.err.startswith(f"harkara: {said}") or said in shown.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["users", "list"],
        ["emit", "--user", "anna", "--type", "order_ready", "--data", "{}"],
        ["tail", "--user", "anna"],
        ["tail"],
        ["events", "list", "--user", "anna"],
        ["events", "show", "evt_01KG0000000000000000000000"],
    ],
    ids=" ".join,
)
def test_what_needs_a_running_mesh_says_so_in_one_line_and_ends_with_1(
    arguments: list[str], data_dir: str, capsys: Captured
) -> None:
    assert main([*arguments, "--data-dir", data_dir]) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (
        "",
        f"harkara: no mesh runs on {data_dir}: start it with ./harkara up\n",
    )


def test_a_folder_where_no_mesh_ever_ran_mints_nothing(tmp_path: Path, capsys: Captured) -> None:
    assert main(["token", "--user", "anna", "--data-dir", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == (
        f"harkara: no mesh in {tmp_path / 'none'} yet: start one with ./harkara up\n"
    )


@pytest.mark.parametrize("key", ["", "abc\n", "\0" * 43])
@pytest.mark.parametrize("arguments", [["token", "--user", "anna"], ["up", "--ports", "auto"]], ids=" ".join)
def test_a_damaged_key_is_refused_before_anything_is_signed_or_started(
    arguments: list[str], key: str, data_dir: str, capsys: Captured
) -> None:
    data = DataDir(Path(data_dir))
    data.key_file.write_text(key)
    assert main([*arguments, "--data-dir", data_dir]) == 1
    shown = capsys.readouterr()
    said = f"harkara: the key {data.key_file} cannot be used: it is not 32 or more bytes as base64url\n"
    assert (shown.out, shown.err) == ("", said)
    assert not data.postgres.exists()


def test_a_faulty_setting_of_tokens_is_one_line(
    data_dir: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARKARA_AUTH_SERVICE_SERVICE_TOKEN_MAX_DAYS", "inf")
    for arguments in (["token", "--user", "anna"], ["up", "--ports", "auto"]):
        assert main([*arguments, "--data-dir", data_dir]) == 2
        shown = capsys.readouterr()
        assert (shown.out, len(shown.err.splitlines())) == ("", 1)
        assert shown.err.startswith("harkara: HARKARA_AUTH_SERVICE_SERVICE_TOKEN_MAX_DAYS=inf is no number")


def test_a_stopped_mesh_mints_tokens_for_many_users_in_order(data_dir: str, capsys: Captured) -> None:
    assert main(["token", "--user", "anna", "--user", "bert", "carl", "--data-dir", data_dir]) == 0
    tokens = capsys.readouterr().out.splitlines()
    assert [claims_of(token, data_dir)["user_id"] for token in tokens] == ["anna", "bert", "carl"]


def test_ids_come_from_standard_input_too(
    data_dir: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("anna\nbert carl\n\n"))
    assert main(["token", "--user", "-", "--role", "shop", "--data-dir", data_dir]) == 0
    claims = [claims_of(token, data_dir) for token in capsys.readouterr().out.splitlines()]
    assert [(one["user_id"], one["user_role"]) for one in claims] == [
        ("anna", "shop"),
        ("bert", "shop"),
        ("carl", "shop"),
    ]


def test_a_services_token_has_its_types(data_dir: str, capsys: Captured) -> None:
    arguments = ["token", "--service", "payments", "--types", "payment_*, order_ready", "--expires-in", "60"]
    assert main([*arguments, "--data-dir", data_dir]) == 0
    claims = claims_of(capsys.readouterr().out.strip(), data_dir)
    assert claims["event_types"] == ["payment_*", "order_ready"]
    assert claims["exp"] == pytest.approx(time.time() + 60, abs=30)


def test_a_reader_who_leaves_early_is_no_traceback(data_dir: str) -> None:
    ids = [f"user{number}" for number in range(2_000)]
    with subprocess.Popen(  # noqa: S603 - our own command.
        [sys.executable, "-m", "harkara_cli", "token", "--user", *ids, "--data-dir", data_dir],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr.read() == b""


def test_help_and_tokens_load_nothing_that_is_slow(data_dir: str) -> None:
    program = (
        "import sys; from harkara_cli.main import main\n"
        "status = main(sys.argv[1:])\n"
        "slow = {'grpc', 'psycopg', 'sqlalchemy', 'websockets', 'rich', 'msgspec'}\n"
        "sys.exit(status or ', '.join(sorted(slow & set(sys.modules))) or None)"
    )
    run = subprocess.run(  # noqa: S603 - our own interpreter.
        [sys.executable, "-c", program, "token", "--user", "anna", "--data-dir", data_dir],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_no_help_says_of_a_flag_that_it_takes_a_value(capsys: Captured) -> None:
    for command in COMMANDS:
        main([*command, "--help"])
        assert "<bool>" not in capsys.readouterr().out, command


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("harkara doc", ["doctor"]),
        ("harkara emit --type payment_", ["payment_initiated", "payment_completed", "payment_failed"]),
        ("harkara catalogue --type eta", ["eta_updated"]),
        ("harkara tail --types eta_updated,order_r", ["eta_updated,order_ready"]),
        ("harkara tail --user demo_c", ["demo_customer"]),
        ("harkara events list --user demo_s", ["demo_shop"]),
        ("harkara tail --level cr", ["critical"]),
    ],
)
def test_a_shell_completes_commands_types_and_users(words: str, offered: list[str]) -> None:
    asked = {
        "_HARKARA_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    run = subprocess.run(
        [sys.executable, "-P", "-m", "harkara_cli"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (run.stdout.split(), run.stderr) == (offered, "")
