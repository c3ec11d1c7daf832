"""Takes events: judges them, stores those that are to be kept, hands the others on, and answers for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from harkara_catalogue.event_types import Catalogue
from harkara_event_service.domain.acceptance import Draft, Emitter, Fault, accept
from harkara_event_service.domain.event import Announced, Event, NumberedEvent, announced
from harkara_event_service.ports import Chain, EventLog, Failure, Outcome


@dataclass(frozen=True, slots=True)
class HandedOn:
    """The event is kept nowhere; whoever is there has got it.

    Args:
        accept_time: when it was accepted.
    """

    accept_time: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one event.

    Args:
        event_id: the event's id; empty where it was not accepted and named none.
        outcome: as the log says, or why it never was to come there.
    """

    event_id: str
    outcome: Outcome | Fault | HandedOn


class Emitting:
    """Takes events in.

    Args:
        log: where they go.
        catalogue: the types there are.
        clock: the time now, UTC.
        mint_id: a fresh event_id.
        is_swamped: whether those who read the log cannot keep up: events are then refused as OVERLOADED.
        hand_on: takes the events that are kept nowhere, to bring them to whoever is there.
    """

    def __init__(  # noqa: PLR0913 - what it needs of the world, each thing once.
        self,
        log: EventLog,
        catalogue: Catalogue,
        clock: Callable[[], datetime],
        mint_id: Callable[[], str],
        *,
        is_swamped: Callable[[], bool],
        hand_on: Callable[[Sequence[Announced]], None],
    ) -> None:
        self._hand_on = hand_on
        self._is_swamped = is_swamped
        self._log = log
        self._catalogue = catalogue
        self._clock = clock
        self._mint_id = mint_id

    def judge(self, emitter: Emitter, drafts: Iterable[Draft]) -> list[Event | Fault]:
        """Make the events that `drafts` describe; a fault stands in the place of a bad one."""
        now = self._clock()
        return [
            accept(
                self._catalogue,
                emitter,
                draft,
                now=now,
                fresh_id="" if draft.event_id else self._mint_id(),
            )
            for draft in drafts
        ]

    async def store(
        self, judged: Sequence[Event | Fault], *, deadline: float, chain: Chain | None = None
    ) -> list[Answer]:
        """Store the sound ones among `judged`, or hand on those that are kept nowhere.

        Nothing is awaited before the log has them: calls made one after another keep their order.
        What is handed on is not held up by what is stored before it.
        Cancelled: see `EventLog.append`.

        Args:
            judged: what `judge` made.
            deadline: by the loop's clock.
            chain: see `Chain`.

        Returns:
            One answer for each, in order.
        """
        if self._is_swamped():
            if chain is not None:
                chain.broken = True
            return [
                Answer(each.event_id, Failure.OVERLOADED if isinstance(each, Event) else each)
                for each in judged
            ]
        kept = [event for event in judged if isinstance(event, Event) and not event.is_ephemeral]
        passing = [event for event in judged if isinstance(event, Event) and event.is_ephemeral]
        # Whoever sends again what follows a failure must not have it handed on twice.
        is_broken = chain is not None and chain.broken
        if passing and not is_broken:
            self._hand_on([announced(NumberedEvent(event, 0)) for event in passing])
        outcomes = iter(await self._log.append(kept, deadline=deadline, chain=chain) if kept else ())

        def outcome_of(each: Event | Fault) -> Outcome | Fault | HandedOn:
            if isinstance(each, Fault):
                return each
            if each.is_ephemeral:
                return Failure.BROKEN_CHAIN if is_broken else HandedOn(each.accept_time)
            return next(outcomes)

        return [Answer(each.event_id, outcome_of(each)) for each in judged]
