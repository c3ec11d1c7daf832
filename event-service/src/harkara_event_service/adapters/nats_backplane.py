"""The backplane over NATS: what `ports.Backplane` promises, by plain publish and subscribe.

One life is one connection, from its opening to its end; after it comes the next, for ever. nats-py could
connect again by itself, but it would keep what is published meanwhile, gives up for good where the server
refuses it once, and waits for ever to close a connection to a server that froze.

What does not belong here: what a message says (`domain/hints`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError, SlowConsumerError

from harkara_event_service.adapters.outgoing import Outgoing, OutgoingLimits
from harkara_event_service.metrics import BackplaneMetrics
from harkara_event_service.ports import Heard, Topic

_log = structlog.get_logger()

BACKOFF_SECONDS = (0.05, 2.0)
"""The first pause before connecting again, and the longest; full jitter."""

CONNECT_SECONDS = 2
PING_SECONDS = 2
"""How often the server is asked for a sign of life; without two of them the connection is over."""

_UNANSWERED_PINGS = 2
_CLOSE_SECONDS = 1.0
_LOOK_SECONDS = 0.5
# What waits for our loop, and past which nats-py drops what comes and tells `error_cb`.
_INCOMING_MESSAGES = 10_000
_INCOMING_BYTES = 64 << 20
# What nats-py takes from us before it makes us wait.
_UNSENT_BYTES = 1 << 20


class NatsBackplane:
    """A `Backplane` over NATS: `start` it, use it, `close` it.

    Args:
        servers: `nats://host:port` of each server of one cluster.
        metrics: where it counts.
        limits: how much may wait to go out.
    """

    def __init__(
        self, servers: Sequence[str], metrics: BackplaneMetrics, limits: OutgoingLimits | None = None
    ) -> None:
        self._servers = list(servers)
        self._metrics = metrics
        self._outgoing = Outgoing(limits or OutgoingLimits())
        self._log: str | None = None
        self._heard: Heard | None = None
        self._changed = asyncio.Event()
        self._is_closed = False
        self._client: Client | None = None
        self._pause = BACKOFF_SECONDS[0]
        self._was_told = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect, once there is a log to join."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Hand on what waits while there is time, and let go of the connection."""
        self._is_closed = True
        self._outgoing.filled.set()
        if self._task is not None and self.is_up:
            await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)
        # Twice and more: nats-py swallows a cancel where it waits for a flush.
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=0.1)

    @property
    def is_up(self) -> bool:
        """See `Backplane.is_up`."""
        return self._client is not None and self._client.is_connected

    def join(self, log: str, heard: Heard) -> None:
        """See `Backplane.join`."""
        self._log = log
        self._heard = heard
        self._changed.set()
        self._outgoing.filled.set()

    def send(self, topic: Topic, message: bytes) -> bool:
        """See `Backplane.send`."""
        if not self.is_up or self._changed.is_set() or not self._outgoing.put(topic, message):
            self._metrics.hints_dropped.inc()
            return False
        return True

    async def _run(self) -> None:
        await self._changed.wait()
        while not self._is_closed:
            try:
                await self._live()
            except (OSError, NatsError, TimeoutError) as error:
                if not self._was_told:
                    _log.warning("backplane_away", error=str(error) or type(error).__name__)
                    self._was_told = True
            except Exception:  # noqa: BLE001 - whatever it is, the next life may do better.
                _log.exception("backplane_failed")
            if not self._changed.is_set() and not self._is_closed:
                await asyncio.sleep(random.uniform(0, self._pause))  # noqa: S311 - jitter, not a secret.
                self._pause = min(2 * self._pause, BACKOFF_SECONDS[1])

    async def _live(self) -> None:
        """One connection, to its end."""
        self._changed.clear()
        client = Client()
        try:
            await client.connect(
                self._servers,
                name="harkara-event-service",
                # One round over the servers, and then our own pause.
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=CONNECT_SECONDS,
                ping_interval=PING_SECONDS,
                max_outstanding_pings=_UNANSWERED_PINGS,
                pending_size=_UNSENT_BYTES,
                flush_timeout=CONNECT_SECONDS,
                no_echo=True,
                error_cb=self._note_error,
                closed_cb=self._wake,
            )
            for topic in Topic:
                await self._subscribe(client, topic)
            # So that what is sent from now on is heard. nats-py writes a flush's PING past what it queued:
            # the first answer says that the subscriptions are written, and the second one that they hold.
            await client.flush(CONNECT_SECONDS)
            await client.flush(CONNECT_SECONDS)
            self._is_here(client)
            await self._pump(client)
        finally:
            self._is_gone()
            await self._end(client)

    def _is_here(self, client: Client) -> None:
        self._client = client
        self._pause, self._was_told = BACKOFF_SECONDS[0], False
        self._metrics.up.set(1)
        _log.info("backplane_connected")

    def _is_gone(self) -> None:
        if self._client is None:
            return
        self._client = None
        self._metrics.up.set(0)
        self._metrics.hints_dropped.inc(self._outgoing.clear())
        _log.info("backplane_disconnected")

    async def _subscribe(self, client: Client, topic: Topic) -> None:
        heard = self._heard

        async def take(message: Msg) -> None:
            if heard is not None and not self._changed.is_set():
                heard(topic, message.data)
            # Messages that wait already would follow without a turn of the loop for anybody else.
            await asyncio.sleep(0)

        await client.subscribe(
            self._subject(topic),
            cb=take,
            pending_msgs_limit=_INCOMING_MESSAGES,
            pending_bytes_limit=_INCOMING_BYTES,
        )

    def _subject(self, topic: Topic) -> str:
        # Hexadecimal, for the name of a log may hold what means something in a subject.
        return f"harkara.{(self._log or '').encode().hex()}.{topic.value}"

    async def _pump(self, client: Client) -> None:
        """Hand on what waits to go out, until the connection ends or another log is joined."""
        subjects = {topic: self._subject(topic) for topic in Topic}
        while client.is_connected and not self._changed.is_set():
            waiting = self._outgoing.take()
            if waiting is None:
                if self._is_closed:
                    return
                # Look now and then: where closing waits for a frozen server, nobody tells us.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._outgoing.filled.wait()
                continue
            topic, message = waiting
            try:
                await client.publish(subjects[topic], message)
            except MaxPayloadError:
                self._metrics.hints_dropped.inc()
            else:
                self._metrics.hints_sent.inc()

    async def _note_error(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self._metrics.hints_not_taken.inc()
        else:
            _log.debug("backplane_error", error=type(error).__name__)

    async def _wake(self) -> None:
        self._outgoing.filled.set()

    @staticmethod
    async def _end(client: Client) -> None:
        transport = client._transport  # noqa: SLF001 - the only way to what must not be waited for.
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await client.close()
        except (OSError, NatsError, TimeoutError) as error:
            _log.debug("backplane_not_closed", error=type(error).__name__)
        writer = getattr(transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()
