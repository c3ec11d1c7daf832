"""Exactly once and in order, whatever happens in whatever order.

A machine plays the event-service (correct, on a list), the wire in both directions, two sockets and the
Attach stream, each as slow as it likes. However pauses, lost streams, subscriptions and deliveries cross
on the wire, a client must read the events of a type it was always subscribed to as 1, 2, 3 … n.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harkara_edge.domain.commands import AddTypes, OpenCursor
from harkara_edge.domain.limits import Limits
from tests.support.edge_fakes import Bench, FakeSocket, event

CLIENTS = 2
MAX_UNSENT = 80


@dataclass
class Cursor:
    """What the event-service knows of a session."""

    generation: int
    position: int
    paused: bool
    types: set[str] = field(default_factory=set)


class DeliveryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.log: list[str] = []
        self.cursors: dict[int, Cursor] = {}
        self.wire: deque[tuple[Any, ...]] = deque()
        self.answered: dict[int, list[list[str]]] = {}

    @initialize()
    def begin(self) -> None:
        self.bench = Bench(Limits(max_unsent_bytes=MAX_UNSENT, messages_per_second=10**6))
        self.clients = []
        for number in range(CLIENTS):
            socket, client = self.loop.run_until_complete(self.bench.verify(f"user_{number}"))
            self.clients.append((socket, client))
        self.drain_wire()
        for _, client in self.clients:
            self.bench.say(client, type="subscribe", events=["a"])
        self.drain_wire()
        assert all(client.subscription.types == ("a",) for _, client in self.clients)

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.settle()
        self.loop.close()

    # The event-service.

    @rule(kinds=st.lists(st.sampled_from("ab"), min_size=1, max_size=4))
    def emit(self, kinds: list[str]) -> None:
        self.log += kinds
        self.push()

    def push(self) -> None:
        """Send every cursor that is not paused what it has not got."""
        for session, cursor in self.cursors.items():
            while not cursor.paused and cursor.position < len(self.log):
                cursor.position += 1
                if self.log[cursor.position - 1] in cursor.types:
                    self.wire.append(("delivery", session, cursor.position))

    @rule()
    def advance(self) -> None:
        for session, cursor in self.cursors.items():
            if not cursor.paused:
                self.wire.append(("advanced", session, cursor.position))

    @rule(count=st.integers(1, 5))
    def take_commands(self, count: int) -> None:
        """The event-service obeys some of the commands that are on their way to it."""
        commands, self.bench.stream.commands = (
            self.bench.stream.commands[:count],
            self.bench.stream.commands[count:],
        )
        for command in commands:
            self.obey(command)

    def obey(self, command: tuple[Any, ...]) -> None:
        match command:
            case ("open", int(session), _, OpenCursor() as open_):
                position = len(self.log) if open_.after_seq is None else open_.after_seq
                self.cursors[session] = Cursor(open_.generation, position, open_.paused, set(open_.types))
                self.wire.append(("opened", session, open_.generation, position))
            case ("change", int(session), change) if session in self.cursors:
                types = self.cursors[session].types
                if isinstance(change, AddTypes):
                    types.update(change.types)
                else:
                    types.difference_update(change.types)
                self.wire.append(("subscribed", session, change.change))
            case ("close", int(session)):
                self.cursors.pop(session, None)
        self.push()

    # The wire to the edge.

    @precondition(lambda self: self.wire)
    @rule(count=st.integers(1, 6))
    def arrive(self, count: int) -> None:
        """The edge handles some items as one message."""
        service = self.bench.service
        service.gather()
        for _ in range(min(count, len(self.wire))):
            match self.wire.popleft():
                case ("delivery", int(session), int(seq)):
                    name = session.to_bytes(4, "little")
                    if seq % 2:
                        service.deliver_one(name, seq, event(seq))
                    else:
                        service.deliver(name, [seq], [event(seq)], at_once=False)
                case ("opened", int(session), int(generation), int(seq)):
                    service.opened(session, generation=generation, epoch="e", seq=seq, recovered=False)
                case ("subscribed", int(session), int(change)):
                    service.types_changed(session, change)
                case ("advanced", int(session), int(seq)):
                    service.advanced([session], [seq])
        while service.flush(1):
            pass

    @precondition(lambda self: self.bench.stream.attached)
    @rule()
    def lose_the_stream(self) -> None:
        self.bench.stream.attached = False
        self.bench.stream.take()
        self.wire.clear()
        self.cursors.clear()
        self.bench.service.detached()

    @precondition(lambda self: not self.bench.stream.attached)
    @rule()
    def attach(self) -> None:
        self.bench.stream.attached = True
        self.loop.run_until_complete(self.bench.service.attached())

    # The clients.

    @rule(number=st.integers(0, CLIENTS - 1))
    def stop_reading(self, number: int) -> None:
        self.clients[number][0].clogged = True

    @rule(number=st.integers(0, CLIENTS - 1))
    def read_all(self, number: int) -> None:
        socket, client = self.clients[number]
        socket.clogged, socket.holds = False, 0
        if client.blocked:
            self.bench.service.drained(client)

    @rule(number=st.integers(0, CLIENTS - 1), kind=st.sampled_from(["subscribe", "unsubscribe"]))
    def change_the_other_type(self, number: int, kind: str) -> None:
        self.bench.say(self.clients[number][1], type=kind, events=["b"])

    @rule(number=st.integers(0, CLIENTS - 1))
    def say_something(self, number: int) -> None:
        socket, client = self.clients[number]
        self.bench.say(client, type="heartbeat")
        acks = [frame["seq"] for frame in socket.frames() if frame.get("type") == "heartbeat_ack"]
        assert acks == sorted(acks)

    # What must hold.

    @invariant()
    def nobody_reads_out_of_order_or_twice(self) -> None:
        for socket, _ in getattr(self, "clients", []):
            seqs = socket.seqs()
            assert all(before < after for before, after in itertools.pairwise(seqs)), seqs
            self.assert_no_hole(socket)

    def assert_no_hole(self, socket: FakeSocket) -> None:
        """Up to the last event read, none of the type that was always subscribed is missing."""
        read = set(socket.seqs())
        missing = [
            seq
            for seq, kind in enumerate(self.log, 1)
            if kind == "a" and seq not in read and seq <= max(read, default=0)
        ]
        assert not missing, (missing, sorted(read))

    def drain_wire(self) -> None:
        while self.bench.stream.commands or self.wire:
            if self.bench.stream.commands:
                self.take_commands(count=5)
            if self.wire:
                self.arrive(count=6)

    def settle(self) -> None:
        """Everybody reads, the stream is there, the wire runs empty: then nothing is missing."""
        if not self.bench.stream.attached:
            self.attach()
        for _ in range(len(self.log) + 10):
            for number in range(CLIENTS):
                self.read_all(number)
            self.drain_wire()
        self.nobody_reads_out_of_order_or_twice()
        for socket, client in self.clients:
            assert {seq for seq, kind in enumerate(self.log, 1) if kind == "a"} <= set(socket.seqs())
            assert client.subscription.unanswered == 0
            questions = [frame for frame in socket.frames() if frame.get("type") == "subscription_updated"]
            assert set(questions[-1]["subscribed_events"]) == set(client.subscription.types)


TestDeliveryMachine = DeliveryMachine.TestCase
TestDeliveryMachine.settings = settings(max_examples=80, stateful_step_count=50)
