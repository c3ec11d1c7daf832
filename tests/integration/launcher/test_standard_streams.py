"""The command line where its standard streams, its arguments or the locale are not what one hopes for."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harkara_cli.data_dir import DataDir
from harkara_cli.main import main


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    """The folder of a mesh that once ran."""
    data = DataDir(tmp_path / "data")
    data.make()
    data.make_secrets()
    return str(data.path)


def run(shell: str, data_dir: str, environment: Mapping[str, str] | None = None) -> tuple[int, bytes, bytes]:
    """What a shell's line comes to; in it `harkara` is the command. Status, output, what is said."""
    done = subprocess.run(  # noqa: S603 - our own command.
        ["/bin/sh", "-c", shell.replace("harkara", f"{sys.executable} -P -X utf8 -m harkara_cli")],
        capture_output=True,
        timeout=50,
        check=False,
        env={**os.environ, "HARKARA_DATA_DIR": data_dir, **(environment or {})},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["--help", "token --user anna"])
@pytest.mark.parametrize(
    ("where", "why"), [(">/dev/full", b"No space left on device"), (">&-", b"Bad file descriptor")]
)
def test_output_that_cannot_be_written_is_one_line_and_ends_with_1(
    command: str, where: str, why: bytes, data_dir: str
) -> None:
    assert run(f"harkara {command} {where}", data_dir) == (
        1,
        b"",
        b"harkara: standard output cannot be written: " + why + b"\n",
    )


def test_the_helps_reader_may_leave_early(data_dir: str) -> None:
    status, _, said = run("{ harkara --help; echo $? >&2; } | :", data_dir)
    assert (status, said) == (0, b"1\n")


@pytest.mark.parametrize("command", ["users add -", "token --user -", "users list -"])
def test_input_that_is_closed_is_one_line_and_ends_with_2(command: str, data_dir: str) -> None:
    assert run(f"harkara {command} <&-", data_dir) == (
        2,
        b"",
        b"harkara: standard input: Bad file descriptor\n",
    )


def test_a_stream_that_is_closed_is_not_taken_by_the_next_file(data_dir: str) -> None:
    # The lock would get the number 2, and with it what is said.
    assert run("harkara status 2>&-", data_dir) == (1, b"", b"")


def test_errors_that_nobody_can_read_change_no_status(data_dir: str) -> None:
    assert run("harkara token 2>/dev/full", data_dir)[0] == 2


def test_ids_on_standard_input_that_are_no_utf8_are_refused_as_any_other(data_dir: str) -> None:
    status, output, said = run(r"printf '\377' | harkara token --user -", data_dir)
    assert (status, output) == (2, b"")
    assert said.startswith(rb"harkara: '\udcff' is no user id")


@pytest.mark.parametrize(
    "command",
    [
        r"harkara token --user {}",
        r"harkara token --service orders --types {}",
        r"harkara emit --user anna --type {} --data '{{}}'",
        r"harkara emit --user anna --type order_created --data {}",
        r"harkara status --data-dir {}",
    ],
)
def test_an_argument_that_is_no_utf8_is_refused(command: str, data_dir: str) -> None:
    assert run(command.format(r"$(printf '\377')"), data_dir) == (
        2,
        b"",
        b"harkara: an argument is not UTF-8: \\xff\n",
    )


def test_a_setting_that_is_no_utf8_is_refused(data_dir: str) -> None:
    status, _, said = run(r"HARKARA_DATA_DIR=$(printf '\377') harkara status", data_dir)
    assert (status, said) == (2, b"harkara: HARKARA_DATA_DIR is not UTF-8: \\xff\n")


def test_output_is_utf8_and_has_an_escape_for_what_is_not_whatever_the_locale() -> None:
    c_locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    program = (
        "from harkara_cli import standard_streams; standard_streams.prepare()\n"
        "from harkara_cli.console import put, say; put('\\u0939\\u0930 \\ud800'); say('\\u0939\\u0930')"
    )
    ran = subprocess.run(  # noqa: S603 - our own interpreter.
        [sys.executable, "-c", program],
        capture_output=True,
        timeout=50,
        check=True,
        env={**os.environ, **c_locale},
    )
    assert ran.stdout.decode() == "हर \\ud800\n"
    assert ran.stderr.decode() == "harkara: हर\n"


def test_a_failure_of_the_file_system_is_one_line(data_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    DataDir(Path(data_dir)).run_file.mkdir()  # Where a file must go.
    assert main(["up", "--ports", "auto", "--data-dir", data_dir]) == 1
    assert capsys.readouterr().err == f"harkara: {data_dir}/run.json: Is a directory\n"
