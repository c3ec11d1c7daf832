"""Logs: fields, not sentences, on standard error. Never a token, never an event's `data`.

`structlog.get_logger()` anywhere; `configure` once in a process.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(service: str, level: Level = "info", log_format: Literal["json", "console"] = "json") -> None:
    """Send this process's records to standard error.

    Args:
        service: stands in each record.
        level: the least severe record that is written.
        log_format: `json` for one object a line, `console` for people.
    """
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        # Not the default traceback: it prints local variables, and one of them may be a token.
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )

    def add_service(_: WrappedLogger, __: str, record: EventDict) -> EventDict:
        record["service"] = service
        return record

    shared: list[Processor] = [
        # Not a bound context variable: a thread starts without those.
        add_service,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    exceptions: list[Processor] = [structlog.processors.format_exc_info] if log_format == "json" else []
    structlog.configure(
        processors=[*shared, *exceptions, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # What libraries log in the standard way comes out in the same form; their chatter does not.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *exceptions, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(_LEVELS[level], logging.WARNING), force=True)
