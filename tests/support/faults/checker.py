"""Judges a history: what was lost, invented, leaked, repeated, reordered or left out. Pure.

The rules, from docs/guarantees.md:

    lost        an event that was answered OK is not in the log, or a client that was owed it never got it
                (of events with one collapse key, only the newest is owed)
    ghost       a client or the log has an event that nobody emitted, or that was refused for certain
    leak        a client has an event of another user
    inversion   a connection's seqs fell; or an Emit that began after another's OK for the same user got a
                lower seq; or an event that was streamed after another one for the same user did
    hole        a connection's seqs, or the log's, left one out (but for events with a collapse key)
    repeat      an event came twice on one connection
    misnumbered one event with two seqs, or one seq with two events
    unrecovered a client was told that it cannot go on from where it was, or from what its device acknowledged

An event that came again on a later connection of the same client is a duplicate; these are counted. A device
may go on before what it acknowledged, and never behind it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from tests.support.faults.history import Call, Closed, Emitted, Frame, Note, Opened, Record, Stored

KINDS = ("lost", "ghosts", "leaks", "inversions", "holes", "repeats", "misnumbered", "unrecovered")
_EXAMPLES = 5


@dataclass(frozen=True)
class Arrival:
    """An event came to a client for the first time.

    Attributes:
        emitted_at: When it was to be emitted.
        at: When it came.
        client: To whom.
    """

    emitted_at: float
    at: float
    client: str

    @property
    def seconds(self) -> float:
        """From the one to the other."""
        return self.at - self.emitted_at


@dataclass(frozen=True)
class Silence:
    """A client heard nothing, though an event for it was under way.

    Attributes:
        seconds: How long.
        until: When it heard again.
        client: Who.
    """

    seconds: float = 0.0
    until: float = 0.0
    client: str = ""


@dataclass
class Verdict:
    """What a history comes to.

    Attributes:
        faults: Of each kind (see the module), each case in words.
        emitted: How many events.
        ok: How many of them were answered OK.
        unknown: How many have no certain outcome.
        frames: How many events came, all connections together.
        duplicates: Of each connection after a client's first, how many events it had seen before.
        arrivals: In the order of arrival.
        longest_silence: Over all clients.
        codes: How often connections ended with which close code.
    """

    faults: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    emitted: int = 0
    ok: int = 0
    unknown: int = 0
    frames: int = 0
    duplicates: dict[int, int] = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)
    longest_silence: Silence = Silence()
    codes: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.faults.values())

    def without(self, clients: Collection[str]) -> Verdict:
        """The same, without the arrivals at some clients."""
        return replace(self, arrivals=[each for each in self.arrivals if each.client not in clients])

    def latency(self, share: float, since: float = 0.0, until: float = float("inf")) -> float:
        """The time from Emit to client that a share of the events emitted in a span did not exceed.

        Args:
            share: 0 to 1.
            since: The span's begin, monotonic.
            until: Its end.
        """
        times = sorted(arrival.seconds for arrival in self.arrivals if since <= arrival.emitted_at < until)
        return times[min(int(len(times) * share), len(times) - 1)] if times else 0.0

    def summary(self) -> str:
        """One line for people."""
        faults = ", ".join(f"{kind} {len(cases)}" for kind, cases in self.faults.items())
        return (
            f"{self.emitted} emitted, {self.ok} OK, {self.unknown} unknown, {self.frames} frames; {faults};"
            f" {sum(self.duplicates.values())} duplicates over {len(self.duplicates)} reconnects;"
            f" longest silence {self.longest_silence.seconds:.2f} s; p50 {1000 * self.latency(0.5):.1f} ms,"
            f" p99 {1000 * self.latency(0.99):.1f} ms, longest {self.latency(1.0):.2f} s"
        )

    def examples(self) -> str:
        """A few cases of each kind of fault."""
        return "\n".join(
            f"{kind}: {case}" for kind, cases in self.faults.items() for case in cases[:_EXAMPLES]
        )


@dataclass
class _Event:
    """What is known of one event."""

    emitted_at: float
    user_id: str
    collapse_key: str
    is_streamed: bool = False
    is_refused: bool = False
    is_unknown: bool = False
    began_at: float = float("inf")
    ok_at: float = float("inf")
    seq: int = 0


@dataclass
class _Connection:
    opened: Opened
    frames: list[Frame] = field(default_factory=list)


@dataclass
class _Client:
    user_id: str
    connections: list[_Connection] = field(default_factory=list)
    has_left: bool = False


class _Checker:
    def __init__(self, records: Iterable[Record]) -> None:
        self.verdict = Verdict()
        self._faults = self.verdict.faults
        self._events: dict[str, _Event] = {}
        self._stored: dict[str, list[tuple[int, str]]] = {}
        self._connections: dict[int, _Connection] = {}
        self._clients: dict[str, _Client] = {}
        self._of_user: dict[str, list[tuple[str, _Event]]] = defaultdict(list)
        self._seqs: dict[str, int] = {}  # As stored.
        calls: list[Call] = []
        frames: list[Frame] = []
        closed: list[Closed] = []
        opened: list[Opened] = []
        for record in records:
            match record:
                case Emitted():
                    self._events[record.event_id] = _Event(
                        record.at,
                        record.user_id,
                        record.collapse_key,
                        record.is_streamed,
                        is_unknown=True,
                    )
                case Call():
                    calls.append(record)
                case Opened():
                    opened.append(record)
                case Frame():
                    frames.append(record)
                case Closed():
                    closed.append(record)
                case Stored():
                    self._stored[record.user_id] = record.events
                case Note():
                    pass
        self._take_calls(calls)
        self._take_connections(opened, frames, closed)

    def _take_calls(self, calls: Sequence[Call]) -> None:
        refused: set[str] = set()
        perhaps: set[str] = set()
        for call in calls:
            event = self._events[call.event_id]
            event.began_at = min(event.began_at, call.at)
            if call.outcome == "ok":
                if event.seq and event.seq != call.seq:
                    self._fault("misnumbered", f"{call.event_id} was answered {event.seq} and {call.seq}")
                event.seq = call.seq
                event.ok_at = min(event.ok_at, call.until)
            else:
                (refused if call.outcome == "refused" else perhaps).add(call.event_id)
        for event_id, event in self._events.items():
            is_ok = event.seq > 0
            event.is_refused = event_id in refused and event_id not in perhaps and not is_ok
            event.is_unknown = not is_ok and not event.is_refused
            if is_ok:
                self._of_user[event.user_id].append((event_id, event))
        self.verdict.emitted = len(self._events)
        self.verdict.ok = sum(event.seq > 0 for event in self._events.values())
        self.verdict.unknown = sum(event.is_unknown for event in self._events.values())

    def _take_connections(self, opened: list[Opened], frames: list[Frame], closed: Sequence[Closed]) -> None:
        for record in sorted(opened, key=lambda record: record.at):
            connection = self._connections[record.connection] = _Connection(record)
            client = self._clients.setdefault(record.client, _Client(record.user_id))
            client.connections.append(connection)
        for frame in frames:
            self._connections[frame.connection].frames.append(frame)
        for end in closed:
            self.verdict.codes[end.code] += 1
            if end.is_last and end.client in self._clients:
                self._clients[end.client].has_left = True
        self.verdict.frames = len(frames)

    def _fault(self, kind: str, what: str) -> None:
        self._faults[kind].append(what)

    def run(self) -> Verdict:
        self._check_log()
        self._check_order_of_calls()
        self._check_order_of_streams()
        for connection in self._connections.values():
            self._check_connection(connection)
        for name, client in self._clients.items():
            self._check_client(name, client)
        self.verdict.arrivals.sort(key=lambda arrival: arrival.at)
        return self.verdict

    def _check_log(self) -> None:
        if not self._stored:
            return
        seqs = self._seqs
        for user_id, events in self._stored.items():
            expected = None
            for seq, event_id in events:
                if expected is not None and seq != expected:
                    self._fault("holes", f"the log of {user_id} goes from {expected - 1} to {seq}")
                expected = seq + 1
                seqs[event_id] = seq
                event = self._events.get(event_id)
                if event is None or event.is_refused:
                    self._fault("ghosts", f"{event_id} is in the log of {user_id}")
                elif event.user_id != user_id:
                    self._fault("leaks", f"{event_id} of {event.user_id} is in the log of {user_id}")
        for event_id, event in self._events.items():
            seq = seqs.get(event_id, 0)
            if event.seq and not seq:
                self._fault(
                    "lost", f"{event_id} of {event.user_id} was answered {event.seq}, and is not stored"
                )
            elif event.seq and seq != event.seq:
                self._fault("misnumbered", f"{event_id} was answered {event.seq}, and is stored as {seq}")

    def _check_order_of_calls(self) -> None:
        for user_id, named in self._of_user.items():
            events = [event for _, event in named]
            answered = sorted(events, key=lambda event: event.ok_at)
            done, highest = 0, 0
            for event in sorted(events, key=lambda event: event.began_at):
                while done < len(answered) and answered[done].ok_at < event.began_at:
                    highest = max(highest, answered[done].seq)
                    done += 1
                if event.seq < highest:
                    self._fault(
                        "inversions", f"{user_id}: {event.seq} was emitted after {highest} was answered"
                    )

    def _check_order_of_streams(self) -> None:
        highest: dict[str, int] = defaultdict(int)
        for event in self._events.values():  # In the order in which they were to be emitted.
            if event.is_streamed and event.seq:
                if event.seq < highest[event.user_id]:
                    self._fault(
                        "inversions",
                        f"{event.user_id}: {event.seq} was streamed after {highest[event.user_id]}",
                    )
                highest[event.user_id] = max(highest[event.user_id], event.seq)

    def _check_connection(self, connection: _Connection) -> None:
        opened, frames = connection.opened, connection.frames
        name = f"connection {opened.connection} of {opened.client}"
        self._check_begin(name, opened)
        seen: set[int] = set()
        at = opened.seq
        for frame in frames:
            self._check_content(name, opened.user_id, frame)
            if frame.seq in seen:
                self._fault("repeats", f"{name} got {frame.seq} twice")
            elif at is not None and frame.seq <= at:
                self._fault("inversions", f"{name} got {frame.seq} after {at}")
            elif at is not None and not self._may_skip(opened.user_id, at + 1, frame.seq):
                self._fault("holes", f"{name} got {frame.seq} after {at}")
            seen.add(frame.seq)
            at = max(at or 0, frame.seq)

    def _check_begin(self, name: str, opened: Opened) -> None:
        if opened.asked is not None:
            if not opened.recovered:
                self._fault("unrecovered", f"{name} asked for {opened.asked}")
            elif (opened.epoch, opened.seq) != opened.asked:
                self._fault("holes", f"{name} asked for {opened.asked}, got {opened.epoch}, {opened.seq}")
        if opened.acked:
            if not opened.recovered:
                self._fault("unrecovered", f"{name} had acknowledged {opened.acked}")
            elif opened.seq is not None and opened.seq > opened.acked:
                self._fault("holes", f"{name} had acknowledged {opened.acked}, and began at {opened.seq}")

    def _check_content(self, name: str, user_id: str, frame: Frame) -> None:
        event = self._events.get(frame.event_id)
        if event is None or event.is_refused:
            self._fault("ghosts", f"{name} got {frame.event_id}")
        elif not user_id == frame.user_id == event.user_id:
            self._fault("leaks", f"{name} of {user_id} got {frame.event_id} of {event.user_id}")
        elif frame.seq != self._seqs.get(frame.event_id, event.seq or frame.seq):
            self._fault("misnumbered", f"{name} got {frame.event_id} as {frame.seq}")

    def _may_skip(self, user_id: str, first: int, end: int) -> bool:
        """Whether every event of `first` to `end` - 1 has a collapse key."""
        if first >= end:
            return True
        stored = self._stored.get(user_id, [])
        start = bisect_left(stored, (first, ""))
        between = stored[start : start + end - first]
        if [seq for seq, _ in between] != list(range(first, end)):
            return False
        return all(
            event_id in self._events and self._events[event_id].collapse_key != "" for _, event_id in between
        )

    def _check_client(self, name: str, client: _Client) -> None:
        seen: set[str] = set()
        arrivals: list[Arrival] = []
        for number, connection in enumerate(client.connections):
            again = 0
            for frame in connection.frames:
                event = self._events.get(frame.event_id)
                if frame.event_id in seen:
                    again += 1
                elif event is not None:
                    arrivals.append(Arrival(event.emitted_at, frame.at, name))
                seen.add(frame.event_id)
            if number:
                self.verdict.duplicates[connection.opened.connection] = again
        self.verdict.arrivals += arrivals
        self._find_silence(arrivals)
        if not client.has_left:
            self._find_lost(name, client, seen)

    def _find_lost(self, name: str, client: _Client, seen: set[str]) -> None:
        """Everything from where the client began is owed to it."""
        first = client.connections[0]
        start = first.opened.seq
        if start is None:
            start = min((frame.seq for frame in first.frames), default=None)
        newest = {event.collapse_key: event.seq for _, event in self._of_user[client.user_id]}
        for _, event in self._of_user[client.user_id]:
            newest[event.collapse_key] = max(newest[event.collapse_key], event.seq)
        for event_id, event in self._of_user[client.user_id]:
            is_superseded = event.collapse_key != "" and event.seq < newest[event.collapse_key]
            is_owed = event.emitted_at > first.opened.at or (start is not None and event.seq > start)
            if is_owed and event_id not in seen and not is_superseded:
                self._fault("lost", f"{name} never got {event_id}, seq {event.seq} of {event.user_id}")

    def _find_silence(self, arrivals: Sequence[Arrival]) -> None:
        """The longest time without a frame while one that came later was under way."""
        under_way_since = float("inf")
        earliest: list[float] = []
        for arrival in reversed(arrivals):
            under_way_since = min(under_way_since, arrival.emitted_at)
            earliest.append(under_way_since)
        before = float("-inf")
        for arrival, since in zip(arrivals, reversed(earliest), strict=True):
            silence = arrival.at - max(before, since)
            if silence > self.verdict.longest_silence.seconds:
                self.verdict.longest_silence = Silence(silence, arrival.at, arrival.client)
            before = arrival.at


def check(records: Iterable[Record]) -> Verdict:
    """Judge a history; the order of records of different processes does not matter."""
    return _Checker(records).run()
