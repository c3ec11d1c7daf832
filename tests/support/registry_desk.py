"""A registry at work, seen from where the service stands.

`Desk` hands the registry what the log says, and writes down what goes to whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from harkara_event_service.domain.cursor import Attachment, ResumePoint, Session, State
from harkara_event_service.domain.event import Announced
from harkara_event_service.domain.fan_out import Moment, Sends
from harkara_event_service.domain.registry import Registry

EPOCH = "first-life"
USER = "user_1"
OTHER = "eta_updated"
WANTED = "order_created"


START = datetime(2026, 1, 27, 10, 30, tzinfo=UTC)


def event(
    seq: int, event_type: str = WANTED, size: int = 300, *, key: str | None = None, lives: float | None = None
) -> Announced:
    """An event of the user.

    Args:
        seq: Its number.
        event_type: Its type.
        size: Of its text, in bytes.
        key: Its collapse key.
        lives: How many seconds after the desk's start it expires.
    """
    expires_at = None if lives is None else START + timedelta(seconds=lives)
    return Announced(USER, seq, event_type, key, expires_at, bytes(size))


class Desk:
    """A registry and one edge's stream; every session belongs to one user unless told otherwise.

    Args:
        most: How many sessions a user may have.
        collapse_seconds: How long a window is.

    Attributes:
        seconds: How much time has passed.
        registry: The registry.
        edge: The stream.
        sent: What went out: session and seq, in order.
    """

    def __init__(self, most: int = 20, collapse_seconds: float = 0.0) -> None:
        self.registry = Registry(
            max_sessions_per_user=most, size_of_catalogue=17, collapse_seconds=collapse_seconds
        )
        self.seconds = 0.0
        self.edge = Attachment("edge-1")
        self.sent: list[tuple[int, int]] = []
        self.generations = 0

    def open(
        self,
        number: int,
        types: Sequence[str] = ("*",),
        *,
        is_new: bool = True,
        stopped: bool = False,
        edge: Attachment | None = None,
        user_id: str = USER,
    ) -> Session:
        """The command Open."""
        self.generations += 1
        session = self.registry.open(
            edge or self.edge, number, self.generations, user_id, types, is_new=is_new, stopped=stopped
        )
        assert session is not None
        return session

    def start(
        self, session: Session, last: int, after: int | None = None, floor: int = 0
    ) -> tuple[int, bool]:
        """Answer a read of heads; returns where the cursor stands and whether it goes on from `after`."""
        wanted = None if after is None else ResumePoint(EPOCH, after)
        started = self.registry.start(session, last, floor, EPOCH, wanted)
        return started.seq, started.recovered

    def live(self, number: int, last: int, types: Sequence[str] = ("*",)) -> Session:
        """A session at the head."""
        session = self.open(number, types)
        self.start(session, last)
        assert session.state is State.LIVE
        return session

    def now(self) -> Moment:
        """The time."""
        return Moment(self.seconds, START + timedelta(seconds=self.seconds))

    def announce(
        self, seq: int, event_type: str = WANTED, *, key: str | None = None, lives: float | None = None
    ) -> None:
        """A commit is heard of, or where seq is 0 an event that is kept nowhere."""
        announced = event(seq, event_type, key=key, lives=lives)
        to_call = self.registry.announce if seq else self.registry.announce_ephemeral
        self.write_down(to_call(announced, self.now()))

    def let_go(self, after: float) -> None:
        """Time passes, and what is held goes if it is due."""
        self.seconds += after
        self.write_down(self.registry.let_go_due(self.now()))

    def write_down(self, sends: Sends) -> None:
        """What goes to live sessions."""
        for sent, recipients in sends:
            for _, sessions in recipients.by_edge:
                self.sent += [(number, sent.seq) for number in unpacked(sessions)]

    def page(self, first: int, last: int, event_type: str = WANTED, size: int = 300) -> None:
        """A page of the log arrives."""
        self.page_of([event(seq, event_type, size) for seq in range(first, last + 1)])

    def page_of(self, page: Sequence[Announced]) -> None:
        """These events arrive from the log."""
        for _, sessions, sent, _ in self.registry.apply_page(USER, page, self.now()):
            self.sent += [(number, sent.seq) for number in unpacked(sessions)]

    def reads(self) -> dict[str, int]:
        """What to read now."""
        return self.registry.take_reads(50)

    def state_of(self, session: Session) -> State:
        """Where a session is."""
        return session.state

    def seqs_of(self, number: int) -> list[int]:
        """What went to one session, in order."""
        return [seq for session, seq in self.sent if session == number]


def unpacked(sessions: bytes) -> list[int]:
    """The numbers in `Delivery.sessions`."""
    return [int.from_bytes(sessions[at : at + 4], "little") for at in range(0, len(sessions), 4)]
