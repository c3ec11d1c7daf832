"""What the event-service needs of the world, and what each guarantees."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from harkara_event_service.domain.acceptance import Emitter
from harkara_event_service.domain.acknowledgements import Acknowledged
from harkara_event_service.domain.batches import BatchId, CommitBatch
from harkara_event_service.domain.cursor import Device, ResumePoint
from harkara_event_service.domain.event import Event, NumberedEvent


@dataclass(frozen=True, slots=True)
class Stored:
    """The event is on disk.

    Args:
        seq: its number in its user's stream.
        accept_time: when it was first accepted.
        duplicate: whether it was there before this call.
    """

    seq: int
    accept_time: datetime
    duplicate: bool


class Refusal(Enum):
    """Why an event was certainly not stored by this call."""

    CONFLICT = "another event has this event_id"
    TOO_OLD = "event_id is more than 7 days old"
    UNSTORABLE = "the database refused the event's content"


class Failure(Enum):
    """Why it is unknown or untrue that an event is stored; the caller may send it again, same id."""

    UNAVAILABLE = "the log cannot be written now"
    OVERLOADED = "too many events wait to be written"
    DEADLINE = "the deadline passed before the outcome was known"
    BROKEN_CHAIN = "an earlier event of the same stream failed"


Outcome = Stored | Refusal | Failure


class Chain:
    """Ties appends that must not overtake each other's failures (one EmitStream).

    After one append of a chain ended in a Failure, every later append of it that is not yet being
    written fails with BROKEN_CHAIN, and nothing of it is stored.
    """

    __slots__ = ("broken",)

    def __init__(self) -> None:
        self.broken = False


@dataclass(frozen=True, slots=True)
class Head:
    """Where a user's stream stands.

    Args:
        last_seq: the last number given; 0 where there is no event.
        floor_seq: the highest number that retention took away; 0 where none was.
    """

    last_seq: int
    floor_seq: int


@dataclass(frozen=True, slots=True)
class Heads:
    """Heads of several users, and the life of the log that they belong to.

    Args:
        epoch: names this life of the log (docs/protocol.md, resume).
        by_user: a head for each user asked for; one without events has `Head(0, 0)`.
    """

    epoch: str
    by_user: Mapping[str, Head]


class LogUnavailableError(Exception):
    """The log cannot be read now; the same call may succeed later."""


PAGE_BYTES = 256 * 1024
"""What a page of one user's stream holds, about: twice what a session that catches up may have under way."""

Committed = Callable[[Sequence[NumberedEvent]], None]
"""Is told of commits; see `EventLog.append`. Must not raise."""


class EventLog(Protocol):
    """Every stored event, in one gap-free stream for each user.

    Implementations are built with a `Committed` callback. `tests/contract/event_log` holds them to
    what is said here.
    """

    async def append(
        self, events: Sequence[Event], *, deadline: float, chain: Chain | None = None
    ) -> Sequence[Outcome]:
        """Store events; one bad event fails alone.

        `Stored` means committed to disk. Events of one user are numbered in the order of `events`, and
        in the order of the calls. Numbers are 1, 2, 3 … for each user, without a gap, over all processes
        that write to the log. An `event_id` that is stored already answers the first time's seq and
        accept_time where the content is the same (`Event.is_same_content`), and CONFLICT where not;
        equal ids within one call or in calls at once share one outcome.

        The callback gets every event whose commit this call learns of, duplicates of stored events
        included (an earlier, unknown outcome may have left them unannounced), in rising seq for each
        user among new commits, before this returns. Never one that is not committed.

        Cancelled: what was not yet being written is not written; what was is finished and announced.

        Args:
            events: 1 to 1,000, sound.
            deadline: by the loop's clock (`loop.time()`), when the answer must be there.
            chain: see `Chain`.

        Returns:
            One outcome for each event, in order.
        """
        ...

    async def heads(self, user_ids: Sequence[str]) -> Heads:
        """Where the streams of these users stand now, read from the primary.

        Raises:
            LogUnavailableError: the log cannot be read now.
        """
        ...

    async def read(
        self, positions: Mapping[str, int], limit: int, max_bytes: int = PAGE_BYTES
    ) -> Mapping[str, Sequence[NumberedEvent]]:
        """The next events of several users' streams.

        Args:
            positions: for each user the seq after which to read; at most 50 users.
            limit: the most events for each user, ≥ 1.
            max_bytes: a user's page ends with the event whose `data` brings it to so many bytes.

        Returns:
            For each user asked for the events with seq = position + 1, + 2, …, without a gap where
            position ≥ the user's floor; at least one where there is one.

        Raises:
            LogUnavailableError: the log cannot be read now.
        """
        ...


class CallerKind(Enum):
    """What a credential speaks for."""

    USER = "user"
    SERVICE = "service"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a credential speaks for.

    Args:
        kind: a person, an emitting service, or a part of Harkara.
        name: the user's id, the service's name, or the part's.
        emitter: of a service, what it may emit; else None.
        credential: names the credential, and does not give it away.
    """

    kind: CallerKind
    name: str
    emitter: Emitter | None = None
    credential: bytes = b""


class CredentialRefusedError(Exception):
    """The credential speaks for nobody: bad, expired, revoked, or its user may not come in."""


class CredentialsUnavailableError(Exception):
    """A credential never seen before cannot be verified now."""


class Credentials(Protocol):
    """Says whom a credential speaks for."""

    async def caller_of(self, token: str) -> Caller:
        """Look up a credential; one seen before is answered without asking anybody.

        Raises:
            CredentialRefusedError: it is no good.
            CredentialsUnavailableError: nobody can say now.
        """
        ...

    def caller_now(self, caller: Caller) -> Caller:
        """What `caller` has become; asks nobody. For streams, which outlive what was known at their start.

        Raises:
            CredentialRefusedError: its credential has expired.
            CredentialsUnavailableError: its credential was revoked or forgotten; `caller_of` can say.
        """
        ...


class Outbox(Protocol):
    """What goes to one edge worker, in order. Nothing here awaits or raises."""

    def deliver(self, sessions: bytes, seq: int, text: bytes) -> bool:
        """Queue a live event for sessions (4 bytes each, little-endian).

        Returns:
            False, and nothing is queued, where the queue is full.
        """
        ...

    def catch_up(self, sessions: bytes, seq: int, text: bytes) -> bool:
        """Queue an event read from the log, whether or not the queue is full: its cursor has moved.

        Returns:
            False where the queue is full now, and no more should be read for it.
        """
        ...

    def opened(self, session: int, generation: int, epoch: str, seq: int, *, recovered: bool) -> None:
        """Queue the answer to an Open."""
        ...

    def subscribed(self, session: int, change: int) -> None:
        """Queue the answer to a change of a subscription."""
        ...

    def advanced(self, positions: Sequence[tuple[int, int]]) -> None:
        """Queue positions that rose without a delivery: session and seq."""
        ...

    def disconnect(self, session: int, generation: int, reason: DisconnectReason) -> None:
        """Queue the end of a connection."""
        ...

    def drain(self) -> None:
        """Queue the word that this replica stops."""
        ...


class DisconnectReason(Enum):
    """Why a connection must end."""

    TOO_MANY_CONNECTIONS = "the user has too many connections"
    RESUME_LOST = "the position cannot be continued from"
    UNAVAILABLE = "the log cannot be read now"


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Commits of all writers, and the life of the log that they belong to.

    Args:
        epoch: as in `Heads`.
        batches: for each writer by rising number.
        is_all: whether there were no more.
    """

    epoch: str
    batches: Sequence[CommitBatch]
    is_all: bool


Batched = Callable[[BatchId, Sequence[NumberedEvent]], None]
"""Is told of commits in the place of `Committed`, where batches are kept: which, and what it stored."""


class BatchLog(Protocol):
    """The commits of the last minutes, so that what a replica did not hear of is found.

    A log that keeps batches stores with each commit, in the same transaction, its number among its
    writer's commits and its users. They are kept for 10 minutes at least, and a writer's last one for
    ever. Duplicates found are told to `Committed`; they are of another commit.
    """

    async def highest_batches(self) -> tuple[str, Sequence[int]]:
        """The log's epoch, and for each writer, from 0, the number of its last commit; 0 where none is.

        Raises:
            LogUnavailableError: the log cannot be read now.
        """
        ...

    async def batches(self, after: Sequence[int], *, settled_seconds: float) -> BatchPage:
        """The commits that come after these.

        Args:
            after: for each writer, from 0, the number after which to read.
            settled_seconds: leave out those that are younger, for a hint may be on its way.

        Returns:
            What there is, for each writer from `after` on; a part of it where it is much.

        Raises:
            LogUnavailableError: the log cannot be read now.
        """
        ...


class ReplicatedLog(EventLog, BatchLog, Protocol):
    """An event log that keeps batches."""


class DeviceCursors(Protocol):
    """Up to where each device has acknowledged its user's stream.

    `tests/contract/device_cursors` holds implementations to what is said here.
    """

    async def read(self, devices: Collection[Device]) -> Mapping[Device, ResumePoint]:
        """Where these devices stand; one that is not known is left out.

        Raises:
            LogUnavailableError: it cannot be read now.
        """
        ...

    async def write(self, epoch: str, acknowledged: Sequence[Acknowledged]) -> None:
        """Note where devices stand.

        A place is never lowered within one life of the log; the place of a new life replaces that of an
        old one. Nothing is noted of a life that is not the log's any more. Of each user the `MAX_DEVICES`
        that acknowledged last are kept. Done twice it is done once.

        Args:
            epoch: the life of the log that they belong to.
            acknowledged: at most 1,000, by device, each once; of one user at most `MAX_DEVICES`.

        Raises:
            LogUnavailableError: it cannot be written now, or may not have been.
        """
        ...


class Topic(Enum):
    """What a message between replicas is about."""

    BATCHES = "batches"
    EPHEMERAL = "ephemeral"


Heard = Callable[[Topic, bytes], None]
"""Is given each message of another replica. Must not raise."""


class Backplane(Protocol):
    """Brings short messages from each replica to all the others of one log. A hint, never the record.

    Messages may be lost, and one may come twice; those of one sender about one topic that come, come in
    the order in which they were sent. Nobody gets their own, nor what was sent for another log.
    `tests/contract/backplane` holds implementations to what is said here.
    """

    @property
    def is_up(self) -> bool:
        """Whether messages go out and come in now, as far as is known."""
        ...

    def join(self, log: str, heard: Heard) -> None:
        """Send and hear for this log from soon on, and for no other any more.

        Args:
            log: names the log and its life; any text.
            heard: is called for each message, one at a time, and never from within `send`.
        """
        ...

    def send(self, topic: Topic, message: bytes) -> bool:
        """Queue a message for the other replicas. Never waits and never raises.

        What the backplane cannot take now is dropped and counted: where it is not up, or where too much
        is queued already. What was queued may still be dropped, and is counted then.

        Returns:
            Whether it was queued.
        """
        ...
