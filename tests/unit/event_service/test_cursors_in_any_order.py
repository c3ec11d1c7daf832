"""Whatever happens in whatever order: every event once, in order, and none missing.

The queues of a small mesh (`tests/support/cursor_model.py`) are moved at random; it checks all that an
edge would hand to its clients. Twice: as Hypothesis likes it, few things and often the same, and in long
walks in which everything is about as likely as anything else.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.cursor_model import KINDS, TYPES, Client, Edge, Kind, Model

USERS = st.sampled_from(["user_1", "user_1", "user_2"])
EDGES = st.integers(0, 1)
SETS = st.frozensets(st.sampled_from(TYPES), min_size=1, max_size=2)
CLIENTS = st.tuples(EDGES, USERS, SETS, st.none() | st.integers(-2, 12))
EVENTS = st.lists(st.sampled_from(KINDS), min_size=1, max_size=6)
INDEX = st.integers(0, 5)
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["hear", "command", "take", "take", "heads", "read"]), INDEX, st.sampled_from("aaabc")
    ),
    min_size=1,
    max_size=12,
)


class Cursors(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    def _client(self, index: int) -> tuple[Edge, Client] | None:
        clients = [(edge, client) for edge in self.model.edges for client in edge.clients.values()]
        return clients[index % len(clients)] if clients else None

    # Clients.

    @initialize(events=EVENTS, clients=st.lists(CLIENTS, min_size=1, max_size=4))
    def begin(self, events: list[Kind], clients: list[tuple[int, str, frozenset[str], int | None]]) -> None:
        for user in ("user_1", "user_2"):
            self.commit(user, events)
        for client in clients:
            self.connect(client)

    @rule(client=CLIENTS)
    def connect(self, client: tuple[int, str, frozenset[str], int | None]) -> None:
        edge, user, types, back = client
        resume = None if back is None else self.model.log.last(user) - back
        self.model.connect(self.model.edges[edge], user, types, resume)

    @rule(indexes=st.lists(INDEX, min_size=1, max_size=3))
    def pause_or_go_on(self, indexes: list[int]) -> None:
        for index in indexes:
            if (found := self._client(index)) and found[1].position is not None:
                edge, client = found
                client.paused = not client.paused
                edge.send_open(client)

    @rule(index=INDEX, types=SETS, adds=st.booleans())
    def change(self, index: int, types: frozenset[str], adds: bool) -> None:
        if found := self._client(index):
            edge, client = found
            changed = types - client.wanted if adds else types & client.wanted
            if changed:
                edge.send_change(client, changed, adds=adds)

    @rule(index=INDEX)
    def report(self, index: int) -> None:
        if (found := self._client(index)) and not found[1].fenced:
            found[0].send_written(found[1])

    @rule(index=INDEX)
    def leave(self, index: int) -> None:
        if found := self._client(index):
            found[0].send_close(found[1])

    @rule(edge=EDGES)
    def attach_again(self, edge: int) -> None:
        self.model.detach(self.model.edges[edge])

    # Events.

    @rule(user=USERS, events=EVENTS)
    def commit(self, user: str, events: list[Kind]) -> None:
        for kind in events:
            self.model.commit(user, kind)

    @rule(user=USERS, events=EVENTS)
    def commit_and_hear(self, user: str, events: list[Kind]) -> None:
        self.commit(user, events)
        for numbered in self.model.unheard.pop(user):
            self.model.announce(numbered)

    @rule(user=USERS, kind=st.sampled_from(KINDS))
    def emit_ephemeral(self, user: str, kind: Kind) -> None:
        self.model.emit_ephemeral(user, kind)

    @rule(seconds=st.sampled_from([0.05, 0.15, 0.3]))
    def wait(self, seconds: float) -> None:
        self.model.turn(seconds)

    @rule(user=USERS, index=st.integers(0, 20))
    def hear_again(self, user: str, index: int) -> None:
        if stream := self.model.log.streams.get(user):
            self.model.announce(stream[index % len(stream)])

    @rule(user=USERS, keep=st.integers(0, 8))
    def retain(self, user: str, keep: int) -> None:
        log = self.model.log
        log.floors[user] = max(log.floors.get(user, 0), log.last(user) - keep)

    # What is on its way: mostly as it should be, at times late, stale, short, failed or lost.

    @rule(moves=MOVES)
    def move(self, moves: list[tuple[str, int, str]]) -> None:
        model = self.model
        for what, index, how in moves:
            edge = model.edges[index % 2]
            match what:
                case "hear":
                    self._hear("user_2" if index == 0 else "user_1", how)
                case "command" if edge.up:
                    model.do_next(edge)
                case "take":
                    for _ in range(index):
                        model.take_next(edge)
                case "heads" if asked := model.log.heads_asked:
                    if how == "c":
                        model.fail(asked[index % len(asked)])
                    else:
                        model.answer_heads(asked[index % len(asked)], stale=how == "b")
                case "read" if asked := model.log.reads_asked:
                    if how == "c":
                        model.fail(asked[index % len(asked)])
                    else:
                        limit = index + 1 if index < 3 else 100
                        model.answer_read(asked[index % len(asked)], limit, stale=how == "b")

    def _hear(self, user: str, how: str) -> None:
        if waiting := self.model.unheard.get(user):
            numbered = waiting.pop(-1 if how == "b" else 0)
            if how == "c":
                self.model.lost_hints.add(user)
            else:
                self.model.announce(numbered)

    @rule()
    def tell_advanced(self) -> None:
        self.model.delivering.tell_advanced()

    @rule()
    def settle(self) -> None:
        self.model.settle()

    @invariant()
    def holds_at_every_moment(self) -> None:
        self.model.check()

    def teardown(self) -> None:
        try:
            self.model.settle()
            for edge in self.model.edges:
                for client in edge.clients.values():
                    if client.paused:
                        client.paused = False
                        edge.send_open(client)
            self.model.settle()
        finally:
            self.model.close()


LIMITS = settings(
    max_examples=60,
    stateful_step_count=40,
    # Making a failing run small takes longer than a test may; take this line away to have it done.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestCursors = Cursors.TestCase
TestCursors.settings = LIMITS


class Walk:
    """A long walk.

    Args:
        seed: Makes it the same walk again.
    """

    def __init__(self, seed: int) -> None:
        self.machine = Cursors()
        self._random = random.Random(seed)  # noqa: S311 - a walk that can be repeated.
        machine, pick = self.machine, self._random
        self._steps: list[tuple[int, Callable[[], None]]] = [
            (100, lambda: machine.move([self._move()])),
            (6, lambda: machine.commit(self._user(), self._events())),
            (6, lambda: machine.commit_and_hear(self._user(), self._events())),
            (2, lambda: machine.emit_ephemeral(self._user(), pick.choice(KINDS))),
            (6, lambda: machine.wait(pick.choice([0.05, 0.15, 0.3]))),
            (4, self._connect),
            (4, lambda: machine.pause_or_go_on([pick.randrange(6)])),
            (4, lambda: machine.change(pick.randrange(6), self._types(), pick.random() < 0.6)),
            (4, lambda: machine.report(pick.randrange(6))),
            (1, lambda: machine.leave(pick.randrange(6))),
            (1, lambda: machine.attach_again(pick.randrange(2))),
            (2, lambda: machine.hear_again(self._user(), pick.randrange(50))),
            (1, lambda: machine.retain(self._user(), pick.randrange(6, 40))),
            (1, machine.tell_advanced),
            (2, machine.settle),
        ]

    def _user(self) -> str:
        return self._random.choice(["user_1", "user_1", "user_1", "user_2"])

    def _events(self) -> list[Kind]:
        return self._random.choices(KINDS, k=self._random.randrange(1, 6))

    def _types(self) -> frozenset[str]:
        return frozenset(self._random.sample(TYPES, self._random.randrange(1, 3)))

    def _connect(self) -> None:
        if sum(len(edge.clients) for edge in self.machine.model.edges) < 6:
            self.machine.connect(self._client())

    def _client(self) -> tuple[int, str, frozenset[str], int | None]:
        back = self._random.choice([None, self._random.randrange(-1, 15)])
        return (self._random.randrange(2), self._user(), self._types(), back)

    def _move(self) -> tuple[str, int, str]:
        what = self._random.choice(["hear", "hear", "command", "take", "heads", "read"])
        return (what, self._random.randrange(6), self._random.choice("aaaaaaaaaabbbbbbbbbc"))

    def go(self, steps: int) -> None:
        """Walk so far."""
        weights, choices = zip(*self._steps, strict=True)
        for step in self._random.choices(choices, weights, k=steps):
            step()
            self.machine.holds_at_every_moment()


@given(seed=st.integers(0, 2**32))
@settings(LIMITS, max_examples=20)
def test_long_walks(seed: int) -> None:
    walk = Walk(seed)
    try:
        walk.go(600)
    finally:
        walk.machine.teardown()
