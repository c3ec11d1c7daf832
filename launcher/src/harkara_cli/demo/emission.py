"""Brings what happens in the city to the mesh: each event from its own service, in batches.

A mesh that restarts is waited for. Events keep their ids, so that what was stored all the same is stored
once; where the mesh comes back at other addresses it is looked up anew.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime
from threading import Event

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from ulid import ULID

from harkara.event.v1 import event_pb2
from harkara_cli.calls import UncertainError, connected_to_all
from harkara_cli.demo.services import SERVICES
from harkara_cli.demo.telling import Happening
from harkara_cli.emit import BATCH, Emitter
from harkara_cli.errors import CliError

# Soon over, so that a mesh that is away is told, and Ctrl-C is not waited for.
_CALL_SECONDS = 2.0
_PAUSE_SECONDS = 0.5
_RENEW_SECONDS = 43_200


def draft_of(happening: Happening, when: datetime) -> event_pb2.EventDraft:
    """A happening as an event, with an id of its own."""
    draft = event_pb2.EventDraft(
        user_id=happening.user_id,
        event_type=happening.event_type,
        event_id=f"evt_{ULID()}",
        data=json.dumps(happening.data, ensure_ascii=False, separators=(",", ":")),
        source=happening.source,
        collapse_key=happening.collapse_key or "",
        timestamp=Timestamp(seconds=int(when.timestamp()), nanos=when.microsecond * 1_000),
    )
    if happening.ttl is not None:
        draft.ttl.CopyFrom(Duration(seconds=int(happening.ttl)))
    return draft


def waves(drafts: Iterable[event_pb2.EventDraft]) -> list[dict[str, list[event_pb2.EventDraft]]]:
    """Events by service, in waves that are emitted one after the other.

    Services emit on their own, and what two of them say of one user must come in order all the same: so an
    event is in a later wave than an earlier one of the same user by another service.
    """
    made: list[dict[str, list[event_pb2.EventDraft]]] = []
    last: dict[str, tuple[int, str]] = {}
    for draft in drafts:
        wave, source = last.get(draft.user_id, (0, draft.source))
        if source != draft.source:
            wave += 1
        last[draft.user_id] = (wave, draft.source)
        if wave == len(made):
            made.append({})
        made[wave].setdefault(draft.source, []).append(draft)
    return made


class Emission:
    """Emits as each of the city's services.

    Args:
        find_targets: Where event-services are; asked again after each failure. Raises `CliError` where there
            is none.
        mint: A credential of a service that may emit the types of these globs.
        on_news: Told when the mesh is away and when it is back.
        stopping: Set when no more is to be tried.
    """

    def __init__(
        self,
        *,
        find_targets: Callable[[], Sequence[str]],
        mint: Callable[[str, Sequence[str]], str],
        on_news: Callable[[str], None],
        stopping: Event,
    ) -> None:
        self._find_targets = find_targets
        self._mint = mint
        self._on_news = on_news
        self._stopping = stopping
        self._open = ExitStack()
        self._emitters: dict[str, Emitter] = {}
        self._fresh_until = 0.0
        self._is_away = False
        self.stored = 0
        """How many events are on disk."""

    def bring(self, drafts: Sequence[event_pb2.EventDraft]) -> None:
        """Emits events, and waits for a mesh that is away until it is asked to stop.

        Raises:
            CliError: The mesh refuses an event or a service, which no waiting mends.
        """
        for wave in waves(drafts):
            for source, events in wave.items():
                for start in range(0, len(events), BATCH):
                    left: Sequence[event_pb2.EventDraft] = events[start : start + BATCH]
                    while left and not self._stopping.is_set():
                        left = self._try(source, left)

    def close(self) -> None:
        """Closes the channels."""
        self._emitters.clear()
        self._open.close()

    def _try(self, source: str, events: Sequence[event_pb2.EventDraft]) -> Sequence[event_pb2.EventDraft]:
        """Emits once; what may be tried again."""
        try:
            outcomes = list(self._emitter(source).many(events))
        except UncertainError as away:
            self._wait(str(away))
            return events
        left = []
        for event, outcome in zip(events, outcomes, strict=True):
            if outcome.error is None:
                self.stored += 1
            elif outcome.may_retry:
                left.append(event)
            else:
                message = f"{source} may not emit {event.event_type}: {outcome.error}"
                raise CliError(message)
        if left:
            self._wait("event-service cannot store now")
        elif self._is_away:
            self._is_away = False
            self._on_news("the mesh is back: the city goes on")
        return left

    def _wait(self, why: str) -> None:
        if not self._is_away:
            self._is_away = True
            self._on_news(f"the mesh does not answer, so the city waits ({why})")
        self.close()
        self._stopping.wait(_PAUSE_SECONDS)

    def _emitter(self, source: str) -> Emitter:
        """One that emits as this service.

        Raises:
            UncertainError: No mesh is there now.
        """
        if time.monotonic() >= self._fresh_until:
            self.close()
            self._fresh_until = time.monotonic() + _RENEW_SECONDS
        if source not in self._emitters:
            try:
                targets = self._find_targets()
                credential = self._mint(source, SERVICES[source])
            except CliError as error:
                raise UncertainError(str(error)) from error
            replicas = connected_to_all(targets, "event-service", credential, seconds=_CALL_SECONDS)
            self._emitters[source] = Emitter(self._open.enter_context(replicas))
        return self._emitters[source]
