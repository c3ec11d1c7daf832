"""What people see of logs."""

import os
import threading

import pytest

from harkara_cli.console import LogWriter, put_table


def written(*lines: tuple[str, str]) -> str:
    read_end, write_end = os.pipe()
    with LogWriter(write_end) as log:
        for name, text in lines:
            log.line(name, text)
    os.close(write_end)
    with os.fdopen(read_end) as file:
        return file.read()


def test_each_line_stands_behind_the_name_of_its_program_without_colours_in_a_file() -> None:
    assert written(("edge-1", "attached"), ("postgres", "ready")) == (
        "edge-1          │ attached\npostgres        │ ready\n"
    )


def test_a_reader_who_does_not_read_holds_nobody_up_and_is_told_what_was_dropped() -> None:
    read_end, write_end = os.pipe()
    told: list[str] = []

    def read() -> None:
        with os.fdopen(read_end) as file:
            told.append(file.read())

    reader = threading.Thread(target=read)
    with LogWriter(write_end) as log:
        for number in range(30_000):  # Far more than the pipe and the queue hold.
            log.line("edge-1", f"line {number}")
        reader.start()
    os.close(write_end)
    reader.join()
    assert "log lines dropped: nobody read them in time" in told[0]
    assert told[0].startswith("edge-1          │ line 0\n")


def test_a_log_whose_reader_has_gone_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with LogWriter(write_end) as log:
        log.news("edge-1", "ready")
    os.close(write_end)


def test_a_table_in_a_pipe_has_no_blanks_behind_a_lines_end(capsys: pytest.CaptureFixture[str]) -> None:
    put_table(("user", "status"), [("anna", "active"), ("a_longer_name", "")])
    assert capsys.readouterr().out == "user           status\nanna           active\na_longer_name\n"
