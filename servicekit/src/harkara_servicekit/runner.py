"""Runs a service's `serve` until a signal asks it to stop, and ends what hangs."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable

import structlog

from harkara_servicekit import failpoints
from harkara_servicekit.settings import SettingsError

_log = structlog.get_logger()

FAILURE = 1
HUNG = 70
"""Exit status of a process that its own deadline ended."""

SAME_REQUEST_SECONDS = 0.5
"""Wrappers such as timeout(1) signal a process and its group: that is one request."""


def raise_file_limit() -> None:
    """Let this process open as many files as it may: a socket is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _reason(error: SettingsError | OSError) -> str:
    if isinstance(error, SettingsError) or error.strerror is None:
        return str(error)
    return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"


def _end_hard() -> None:
    sys.stderr.write("the orderly stop took too long: ending hard\n")
    sys.stderr.flush()
    os._exit(HUNG)


def _asks(stop: asyncio.Event, hurry: asyncio.Event | None) -> Callable[[], None]:
    """What a signal does: the first one asks for the stop, a later one for haste."""
    asked_at = 0.0

    def asked() -> None:
        nonlocal asked_at
        now = time.monotonic()
        if not stop.is_set():
            asked_at = now
            stop.set()
        elif hurry is not None and now - asked_at >= SAME_REQUEST_SECONDS:
            hurry.set()

    return asked


def run(
    serve: Callable[[asyncio.Event, Callable[[object], None]], Awaitable[None]],
    *,
    shutdown_seconds: float,
    hurry: asyncio.Event | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Run a service in this process.

    Args:
        serve: starts the service, tells the callback that it has (and where it listens, which is not looked
            at here), waits for the event, stops the service in order, and returns.
        shutdown_seconds: how long it may take from the signal to the return; a thread outside the loop
            counts, so that a blocked loop ends too.
        hurry: set by a second signal, for a service that takes its time to stop.
        loop_factory: makes the event loop; None for asyncio's own.

    Returns:
        The exit status: 0 after an orderly stop, 1 where the service could not start or broke.
    """
    raise_file_limit()
    # What was imported stays: it need not be looked at again.
    gc.freeze()
    gc.enable()
    watchdog: threading.Timer | None = None
    has_started = False

    def started(_: object) -> None:
        nonlocal has_started
        has_started = True

    def start_watchdog(*_: object) -> None:
        nonlocal watchdog
        if watchdog is None:
            watchdog = threading.Timer(shutdown_seconds, _end_hard)
            watchdog.daemon = True
            watchdog.start()

    async def main() -> None:
        if failpoints.planned():
            _log.warning("failpoints_are_set", variable=failpoints.VARIABLE)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        asked = _asks(stop, hurry)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked)
            # Takes the place of the loop's own empty handler, beside which the loop is woken as before. This
            # one runs even where something blocks the loop, which would never come to its callback.
            signal.signal(number, start_watchdog)
        await serve(stop, started)

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())
    except (SettingsError, OSError) as error:
        if has_started:
            # Nothing that an operator set: where it happened is what helps.
            _log.exception("failed", reason=_reason(error))
        else:
            _log.error("cannot_start", reason=_reason(error))
        return FAILURE
    finally:
        if watchdog is not None:
            watchdog.cancel()
    return 0
