"""A mesh in one thread: users' streams, edges that follow the contract, and a log that answers when told.

Everything between them is a queue that moves only when asked: commands up, items down, reads of heads
and of pages, announcements. What an edge would hand to its clients is checked as it comes.

The oracle knows no cursor: it knows what was committed, since when a session may count on a type, and
what a session may be spared: an event that a later one of its key supersedes, and one past its expiry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from harkara_event_service.adapters.memory_devices import MemoryDevices
from harkara_event_service.domain.cursor import EVERYTHING, Attachment, ResumePoint, Session, State
from harkara_event_service.domain.event import Announced, NumberedEvent, announced
from harkara_event_service.domain.registry import Registry
from harkara_event_service.ports import DisconnectReason, LogUnavailableError
from harkara_event_service.service import READS_AT_ONCE, Delivering, Devices, OpenRequest
from tests.support.delivery import Advanced, Delivered, Disconnected, Item, Opened, RecordedOutbox, Subscribed
from tests.support.registry_desk import unpacked
from tests.support.told_log import EPOCH, LARGE, SMALL, Asked, LoopWithoutWaiting, ToldLog

MAX_SESSIONS = 3
QUEUE_ITEMS = 6
TYPES = (LARGE, SMALL, EVERYTHING)
COLLAPSE_SECONDS = 0.25
_START = datetime(2026, 1, 27, 10, 30, tzinfo=UTC)


class Kind(NamedTuple):
    """What kind of event.

    Args:
        event_type: Its type.
        key: Its collapse key.
        lives: After how many seconds it expires.
    """

    event_type: str
    key: str | None = None
    lives: float | None = None


KINDS = (
    Kind(LARGE),
    Kind(SMALL),
    Kind(SMALL, "a"),
    Kind(SMALL, "b"),
    Kind(LARGE, "a"),
    Kind(SMALL, "a", 0.1),
    Kind(SMALL, None, 0.1),
)


@dataclass(eq=False)
class Client:
    """A connection as its edge knows it.

    Attributes:
        position: The last seq handed to its transport; None before the first Opened.
        fenced: Whether an Open waits for its Opened.
        wanted: What it asked for.
        since: For each type in force, after which seq every event of it must come.
        changes: Changes that wait: number, whether types are added, which.
        carried: The last change that the last Open carried.
        last_ephemeral: For each kind the number of the last event that is kept nowhere.
        oldest_start: The user's last seq when the first Open was sent.
        oldest_floor: What retention had taken away then.
    """

    number: int
    user_id: str
    wanted: frozenset[str]
    resume: int | None
    oldest_start: int
    oldest_floor: int
    generation: int = 0
    position: int | None = None
    fenced: bool = True
    paused: bool = False
    since: dict[str, int] = field(default_factory=dict)
    changes: list[tuple[int, bool, frozenset[str]]] = field(default_factory=list)
    last_change: int = 0
    carried: int = 0
    last_ephemeral: dict[Kind, int] = field(default_factory=dict)


class Edge:
    """One edge worker: its clients, and the two directions of its stream."""

    def __init__(self, model: Model) -> None:
        self.clients: dict[int, Client] = {}
        self.up: list[Callable[[], None]] = []
        self._model = model
        self.attach()

    def attach(self) -> None:
        """Begin a stream; what was on its way on the last one is lost."""
        self.up.clear()
        outbox = _Outbox(self, lambda: self._model.delivering.has_room(attachment))
        attachment = self._model.delivering.attach("edge", outbox)
        self.outbox: _Outbox = outbox
        self.attachment: Attachment = attachment
        for client in self.clients.values():
            self.send_open(client)

    def send_open(self, client: Client) -> None:
        """Send Open for a client as it is now; everything for it is dropped until Opened."""
        client.generation += 1
        client.fenced = True
        client.carried = client.last_change
        continues = client.position is not None
        after = client.position if continues else client.resume
        request = OpenRequest(
            session=client.number,
            generation=client.generation,
            user_id=client.user_id,
            types=sorted(client.wanted),
            wanted=None if after is None else ResumePoint(EPOCH, after),
            must_continue=continues,
            stopped=client.paused,
        )
        self.up.append(lambda: self._model.delivering.open(self.attachment, [request]))

    def send_change(self, client: Client, types: frozenset[str], *, adds: bool) -> None:
        """Send Subscribe or Unsubscribe."""
        client.last_change += 1
        change = client.last_change
        client.wanted = client.wanted | types if adds else client.wanted - types
        client.changes.append((change, adds, types))

        def carry_out() -> None:
            # What commits from now on must come.
            self._model.known_at[client, change] = self._model.log.last(client.user_id)
            to_do = self._model.delivering.subscribe if adds else self._model.delivering.unsubscribe
            to_do(self.attachment, client.number, types, change)

        self.up.append(carry_out)

    def send_written(self, client: Client) -> None:
        """Report progress."""
        number, position = client.number, client.position or 0
        self.up.append(lambda: self._model.delivering.written(self.attachment, number, position))

    def send_close(self, client: Client) -> None:
        """End a client's session."""
        del self.clients[client.number]
        self.up.append(lambda: self._model.delivering.close(self.attachment, client.number))

    # What comes down.

    def take(self, item: Item) -> None:  # noqa: C901 - one branch for each kind.
        """Handle an item as the contract says, and check it."""
        match item:
            case Delivered(sessions, 0, text):
                for number in sessions:
                    self._deliver_ephemeral(self.clients.get(number), int(text))
            case Delivered(sessions, seq, _):
                for number in sessions:
                    self._deliver(self.clients.get(number), seq)
            case Opened(session, generation, seq, recovered):
                client = self.clients.get(session)
                if client is not None and client.generation == generation:
                    self._opened(client, seq, recovered=recovered)
            case Subscribed(session, change):
                client = self.clients.get(session)
                if client is not None and change > client.carried:
                    self._changed(client, change)
            case Advanced(positions):
                for number, seq in positions:
                    self._advance(self.clients.get(number), seq)
            case Disconnected(session, generation, reason):
                client = self.clients.get(session)
                if client is not None and client.generation == generation:
                    self._disconnected(client, reason)

    def _deliver(self, client: Client | None, seq: int) -> None:
        if client is None or client.fenced or client.paused:
            return
        assert client.position is not None
        assert seq > client.position, "an event came twice, or out of order"
        event_type = self._model.type_of(client.user_id, seq)
        assert client.since.keys() & {event_type, EVERYTHING}, "an event of a type that is not subscribed"
        self._pass(client, seq - 1)
        client.position = seq

    def _deliver_ephemeral(self, client: Client | None, number: int) -> None:
        if client is None or client.fenced or client.paused:
            return
        kind = self._model.ephemeral[number]
        assert client.since.keys() & {kind.event_type, EVERYTHING}, (
            "an event of a type that is not subscribed"
        )
        assert number > client.last_ephemeral.get(kind, -1), "an event came twice, or after its successor"
        client.last_ephemeral[kind] = number

    def check_alive(self, sessions: bytes, seq: int) -> None:
        """An event is queued: it must not have expired."""
        for number in unpacked(sessions):
            client = self.clients.get(number)
            if client is not None and seq:
                event = self._model.log.streams[client.user_id][seq - 1].event
                assert event.expires_at is None or self._model.now() < event.expires_at, "sent past its time"

    def _advance(self, client: Client | None, seq: int) -> None:
        if client is None or client.fenced or client.paused:
            return
        self._pass(client, seq)
        client.position = max(seq, client.position or 0)

    def _pass(self, client: Client, seq: int) -> None:
        missed = self._model.owed(client, up_to=seq)
        assert not missed, f"a hole: {missed} never came"

    def _opened(self, client: Client, seq: int, *, recovered: bool) -> None:
        if client.position is not None:
            assert (seq, recovered) == (client.position, True)
        elif recovered:
            assert seq == client.resume
            assert seq >= client.oldest_floor
        else:
            assert client.oldest_start <= seq <= self._model.log.last(client.user_id)
            lost = self._model.log.floors.get(client.user_id, 0)
            assert client.resume is None or not lost <= client.resume <= client.oldest_start
        client.fenced = False
        client.position = seq
        client.changes = [each for each in client.changes if each[0] > client.carried]
        types = client.wanted
        for _, adds, changed in reversed(client.changes):
            types = types - changed if adds else types | changed
        client.since = dict.fromkeys(types, seq)

    def _changed(self, client: Client, change: int) -> None:
        (first, adds, types), *client.changes = client.changes
        assert first == change, "changes are confirmed in order"
        known_at = self._model.known_at.pop((client, change))
        for event_type in types:
            if adds:
                client.since.setdefault(event_type, max(known_at, client.position or 0))
            else:
                client.since.pop(event_type, None)

    def _disconnected(self, client: Client, reason: DisconnectReason) -> None:
        if reason is DisconnectReason.RESUME_LOST:
            assert client.position is not None or client.resume is not None
            at = client.resume if client.position is None else client.position
            assert (at or 0) < self._model.log.floors.get(client.user_id, 0), "nothing was lost"
        elif reason is DisconnectReason.UNAVAILABLE:
            assert client.position is None, "who is there already waits"
        else:
            assert client.position is None, "who is there already is not one too many"
        del self.clients[client.number]


class _Outbox(RecordedOutbox):
    """An outbox that looks at what is queued, and when."""

    def __init__(self, edge: Edge, on_room: Callable[[], None]) -> None:
        super().__init__(QUEUE_ITEMS, on_room)
        self._edge = edge

    def deliver(self, sessions: bytes, seq: int, text: bytes) -> bool:
        self._edge.check_alive(sessions, seq)
        return super().deliver(sessions, seq, text)

    def catch_up(self, sessions: bytes, seq: int, text: bytes) -> bool:
        self._edge.check_alive(sessions, seq)
        return super().catch_up(sessions, seq, text)


def described(session: Session) -> str:
    """Where a cursor stands, for a failure's message."""
    stream = session.stream
    return (
        f"{session.state.name} at {session.position}, {session.under_way_bytes} bytes under way; "
        f"head {stream.head}, heard {stream.heard}, edge full: {session.attachment.full}"
    )


class Model:
    """The whole: two edges, `Delivering`, the log."""

    def __init__(self) -> None:
        self.loop = LoopWithoutWaiting()
        self.log = ToldLog()
        self.registry = Registry(
            max_sessions_per_user=MAX_SESSIONS, size_of_catalogue=17, collapse_seconds=COLLAPSE_SECONDS
        )
        self.delivering = Delivering(
            self.log, self.registry, self.now, Devices(MemoryDevices(EPOCH), self.now)
        )
        self.ephemeral: list[Kind] = []
        self.unheard: dict[str, list[NumberedEvent]] = {}
        self.lost_hints: set[str] = set()
        self.known_at: dict[tuple[Client, int], int] = {}
        self.edges = [Edge(self), Edge(self)]
        self._numbers = 0
        self._running = self.loop.create_task(self.delivering.run())
        self.turn()

    def turn(self, seconds: float = 0) -> None:
        """Let whatever can go on go on."""
        for _ in range(6):
            self.loop.run_until_complete(asyncio.sleep(0))
        if seconds:
            self.loop.run_until_complete(asyncio.sleep(seconds))
        assert not self._running.done()

    def now(self) -> datetime:
        """The time."""
        return _START + timedelta(seconds=self.loop.now)

    def type_of(self, user_id: str, seq: int) -> str:
        """The type of an event."""
        return self.log.streams[user_id][seq - 1].event.event_type

    def owed(self, client: Client, *, up_to: int) -> list[int]:
        """The events after a client's position that must have come to it."""
        nowhere = up_to + 1
        return [
            seq
            for seq in range((client.position or 0) + 1, up_to + 1)
            if seq
            > min(
                client.since.get(self.type_of(client.user_id, seq), nowhere),
                client.since.get(EVERYTHING, nowhere),
            )
            and not self._may_be_spared(client.user_id, seq)
        ]

    def _may_be_spared(self, user_id: str, seq: int) -> bool:
        stream = self.log.streams[user_id]
        event = stream[seq - 1].event
        if event.expires_at is not None and event.expires_at <= self.now():
            return True
        key = (event.event_type, event.collapse_key)
        return event.collapse_key is not None and any(
            (later.event.event_type, later.event.collapse_key) == key for later in stream[seq:]
        )

    def connect(self, edge: Edge, user_id: str, types: frozenset[str], resume: int | None) -> None:
        """A client comes."""
        self._numbers += 1
        client = Client(
            self._numbers,
            user_id,
            types,
            resume,
            self.log.last(user_id),
            self.log.floors.get(user_id, 0),
        )
        edge.clients[client.number] = client
        edge.send_open(client)

    def commit(self, user_id: str, kind: Kind) -> None:
        """An event is stored; its announcement is on its way."""
        expires_at = None if kind.lives is None else self.now() + timedelta(seconds=kind.lives)
        numbered = self.log.commit(user_id, kind.event_type, kind.key, expires_at)
        self.unheard.setdefault(user_id, []).append(numbered)

    def emit_ephemeral(self, user_id: str, kind: Kind) -> None:
        """An event comes that is kept nowhere."""
        expires_at = None if kind.lives is None else self.now() + timedelta(seconds=kind.lives)
        text = str(len(self.ephemeral)).encode()
        self.ephemeral.append(kind)
        event = Announced(user_id, 0, kind.event_type, kind.key, expires_at, text)
        self._in_loop(lambda: self.delivering.announce_ephemeral([event]))
        self.turn()

    def announce(self, numbered: NumberedEvent) -> None:
        """A commit is heard of, the first time or again."""
        self._in_loop(lambda: self.delivering.announce([announced(numbered)]))
        self.turn()

    def _in_loop(self, step: Callable[[], None]) -> None:
        async def carry_out() -> None:
            step()

        self.loop.run_until_complete(carry_out())

    def do_next(self, edge: Edge) -> None:
        """The event-service takes an edge's next command."""
        self._in_loop(edge.up.pop(0))
        self.turn()

    def take_next(self, edge: Edge) -> None:
        """An edge takes its next item."""
        for item in edge.outbox.take(1):
            edge.take(item)
        self.turn()

    def answer_heads(self, asked: Asked, *, stale: bool) -> None:
        """Heads come back."""
        self.log.heads_asked.remove(asked)
        asked.answer.set_result(asked.then() if stale else self.log.heads_of(asked.about))
        self.turn()

    def answer_read(self, asked: Asked, limit: int, *, stale: bool) -> None:
        """Pages come back, with at most so many events each."""
        self.log.reads_asked.remove(asked)
        pages = asked.then() if stale else self.log.pages_of(asked.about, limit)
        asked.answer.set_result({user: page[:limit] for user, page in pages.items()})
        self.turn()

    def fail(self, asked: Asked) -> None:
        """A read fails."""
        queue = self.log.heads_asked if asked in self.log.heads_asked else self.log.reads_asked
        queue.remove(asked)
        asked.answer.set_exception(LogUnavailableError("away"))
        self.turn(seconds=2)

    def detach(self, edge: Edge) -> None:
        """An edge's stream ends, and it attaches again."""
        self.delivering.detach(edge.attachment)
        edge.attach()
        self.turn()

    def settle(self) -> None:
        """Let everything that is on its way arrive; it must come to an end."""
        self._settle_hints()
        for edge in self.edges:
            for client in edge.clients.values():
                edge.send_written(client)
        for _ in range(200):
            if not self._settle_one_round():
                if self.registry.next_due() is None:
                    break
                self.turn(seconds=COLLAPSE_SECONDS)
        else:
            raise AssertionError("it never comes to rest")
        self.delivering.tell_advanced()
        while any(edge.outbox.items for edge in self.edges):
            for edge in self.edges:
                self.take_next(edge)
        self._check_complete()

    def _settle_hints(self) -> None:
        for user_id, stream in self.log.streams.items():
            for numbered in self.unheard.pop(user_id, ()):
                self.announce(numbered)
            # Of a lost hint only the next event tells.
            if user_id in self.lost_hints:
                self.announce(stream[-1])
        self.lost_hints.clear()

    def _settle_one_round(self) -> bool:
        """Let everything arrive that is on its way now; returns whether there was anything."""
        moved = 0
        for edge in self.edges:
            moved += len(edge.up)
            for _ in range(len(edge.up)):
                self.do_next(edge)
        for asked in list(self.log.heads_asked):
            moved += 1
            self.answer_heads(asked, stale=False)
        for asked in list(self.log.reads_asked):
            moved += 1
            self.answer_read(asked, 100, stale=False)
        for edge in self.edges:
            taken = len(edge.outbox.items)
            for _ in range(taken):
                self.take_next(edge)
            if taken:
                for client in edge.clients.values():
                    edge.send_written(client)
            moved += taken
        return moved > 0

    def _check_complete(self) -> None:
        for edge in self.edges:
            for client in edge.clients.values():
                assert not client.fenced, "an Open was never answered"
                assert not client.changes, "a change was never confirmed"
                session = edge.attachment.sessions[client.number]
                if client.paused:
                    assert session.state is State.BEHIND
                    assert session.position == client.position
                else:
                    assert session.state is State.LIVE, described(session)
                    assert client.position == self.log.last(client.user_id)
        assert not self.registry.has_reads()

    def check(self) -> None:
        """What holds at every moment."""
        registry = self.registry
        sessions = [session for edge in self.edges for session in edge.attachment.sessions.values()]
        assert registry.session_count == len(sessions)
        assert set(registry.users()) == {session.stream.user_id for session in sessions}
        for session in sessions:
            stream = session.stream
            assert (session in stream.live) == (session.state is State.LIVE)
            assert (session in stream.behind) == (session.state is not State.LIVE)
            if session.state is State.BEHIND and not session.stopped:
                assert session.position != stream.head, "at the head, and not live"
            collapsing = stream.collapsing
            held = [] if collapsing is None else [each for each in collapsing.held.values() if each.seq]
            assert (stream.head != stream.taken) == bool(held), "the head stands still, and nothing is held"
            if collapsing is not None:
                assert collapsing.held.keys() <= collapsing.windows.keys(), "held, and nobody lets it go"
            assert [each.seq for each in held] == sorted(each.seq for each in held)
            for each in held:
                assert (stream.head or 0) < each.seq <= (stream.taken or 0)
        assert all(stream in registry._streams.values() for stream in registry._to_read)
        if registry.has_reads():
            assert len(self.log.reads_asked) == READS_AT_ONCE, "a read is wanted and nobody reads"

    def close(self) -> None:
        """End all of it."""
        for edge in self.edges:
            self.delivering.detach(edge.attachment)
        assert (self.registry.session_count, list(self.registry.users())) == (0, [])
        self._running.cancel()
        self.loop.run_until_complete(asyncio.gather(self._running, return_exceptions=True))
        self.loop.run_until_complete(self.delivering.close_all())
        self.loop.close()
