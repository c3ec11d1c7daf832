"""A socket and an Attach stream in memory, for the edge's service without a network."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry

from harkara_edge.domain.commands import AddTypes, Moment, OpenCursor, Principal, RemoveTypes
from harkara_edge.domain.errors import VerificationError
from harkara_edge.domain.limits import Limits, UnsentTotal
from harkara_edge.domain.revocations import Revocation
from harkara_edge.domain.session import Rules
from harkara_edge.metrics import Metrics
from harkara_edge.service import Client, EdgeService

TYPES = frozenset({"a", "b", "c"})


def payloads(data: bytes) -> list[bytes]:
    """Take joined text frames apart."""
    found = []
    while data:
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4]), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10]), 10
        found.append(data[start : start + length])
        data = data[start + length :]
    return found


class FakeSocket:
    """Takes everything at once, unless it is clogged: then it holds what is written."""

    def __init__(self) -> None:
        self.address = "192.0.2.1"
        self.writes: list[bytes] = []
        self.clogged = False
        self.holds = 0
        self.held = False
        self.due: float | None = None
        self.close_code: int | None = None
        self.client: Client | None = None

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        if self.clogged:
            self.holds += len(data)
            assert self.client is not None
            self.client.blocked = True

    def unsent(self) -> int:
        return self.holds

    def hold(self, holding: bool) -> None:
        self.held = holding

    def schedule(self, when: float) -> None:
        self.due = when

    def close(self, close_code: int) -> None:
        self.close_code = close_code

    def frames(self) -> list[dict[str, Any]]:
        """Everything written so far, one by one."""
        return [json.loads(text) for data in self.writes for text in payloads(data)]

    def seqs(self) -> list[int]:
        return [frame["seq"] for frame in self.frames() if "event_type" in frame]


class FakeStream:
    """Keeps the commands."""

    def __init__(self) -> None:
        self.attached = True
        self.commands: list[tuple[Any, ...]] = []
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.waited_for = asyncio.Event()

    def _keep(self, *command: Any) -> None:
        if self.attached:
            self.commands.append(command)

    def open(self, session: int, user_id: str, command: OpenCursor) -> None:
        self._keep("open", session, user_id, command)

    def change(self, session: int, command: AddTypes | RemoveTypes) -> None:
        self._keep("change", session, command)

    def written(self, session: int, seq: int) -> None:
        self._keep("written", session, seq)

    def acknowledge(self, session: int, seq: int) -> None:
        self._keep("ack", session, seq)

    def close(self, session: int) -> None:
        self._keep("close", session)

    async def room(self) -> None:
        self.waited_for.set()
        await self.has_room.wait()

    def take(self) -> list[tuple[Any, ...]]:
        taken, self.commands = self.commands, []
        return taken


class FakeVerifier:
    """Every token speaks for the user of its name, unless it is told otherwise."""

    def __init__(self) -> None:
        self.version = 1
        self.error: type[VerificationError] | None = None
        self.asked = 0
        self.crowded = False
        self.before_answer: Callable[[], None] | None = None

    async def verify(self, token: str) -> Principal:
        self.asked += 1
        answer = Principal(token, "customer", time.time() + 3_600, self.version)
        if self.before_answer is not None:
            self.before_answer()
        if self.error is not None:
            raise self.error
        return answer


class Bench:
    """A service with fakes around it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.now = 1_000.0
        self.chance = 0.0
        self.stream = FakeStream()
        self.verifier = FakeVerifier()
        self.metrics = Metrics(CollectorRegistry())
        self.unsent = UnsentTotal(self.limits)
        self.service = EdgeService(
            rules=Rules(self.limits, TYPES),
            stream=self.stream,
            verifier=self.verifier,
            unsent=self.unsent,
            clock=lambda: Moment(self.now, time.time()),
            new_connection_id=lambda: "conn_1",
            chance=lambda: self.chance,
            metrics=self.metrics,
        )
        self.service.revoked(1, [])

    def connect(self) -> tuple[FakeSocket, Client]:
        socket = FakeSocket()
        client = socket.client = self.service.connected(socket)
        return socket, client

    async def verify(self, user_id: str = "u") -> tuple[FakeSocket, Client]:
        """Return a client whose cursor was asked for."""
        socket, client = self.connect()
        self.say(client, type="auth", token=user_id)
        await self.settle()
        return socket, client

    async def settle(self) -> None:
        """Let every verification under way end."""
        while self.service._verifications:
            for task in list(self.service._verifications):
                await task

    def say(self, client: Client, **message: Any) -> None:
        self.service.received(client, json.dumps(message))

    def opened(self, client: Client, seq: int | None = None) -> None:
        self.service.opened(
            client.number,
            generation=client.generation,
            epoch="e",
            seq=client.position if seq is None else seq,
            recovered=False,
        )

    async def open(self, user_id: str = "u", *types: str) -> tuple[FakeSocket, Client]:
        """Return a client that is live and subscribed."""
        socket, client = await self.verify(user_id)
        self.opened(client, 0)
        if types:
            self.say(client, type="subscribe", events=list(types))
            self.service.types_changed(client.number, 1)
        socket.writes.clear()
        self.stream.take()
        return socket, client

    def deliver(self, *items: tuple[list[Client], list[int]], size: int = 0, at_once: bool = False) -> None:
        """Handle one answer of the stream: to these clients these events, and so on."""
        self.service.gather()
        for clients, seqs in items:
            sessions = b"".join(client.number.to_bytes(4, "little") for client in clients)
            if len(clients) == 1 and not at_once:
                for seq in seqs:
                    self.service.deliver_one(sessions, seq, event(seq, size))
            else:
                self.service.deliver(sessions, seqs, [event(seq, size) for seq in seqs], at_once=at_once)
        while self.service.flush(512):
            pass

    def revoke(self, version: int, *revocations: Revocation) -> None:
        self.service.revoked(version, list(revocations))


def event(seq: int, size: int = 0) -> bytes:
    return json.dumps({"event_type": "a", "seq": seq, "pad": "x" * size}).encode()
