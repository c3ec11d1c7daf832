"""`Emitter` for code that is not async: an event loop in a thread of its own.

Threads may share one: what they emit at the same time goes together. A process that forks makes its emitter
after the fork.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from harkara_client.emitter import Emitter
from harkara_client.errors import EmitError, EmitterClosedError
from harkara_client.event_data import EventData
from harkara_client.event_draft import Draft, Emitted
from harkara_client.tokens import Token

_T = TypeVar("_T")


class SyncEmitter:
    """Emits events, inside of its `with`. Closing waits until everything is answered.

    Args:
        targets: As `Emitter`'s.
        token: As `Emitter`'s; a function is called in the emitter's thread.
        options: The others of `Emitter`.
    """

    def __init__(self, targets: str | Sequence[str], *, token: Token, **options: Any) -> None:
        self._emitter = Emitter(targets, token=token, **options)
        self._started = concurrent.futures.Future[asyncio.AbstractEventLoop]()
        self._stop = asyncio.Event()
        self._drain_seconds: float | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._started = concurrent.futures.Future()
        self._stop = asyncio.Event()
        self._drain_seconds = None
        self._thread = threading.Thread(target=self._run, name="harkara-emitter", daemon=True)
        self._thread.start()
        self._started.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, timeout: float | None = None) -> None:
        """Take no more events, and wait for the answers to those on their way.

        Args:
            timeout: Seconds to wait at most; None for as long as the events' own time allows. What has no
                answer then ends with `NotAnsweredError`.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            self._drain_seconds = timeout
            self._started.result().call_soon_threadsafe(self._stop.set)
            thread.join()

    def emit(
        self, user_id: str, event_type: str, data: Mapping[str, Any] | EventData | str, **options: Any
    ) -> Emitted:
        """Emit one event; returns when it is on disk. Arguments and errors are those of `Emitter.emit`."""
        return self._wait_for(self._emitter.emit(user_id, event_type, data, **options))

    def emit_event(self, user_id: str, data: EventData, **options: Any) -> Emitted:
        """Emit an object of `harkara_client.events`; see `Emitter.emit_event`."""
        return self._wait_for(self._emitter.emit_event(user_id, data, **options))

    def emit_many(
        self, drafts: Iterable[Draft], *, timeout: float | None = None
    ) -> list[Emitted | EmitError]:
        """Emit events together; see `Emitter.emit_many`."""
        return self._wait_for(self._emitter.emit_many(list(drafts), timeout=timeout))

    def _wait_for(self, answer: Coroutine[Any, Any, _T]) -> _T:
        if self._thread is None:
            answer.close()
            raise EmitterClosedError
        future = asyncio.run_coroutine_threadsafe(answer, self._started.result())
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Interrupted: nobody waits for it any more.
            raise

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_ignore_spurious_wakeups)
        async with self._emitter:
            self._started.set_result(loop)
            await self._stop.wait()
            await self._emitter.close(self._drain_seconds)


def _ignore_spurious_wakeups(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Leave out what gRPC says where several loops use it: each is woken, and one finds what it is about.

    See https://github.com/grpc/grpc/issues/25364.
    """
    if isinstance(context.get("exception"), BlockingIOError) and "PollerCompletionQueue" in repr(
        context.get("handle")
    ):
        return
    loop.default_exception_handler(context)
