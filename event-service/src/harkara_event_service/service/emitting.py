"""Takes events into the log: judges them, stores the sound ones, and answers for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from harkara_catalogue.event_types import Catalogue
from harkara_event_service.domain.acceptance import Draft, Emitter, Fault, accept
from harkara_event_service.domain.event import Event
from harkara_event_service.ports import Chain, EventLog, Failure, Outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one event.

    Args:
        event_id: the event's id; empty where it was not accepted and named none.
        outcome: as the log says, or the fault for which it never came there.
    """

    event_id: str
    outcome: Outcome | Fault


class Emitting:
    """Takes events into the log.

    Args:
        log: where they go.
        catalogue: the types there are.
        clock: the time now, UTC.
        mint_id: a fresh event_id.
        is_swamped: whether those who read the log cannot keep up: events are then refused as OVERLOADED.
    """

    def __init__(
        self,
        log: EventLog,
        catalogue: Catalogue,
        clock: Callable[[], datetime],
        mint_id: Callable[[], str],
        is_swamped: Callable[[], bool],
    ) -> None:
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
        """Store the sound ones among `judged`.

        Nothing is awaited before the log has them: calls made one after another keep their order.
        Cancelled: see `EventLog.append`.

        Args:
            judged: what `judge` made.
            deadline: by the loop's clock.
            chain: see `Chain`.

        Returns:
            One answer for each, in order.
        """
        sound = [event for event in judged if isinstance(event, Event)]
        if self._is_swamped():
            if chain is not None:
                chain.broken = True
            return [
                Answer(each.event_id, Failure.OVERLOADED if isinstance(each, Event) else each)
                for each in judged
            ]
        outcomes = iter(await self._log.append(sound, deadline=deadline, chain=chain) if sound else ())
        return [Answer(each.event_id, next(outcomes) if isinstance(each, Event) else each) for each in judged]
