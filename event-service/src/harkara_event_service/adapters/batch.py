"""Who waits for which event: appends, their shares in a lane, and the batch that is written at once.

    Call    one append; answered once, when all of its shares are done or its deadline comes
    Share   those events of a call that go through one lane, in order
    Batch   shares of many calls, one transaction if all goes well

Bookkeeping only: nothing here awaits, and nothing knows of Postgres.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence

from harkara_event_service.domain.event import Event, NumberedEvent
from harkara_event_service.ports import Chain, Failure, Outcome, Refusal, Stored


class Call:
    """One append.

    Args:
        size: how many events it has.
        deadline: by the loop's clock.
        chain: what it is tied to, or None.
        answered: becomes done when `outcomes` are final.
    """

    __slots__ = ("answered", "chain", "deadline", "is_over", "outcomes", "shares")

    def __init__(
        self, size: int, deadline: float, chain: Chain | None, answered: asyncio.Future[None]
    ) -> None:
        self.outcomes: list[Outcome] = [Failure.UNAVAILABLE] * size
        self.deadline = deadline
        self.chain = chain
        self.answered = answered
        self.shares: list[Share] = []
        self.is_over = False

    def add(
        self, positions: Sequence[int], events: Sequence[Event], lookups: Collection[int], size: int
    ) -> Share:
        """Make a share of some events, as `Share` describes it."""
        share = Share(self, positions, events, lookups, size)
        self.shares.append(share)
        return share

    def failure_of(self, now: float) -> Failure | None:
        """Why nothing of it may be stored any more; None while it may."""
        if now >= self.deadline:
            return Failure.DEADLINE
        if self.chain is not None and self.chain.broken:
            return Failure.BROKEN_CHAIN
        return None

    def give_up(self, failure: Failure) -> None:
        """Answer now: what is known as it is, and `failure` for the rest."""
        if self.is_over:
            return
        for share in self.shares:
            if not share.is_done:
                share.copy_outcomes(failure)
        self._answer()

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        self.is_over = True

    def share_is_done(self) -> None:
        """Answer if this was the last one."""
        if not self.is_over and all(share.is_done for share in self.shares):
            self._answer()

    def _answer(self) -> None:
        self.is_over = True
        if self.chain is not None and any(isinstance(outcome, Failure) for outcome in self.outcomes):
            self.chain.broken = True
        if not self.answered.done():
            self.answered.set_result(None)


class Share:
    """A call's events of one lane.

    Args:
        call: whose.
        positions: where the events stand in the call.
        events: the events.
        lookups: which of `events` (by index) may only be found, never stored.
        size: the memory they take, in bytes.
    """

    __slots__ = ("_batch", "_offset", "call", "events", "is_done", "lookups", "positions", "size")

    def __init__(
        self,
        call: Call,
        positions: Sequence[int],
        events: Sequence[Event],
        lookups: Collection[int],
        size: int,
    ) -> None:
        self.call = call
        self.positions = positions
        self.events = events
        self.lookups = lookups
        self.size = size
        self.is_done = False
        self._batch: Batch | None = None
        self._offset = 0

    @property
    def is_being_written(self) -> bool:
        """Whether it is in a batch."""
        return self._batch is not None

    def join(self, batch: Batch, offset: int) -> None:
        """It is being written, from `offset` on in `batch`."""
        self._batch = batch
        self._offset = offset

    def copy_outcomes(self, otherwise: Failure) -> None:
        """Tell the call what is known, and `otherwise` where nothing is."""
        known: Iterable[Outcome | None] = (
            [None] * len(self.events)
            if self._batch is None
            else self._batch.outcomes[self._offset : self._offset + len(self.events)]
        )
        outcomes = self.call.outcomes
        for position, outcome in zip(self.positions, known, strict=True):
            outcomes[position] = otherwise if outcome is None else outcome

    def finish(self, otherwise: Failure) -> None:
        """It is out of the lane's hands; see `copy_outcomes`."""
        if not self.call.is_over:
            self.copy_outcomes(otherwise)
        self.is_done = True
        self.call.share_is_done()


class Batch:
    """Events that are written together.

    Of several events with one id the first is written; its twins share its outcome, or are in conflict
    with it, or are tried in its place where it was not stored.

    Args:
        shares: in the order in which they came.
    """

    __slots__ = ("_calls", "_twins", "events", "lookups", "outcomes", "shares")

    def __init__(self, shares: Sequence[Share]) -> None:
        self.shares = shares
        self.events: list[Event] = []
        self.lookups: set[int] = set()
        self._calls: list[Call] | None = None
        self._twins: dict[int, list[int]] = {}
        for share in shares:
            offset = len(self.events)
            share.join(self, offset)
            self.events.extend(share.events)
            self.lookups.update([offset + index for index in share.lookups])
        self.outcomes: list[Outcome | None] = [None] * len(self.events)

    def firsts(self) -> list[int]:
        """Which events to write: each id once. To be asked once."""
        events = self.events
        indexes = range(len(events))
        if len({event.event_id for event in events}) == len(events):
            return list(indexes)
        first_of: dict[str, int] = {}
        for index in indexes:
            first = first_of.setdefault(events[index].event_id, index)
            if first != index:
                self._twins.setdefault(first, []).append(index)
        return list(first_of.values())

    def stored(self, indexes: Sequence[int], seqs: dict[str, int]) -> list[NumberedEvent]:
        """These were committed just now.

        Args:
            indexes: which.
            seqs: every one's number, by event_id.

        Returns:
            What to announce, in order.
        """
        events, outcomes = self.events, self.outcomes
        announced: list[NumberedEvent] = []
        for index in indexes:
            event = events[index]
            seq = seqs[event.event_id]
            outcomes[index] = outcome = Stored(seq, event.accept_time, duplicate=False)
            announced.append(NumberedEvent(event, seq))
            if index in self._twins:
                self._settle_twins(index, event, outcome)
        return announced

    def found(self, index: int, there: NumberedEvent) -> int | None:
        """An event of this id was in the log before.

        Returns:
            The twin to try in its place, if any.
        """
        event = self.events[index]
        if not event.is_same_content(there.event):
            return self.refuse(index, Refusal.CONFLICT)
        outcome = Stored(there.seq, there.event.accept_time, duplicate=True)
        self.outcomes[index] = outcome
        self._settle_twins(index, there.event, outcome)
        return None

    def refuse(self, index: int, reason: Refusal | Failure) -> int | None:
        """This one is not stored, or nobody knows.

        Returns:
            The twin to try in its place, if any.
        """
        self.outcomes[index] = reason
        if isinstance(reason, Failure):
            chain = self._call_of(index).chain
            if chain is not None:
                chain.broken = True
        twins = self._twins.pop(index, None)
        if not twins:
            return None
        heir = twins.pop(0)
        if twins:
            self._twins[heir] = twins
        return heir

    def expire(self, indexes: Sequence[int], now: float, *, may_be_stored: bool) -> list[int]:
        """Take out what nobody wants stored any more.

        Args:
            indexes: what is to be written.
            now: by the loop's clock.
            may_be_stored: whether an attempt's outcome is unknown; then such events stay, to be looked
                up and announced if they are there, but not stored anew.

        Returns:
            What is to be written still, twins in the place of what was taken out.
        """
        if all(share.call.failure_of(now) is None for share in self.shares):
            return list(indexes)
        wanted: list[int] = []
        for first in indexes:
            index: int | None = first
            while index is not None:
                failure = self._call_of(index).failure_of(now)
                if failure is None:
                    wanted.append(index)
                    break
                if may_be_stored:
                    self.lookups.add(index)
                    wanted.append(index)
                    break
                index = self.refuse(index, failure)
        return wanted

    def not_found(self, index: int, now: float) -> int | None:
        """One that might only be looked up is not in the log.

        Returns:
            The twin to try in its place, if any.
        """
        return self.refuse(index, self._call_of(index).failure_of(now) or Refusal.TOO_OLD)

    def finish(self) -> None:
        """Answer; what has no outcome was not written."""
        for share in self.shares:
            share.finish(Failure.UNAVAILABLE)

    def _settle_twins(self, index: int, there: Event, outcome: Stored) -> None:
        for twin in self._twins.pop(index, ()):
            same = self.events[twin].is_same_content(there)
            self.outcomes[twin] = outcome if same else Refusal.CONFLICT

    def _call_of(self, index: int) -> Call:
        # Made when it is needed first: as long as all goes well it is not.
        if self._calls is None:
            self._calls = [share.call for share in self.shares for _ in share.events]
        return self._calls[index]
