"""Keeps this replica's heads up with what the others commit, and tells the others what it commits.

Three ways, each for what the one before it missed:

    a hint in order      moves heads, and costs no read
    a hint beyond them   says that there is more to read, for the users it names
    a reading            once a second, of the commits that no hint told of: a lost last hint, a
                         backplane that is away, a commit of our own whose answer was lost

Whoever slept for so long that the rows of such commits have gone compares all heads with the log.

Not here: how hints travel, what is done about a user that was heard of (`Delivering`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import structlog

from harkara_event_service.domain import hints
from harkara_event_service.domain.batches import BatchId, HeardBatches
from harkara_event_service.domain.event import Announced, NumberedEvent, announced
from harkara_event_service.metrics import BackplaneMetrics
from harkara_event_service.ports import Backplane, LogUnavailableError, ReplicatedLog, Topic
from harkara_event_service.service.delivering import Delivering

_log = structlog.get_logger()

READ_SECONDS = 1.0
SETTLED_SECONDS = 0.2
"""How long after its beginning a commit's hint may be on its way; until then the commit is not read."""

BACKOFF_SECONDS = (0.1, 2.0)
"""The first pause after a reading that failed, and the longest; full jitter."""

USERS_AT_ONCE = 5_000


class Hearing:
    """See the module.

    Args:
        log: the log that all replicas share; it tells `committed` of its own commits.
        backplane: joins this replica to the others.
        delivering: whose heads are kept up.
        metrics: where it counts.
    """

    def __init__(
        self, log: ReplicatedLog, backplane: Backplane, delivering: Delivering, metrics: BackplaneMetrics
    ) -> None:
        self._log = log
        self._backplane = backplane
        self._delivering = delivering
        self._metrics = metrics
        self._epoch: str | None = None
        self._heard: HeardBatches | None = None
        self._must_compare = False

    def committed(self, batch: BatchId, events: Sequence[NumberedEvent]) -> None:
        """Fan out what this replica committed, and tell the others; see `Batched`."""
        told = [announced(event) for event in events]
        self._delivering.announce(told)
        if self._heard is not None:
            self._heard.hear(batch)
        if self._backplane.is_up:
            self._backplane.send(Topic.BATCHES, hints.encode(batch, told))
        else:
            self._metrics.hints_dropped.inc()

    def hand_on(self, events: Sequence[Announced]) -> None:
        """Hand ephemeral events to the live sessions, of the other replicas too."""
        self._delivering.announce_ephemeral(events)
        if self._backplane.is_up:
            for message in hints.encode_ephemeral(events):
                self._backplane.send(Topic.EPHEMERAL, message)
        else:
            self._metrics.hints_dropped.inc()

    def hear(self, topic: Topic, message: bytes) -> None:
        """Fan out what another replica tells; see `Heard`."""
        try:
            if topic is Topic.BATCHES:
                self._hear_of(hints.decode(message))
            else:
                self._delivering.announce_ephemeral(hints.decode_ephemeral(message))
        except hints.HintError:
            self._metrics.hints_undecodable.inc()

    def _hear_of(self, hint: hints.Hint) -> None:
        self._metrics.hints_heard.inc()
        self._delivering.announce(hint.events)
        self._delivering.hear(hint.last_seqs.items())
        if self._heard is not None:
            self._metrics.hint_gaps.inc(self._heard.hear(hint.batch))

    async def run(self) -> None:
        """Read what was not heard of once a second, until cancelled."""
        pause = BACKOFF_SECONDS[0]
        while True:
            try:
                await self.look()
            except LogUnavailableError:
                self._metrics.batch_read_failures.inc()
            except Exception:  # noqa: BLE001 - whatever it is, what follows must be found.
                self._metrics.batch_read_failures.inc()
                _log.exception("batches_not_read")
            else:
                pause = BACKOFF_SECONDS[0]
                # Not all replicas at the same moment.
                await asyncio.sleep(READ_SECONDS * random.uniform(0.9, 1.0))  # noqa: S311 - jitter.
                continue
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret.
            pause = min(2 * pause, BACKOFF_SECONDS[1])

    async def look(self) -> None:
        """Read what was not heard of.

        Raises:
            LogUnavailableError: the log cannot be read now; the next look goes on from here.
        """
        is_all = False
        while not is_all:
            if self._heard is None:
                epoch, highest = await self._log.highest_batches()
                # Before heads of this life are held against those of a former one.
                if not await self._delivering.notice_epoch():
                    raise LogUnavailableError("the epoch cannot be read")
                self._begin(epoch, highest)
            elif not self._must_compare:
                is_all = await self._read(self._heard)
            if self._must_compare:
                await self._compare_heads()

    def _begin(self, epoch: str, highest: Sequence[int]) -> None:
        """Count what was committed in this life of the log until now as heard of."""
        _log.info("backplane_joined")
        self._epoch = epoch
        self._heard = HeardBatches(highest)
        # Sessions may have been opened before.
        self._must_compare = True
        self._backplane.join(epoch, self.hear)

    async def _read(self, heard: HeardBatches) -> bool:
        """Read a page of what was not heard of; returns whether that was all."""
        # With no hint on its way there is none to wait for.
        settled_seconds = SETTLED_SECONDS if self._backplane.is_up else 0.0
        page = await self._log.batches(heard.after(), settled_seconds=settled_seconds)
        if page.epoch != self._epoch:
            # Numbers of batches began anew where the log did.
            self._heard = None
            return False
        news, is_incomplete = heard.take(page.batches)
        self._metrics.batches_read.inc(len(news))
        for batch in news:
            self._delivering.hear(zip(batch.users, batch.last_seqs, strict=True))
            await asyncio.sleep(0)
        self._must_compare = self._must_compare or is_incomplete
        return page.is_all

    async def _compare_heads(self) -> None:
        """Ask for the head of everybody who is here."""
        users = self._delivering.users()
        for start in range(0, len(users), USERS_AT_ONCE):
            heads = await self._log.heads(users[start : start + USERS_AT_ONCE])
            if heads.epoch != self._epoch:
                self._heard = None
                return
            self._delivering.hear((user_id, head.last_seq) for user_id, head in heads.by_user.items())
        self._must_compare = False
        self._metrics.heads_compared.inc(len(users))
