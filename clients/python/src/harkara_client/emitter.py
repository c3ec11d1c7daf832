"""Emits events: one EmitStream at a time, joined by what is ready, retried until answered or too late.

What is emitted in one turn of the loop goes in one request, and what comes while requests are under way
goes in the next: a lone event waits for nothing, a flood makes large batches. `emit_queue` keeps the order.

A stream that ends, or says nothing for too long, is followed by one to the next target after a random pause
(full jitter); it goes on from the first event without an answer, with the same ids, so no retry is ever a
second event (docs/guarantees.md, G2 and G3). Events of one user keep the order in which they were emitted.

What does not belong here: reading events, and what is kept over the end of the process (`outbox`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self

import grpc
from grpc import aio

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2_grpc as pb_grpc
from harkara.event.v1 import event_pb2
from harkara_client.backoff import Backoff
from harkara_client.emit_queue import REFUSALS, EmitQueue, Item, StreamBrokenError
from harkara_client.errors import (
    CredentialRefusedError,
    EmitError,
    EmitterClosedError,
    NotAnsweredError,
)
from harkara_client.event_data import EventData
from harkara_client.event_draft import Draft, Emitted, Level, message_of
from harkara_client.tokens import Token, TokenSource

DEFAULT_SECONDS: Final = 30.0
"""How long one event is tried, where nothing else is said."""

SILENT_SECONDS: Final = 5.0
"""A server that answers nothing for so long while something is under way is taken for dead."""

_LONGEST_PAUSE_SECONDS: Final = 1.0
_FIRST_PAUSE_SECONDS: Final = 0.05
_CHANNEL_OPTIONS: Final = (
    # Off by default in gRPC: without it a peer that vanished is noticed after minutes.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC's own pauses begin with a second, and grow to two minutes; ours are in Backoff.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
)
_log = logging.getLogger("harkara_client")


class Emitter:
    """Emits events, inside of its `async with`. Closing waits until everything is answered.

    Args:
        targets: Where Emit is answered: `host:port`, or several. The next one is tried when one fails.
        token: A service's token, or where to get it; see `Token`. Asked for with each stream.
        timeout: Seconds until an event without an answer is given up, time in line included; None for never.
        max_pending: How many events are on their way at most; past that `emit` waits before it takes one on.
        max_pending_bytes: Likewise in bytes.
        credentials: Of the channels, where Emit is behind TLS: `grpc.ssl_channel_credentials(…)`; None for
            plain text.
        rng: Where chance comes from.
    """

    def __init__(
        self,
        targets: str | Sequence[str],
        *,
        token: Token,
        timeout: float | None = DEFAULT_SECONDS,
        max_pending: int = 10_000,
        max_pending_bytes: int = 16 * 1024 * 1024,
        credentials: grpc.ChannelCredentials | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._targets = [targets] if isinstance(targets, str) else list(targets)
        if not self._targets:
            raise ValueError("targets: at least one is needed")
        self._random = rng or random.Random()  # noqa: S311 - no secret.
        self._which = self._random.randrange(len(self._targets))
        self._token = TokenSource(token)
        self._timeout = timeout
        self._credentials = credentials
        self._queue = EmitQueue(max_pending, max_pending_bytes)
        self._backoff = Backoff(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, self._random)
        self._channels: dict[str, aio.Channel] = {}
        self._worker: asyncio.Task[None] | None = None
        self._is_open = False
        self._more = asyncio.Event()
        self._patience: asyncio.Timeout | None = None
        self._reason = ""
        self._has_renewed = False

    async def __aenter__(self) -> Self:
        self._more = asyncio.Event()  # It belongs to the loop of now.
        self._is_open = True
        self._worker = asyncio.create_task(self._work(), name="harkara-emitter")
        self._worker.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pending(self) -> int:
        """How many events are on their way; those that wait for room are not counted."""
        return self._queue.taken_in

    async def close(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - it is the drain's.
        """Take no more events, and wait for the answers to those on their way.

        Cancelling it gives them up: they end with `NotAnsweredError`.

        Args:
            timeout: Seconds to wait at most; None for as long as the events' own time allows.
        """
        self._is_open = False
        self._more.set()
        worker = self._worker
        if worker is None:
            return
        try:
            await asyncio.wait([worker], timeout=timeout)
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            self._worker = None
            for channel in self._channels.values():
                await channel.close(None)
            self._channels.clear()

    async def emit(
        self,
        user_id: str,
        event_type: str,
        data: Mapping[str, Any] | EventData | str,
        *,
        level: Level | None = None,
        event_id: str | None = None,
        timestamp: datetime | None = None,
        source: str | None = None,
        collapse_key: str | None = None,
        ttl: timedelta | None = None,
        ephemeral: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - of the event, not of this await.
    ) -> Emitted:
        """Emit one event; returns when it is on disk.

        Cancelling it gives the event up: it may be stored nevertheless.

        Args:
            user_id: Whom it is for. This and what follows but for `timeout` are `Draft`'s.
            event_type: A type of the catalogue.
            data: What happened.
            level: How urgent.
            event_id: For an emit again of the same event; None for a new one.
            timestamp: When it happened.
            source: The emitting service.
            collapse_key: What a later event supersedes.
            ttl: How long it is worth delivering.
            ephemeral: To whoever is there, and kept nowhere.
            timeout: Seconds until it is given up; None for the emitter's own.

        Raises:
            RefusedError: The service refused it.
            NotAnsweredError: Nobody answered in time; it may be stored.
            EmitterClosedError: The emitter is not open.
            TypeError: `data` holds what JSON cannot.
            ValueError: Likewise, or `timestamp` has no time zone.
        """
        draft = Draft(
            user_id=user_id,
            event_type=event_type,
            data=data,
            level=level,
            event_id=event_id,
            timestamp=timestamp,
            source=source,
            collapse_key=collapse_key,
            ttl=ttl,
            ephemeral=ephemeral,
        )
        return await self.submit(draft, timeout=timeout)

    async def emit_event(self, user_id: str, data: EventData, **options: Any) -> Emitted:
        """Emit an object of `harkara_client.events`, which knows its own type.

        Args:
            user_id: Whom it is for.
            data: What happened.
            options: As those of `emit`, which also says what is raised.
        """
        return await self.emit(user_id, data.event_type, data, **options)

    async def emit_many(
        self,
        drafts: Iterable[Draft],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - as in emit.
    ) -> list[Emitted | EmitError]:
        """Emit events together, those of one user in this order; returns when each has its outcome.

        Args:
            drafts: The events.
            timeout: As in `emit`.

        Returns:
            What became of each, in their order: one that fails fails alone.

        Raises:
            EmitterClosedError: The emitter is not open.
            TypeError: Some `data` holds what JSON cannot; nothing is emitted.
            ValueError: Likewise, or a `timestamp` has no time zone.
        """
        messages: list[event_pb2.EventDraft | EmitError] = []
        for draft in drafts:
            try:
                messages.append(message_of(draft))
            except EmitError as error:
                messages.append(error)
        lines = [each if isinstance(each, EmitError) else self._put(each, timeout) for each in messages]
        await asyncio.gather(
            *(line for line in lines if isinstance(line, asyncio.Future)), return_exceptions=True
        )
        return [line if isinstance(line, EmitError) else _outcome(line) for line in lines]

    def submit(self, draft: Draft, *, timeout: float | None = None) -> asyncio.Future[Emitted]:
        """Put an event in line; what becomes of it is the future's, as `emit` says it.

        Nothing bounds how many are put in line so: only so many are on their way.

        Args:
            draft: The event.
            timeout: As in `emit`.

        Raises:
            RefusedError: It is too large to send.
            EmitterClosedError: The emitter is not open.
            TypeError: `data` holds what JSON cannot.
            ValueError: Likewise, or `timestamp` has no time zone.
        """
        return self._put(message_of(draft), timeout)

    def _put(
        self,
        message: event_pb2.EventDraft,
        timeout: float | None,
    ) -> asyncio.Future[Emitted]:
        if not self._is_open:
            raise EmitterClosedError
        loop = asyncio.get_running_loop()
        item = Item(message, loop.create_future())
        seconds = self._timeout if timeout is None else timeout
        if seconds is not None:
            expiry = loop.call_later(seconds, self._expire, item, seconds)
            item.future.add_done_callback(lambda _: expiry.cancel())
        self._queue.add(item)
        self._more.set()
        return item.future

    def _expire(self, item: Item, seconds: float) -> None:
        if not item.future.done():
            item.future.set_exception(self._not_answered(item, seconds))
            self._more.set()  # A close may wait for nothing else.

    def _not_answered(self, item: Item, seconds: float) -> NotAnsweredError:
        return NotAnsweredError(
            seconds, self._reason, event_id=item.draft.event_id, may_be_stored=item.sends > 0
        )

    def _ended(self, worker: asyncio.Task[None]) -> None:
        """Nobody may wait for ever, whatever ended the worker."""
        self._is_open = False
        if not worker.cancelled() and (error := worker.exception()) is not None:
            self._reason = repr(error)
            _log.error("the emitter ended", exc_info=error)
        self._queue.fail_all(lambda item: self._not_answered(item, self._timeout or 0))

    async def _work(self) -> None:
        """One stream after another, while there is anything to send."""
        while True:
            while not self._queue.broken():
                if not self._is_open:
                    return
                self._more.clear()
                await self._more.wait()
            target = self._targets[self._which]
            try:
                token = await self._token.get()
            except Exception as error:  # noqa: BLE001 - a caller's function may raise anything.
                self._lost(f"no token: {error!r}")
            else:
                if await self._one_stream(target, token):
                    continue
                self._which = (self._which + 1) % len(self._targets)
            await asyncio.sleep(self._backoff.next_wait())

    def _lost(self, reason: str) -> None:
        if reason != self._reason:
            _log.warning("emitting was interrupted: %s", reason)
        self._reason = reason

    async def _one_stream(self, target: str, token: str) -> bool:
        """Use one stream to its end.

        Returns:
            Whether to go on at once: it ended as we wanted, or its refusal was dealt with.
        """
        # The stubs know nothing of a stream that is read and written by hand.
        stub: Any = pb_grpc.EmitServiceStub(self._channel(target))
        call = stub.EmitStream(metadata=(("authorization", f"Bearer {token}"),))
        writer = asyncio.create_task(self._write(call))
        try:
            async with asyncio.timeout(None) as self._patience:
                await self._read(call)
        except TimeoutError:
            self._lost(f"{target} said nothing for {SILENT_SECONDS:g} s")
        except StreamBrokenError as error:
            self._lost(f"{target}: {error}")
        except aio.AioRpcError as error:
            details = f"{error.code().name}: {error.details()}"
            if error.code().value[0] in REFUSALS:
                return self._refused(error)
            self._lost(f"{target} answered {details}")
        else:
            return not self._is_open  # As we asked it to; a server does not end a stream so by itself.
        finally:
            self._patience = None
            writer.cancel()
            call.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return False

    async def _read(self, call: Any) -> None:
        while True:
            response = await call.read()
            if not isinstance(response, pb.EmitStreamResponse):
                if await call.code() is not grpc.StatusCode.OK:
                    raise StreamBrokenError(await call.details())
                return
            self._queue.answered(response.results)
            self._backoff.reset()
            self._reason = ""
            self._has_renewed = False
            self._wait_for_answer(anew=True)
            self._more.set()

    async def _write(self, call: Any) -> None:
        # What goes wrong with a call is told to whoever reads.
        with contextlib.suppress(aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                while not (batch := self._queue.next_batch()):
                    if not self._is_open and not len(self._queue):
                        await call.done_writing()
                        return
                    self._more.clear()
                    await self._more.wait()
                self._wait_for_answer(anew=False)
                await call.write(pb.EmitStreamRequest(events=batch))

    def _wait_for_answer(self, *, anew: bool) -> None:
        """Allow the server its time while it owes an answer."""
        if self._patience is None or self._patience.expired():
            return
        if not self._queue.has_under_way:
            self._patience.reschedule(None)
        elif anew or self._patience.when() is None:
            self._patience.reschedule(asyncio.get_running_loop().time() + SILENT_SECONDS)

    def _refused(self, error: aio.AioRpcError) -> bool:
        """The whole stream was refused: another token may help, else nobody is to wait any longer.

        Returns:
            Whether to go on at once.
        """
        code, details = error.code().name, error.details() or ""
        self._queue.refused()
        if code == "UNAUTHENTICATED" and self._token.can_renew and not self._has_renewed:
            # It ran out since it was asked for, perhaps. Once: the next one has to fare better.
            self._has_renewed = True
            return True
        self._has_renewed = False
        self._lost(f"{code}: {details}")
        self._queue.fail_all(
            lambda item: CredentialRefusedError(
                code, details, event_id=item.draft.event_id, may_be_stored=item.sends > 0
            )
        )
        return False

    def _channel(self, target: str) -> aio.Channel:
        if target not in self._channels:
            self._channels[target] = (
                aio.insecure_channel(target, options=_CHANNEL_OPTIONS)
                if self._credentials is None
                else aio.secure_channel(target, self._credentials, options=_CHANNEL_OPTIONS)
            )
        return self._channels[target]


def _outcome(future: asyncio.Future[Emitted]) -> Emitted | EmitError:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, EmitError):
        return error
    raise error
