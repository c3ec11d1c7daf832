"""Logs as a process writes them: on standard error, fields in one form."""

import json
import subprocess
import sys
from typing import Any

WRITES_ALL_SORTS = """
import logging
import sys
import threading

import structlog
from harkara_servicekit import logs

logs.configure("sample", sys.argv[2], sys.argv[1])
log = structlog.get_logger()
log.debug("too_small")
log.info("started", port=7, text="two\\nlines", odd={1})
logging.getLogger("some.library").warning("gone %s", "away")
logging.getLogger("some.library").info("chatter")

def fails(token):
    password = "hunter" + "2"
    raise ValueError("no good")

try:
    fails("s3cr3t" + "-token")
except ValueError:
    log.exception("failed")
    logging.getLogger("some.library").exception("failed too")
thread = threading.Thread(target=lambda: log.info("from_a_thread"))
thread.start()
thread.join()
"""


def written(log_format: str, level: str = "info") -> list[str]:
    done = subprocess.run(  # noqa: S603 - our own program.
        [sys.executable, "-c", WRITES_ALL_SORTS, log_format, level],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert not done.stdout
    return done.stderr.splitlines()


def test_json_is_one_object_a_line_and_libraries_write_the_same() -> None:
    records: list[dict[str, Any]] = [json.loads(line) for line in written("json")]
    events = [record["event"] for record in records]
    assert events == ["started", "gone away", "failed", "failed too", "from_a_thread"]
    for record in records:
        assert record["service"] == "sample"
        assert record["timestamp"].endswith("Z")
    started, library, failed, failed_too, _ = records
    assert (started["level"], started["port"], started["text"]) == ("info", 7, "two\nlines")
    assert (library["level"], library["logger"]) == ("warning", "some.library")
    for record in (failed, failed_too):
        assert record["level"] == "error"
        assert "ValueError: no good" in record["exception"]
        assert "hunter2" not in record["exception"]
        assert "s3cr3t-token" not in record["exception"]


def test_the_console_shows_exceptions_without_local_variables() -> None:
    lines = written("console")
    text = "\n".join(lines)
    assert text.count("ValueError: no good") == 2
    assert "hunter2" not in text
    assert "s3cr3t-token" not in text
    for word in ("started", "gone away", "failed too", "from_a_thread"):
        assert [line for line in lines if word in line and "sample" in line], word
    assert "\x1b" not in text


def test_the_level_is_the_least_severe_that_is_written() -> None:
    events = [json.loads(line)["event"] for line in written("json", "error")]
    assert events == ["failed", "failed too"]
