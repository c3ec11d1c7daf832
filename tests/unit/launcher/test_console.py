"""What people see of logs and events."""

import os
import threading
from typing import Any

import pytest

from harkara_cli.console import LogWriter
from harkara_cli.tail import as_line

EVENT: dict[str, Any] = {
    "event_type": "order_created",
    "event_level": "high",
    "timestamp": "2026-01-27T10:30:00Z",
    "user_id": "anna",
    "data": {"note": "süß"},
    "source": "orders",
    "seq": 7,
}


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


def test_an_event_is_one_line_with_its_data_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    line = as_line(EVENT, colour=False)
    assert line.endswith('      7  order_created        high     orders  {"note":"süß"}')
    assert "\033" not in line


def test_an_events_level_shows_in_its_colour() -> None:
    assert "\033[1;31morder_created" in as_line({**EVENT, "event_level": "critical"}, colour=True)


@pytest.mark.parametrize("control", ["\x1b", "\x9b", "\x7f", "\n"])
def test_no_control_character_of_an_event_reaches_the_terminal(control: str) -> None:
    line = as_line({**EVENT, "data": {"a": f"x{control}y"}, "source": control}, colour=False)
    assert control not in line
