"""Clients and emitters on a mesh, and in the end the verdict on what they saw."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.support.faults.checker import Verdict, check
from tests.support.faults.clients import Job
from tests.support.faults.crowd import Crowd
from tests.support.faults.emitters import Emitters, fresh_users
from tests.support.faults.history import HistoryWriter, Stored, read_history
from tests.support.faults.mesh import FaultMesh

READY_SECONDS = 60.0
CATCH_UP_SECONDS = 45.0
_CONNECTIONS_OF_A_CROWD = 10_000_000
_SMALL_BUFFER = 65_536


@dataclass(frozen=True)
class Shape:
    """What a load is like.

    Attributes:
        users: How many.
        clients_each: How many clients each of them has.
        rate: Events a second, all users together.
        processes: Over how many processes the clients are dealt out.
        bytes_each: Of each event's `data`, about.
        url: Where clients connect; the mesh's own where None.
        targets: Where Emit is answered; the mesh's own where empty.
        token_seconds: How long clients' tokens last.
        refreshes: Whether clients bring a new token in time.
        heartbeat_seconds: How often clients say something.
        dead_seconds: After how long without a frame clients give a connection up.
        longest_back_off: What the bound of clients' pauses doubles up to, in seconds; docs/protocol.md says
            60, which would be most of a test.
        slow_clients: How many users' first clients are in a last process of their own, with small buffers,
            so that they can be held.
        devices: How many users' first clients leave it to the server how far their device got.
    """

    users: int = 100
    clients_each: int = 1
    rate: float = 100.0
    processes: int = 1
    bytes_each: int = 100
    url: str | None = None
    targets: Sequence[str] = ()
    token_seconds: int = 3_600
    refreshes: bool = True
    heartbeat_seconds: float = 30.0
    dead_seconds: float = 75.0
    longest_back_off: float = 4.0
    slow_clients: int = 0
    devices: int = 0


@dataclass
class Load:
    """A running load; `end` it inside its `async with`.

    Attributes:
        mesh: On what.
        shape: What it is like.
        user_ids: Whose events.
        crowds: The processes of its clients.
        emitters: Of its events.
        history: What the emitters write into.
        say: Tells people what is done.
        paths: The files of its history.
    """

    mesh: FaultMesh
    shape: Shape
    user_ids: list[str]
    crowds: list[Crowd]
    emitters: Emitters
    history: HistoryWriter
    say: Callable[[str], None]
    paths: list[Path]
    _emitting: list[asyncio.Task[None]] = field(default_factory=list)

    def start_emitting(self) -> None:
        """Emit at the shape's rate from now on, until `end`."""
        self._emitting.append(asyncio.create_task(self.emitters.run(self.shape.rate, float("inf"))))

    def do(self, what: str) -> None:
        """Note what is done to the mesh now."""
        self.history.note(what)
        self.say(what)

    async def for_seconds(self, seconds: float) -> None:
        """Let it go on as it is."""
        await asyncio.sleep(seconds)

    async def stop_emitting(self) -> None:
        """Emit nothing new; returns when every event has its answer."""
        await self.abandon_emitting()
        await self.emitters.settle()

    async def abandon_emitting(self) -> None:
        """Emit nothing new, whatever becomes of what is under way."""
        for task in self._emitting:
            task.cancel()
        await asyncio.gather(*self._emitting, return_exceptions=True)
        self._emitting.clear()

    async def all_are_connected(self, seconds: float = READY_SECONDS) -> None:
        """Wait until every client is connected and subscribed."""
        for crowd in self.crowds:
            behind = await crowd.reach({}, seconds)
            assert not behind, f"{len(behind)} clients are not connected after {seconds:.0f} s"

    async def lost_connections(self) -> int:
        """How many connections on which a client was subscribed have ended so far."""
        return sum([(await crowd.state()).lost for crowd in self.crowds])

    async def all_have_lost(self, before: int) -> None:
        """Wait until every client has noticed that its connection is lost.

        Args:
            before: How many there were that had ended before, of `lost_connections`.
        """
        wanted = before + self.shape.users * self.shape.clients_each
        deadline = time.monotonic() + READY_SECONDS
        while (lost := await self.lost_connections()) < wanted:
            assert time.monotonic() < deadline, f"{wanted - lost} clients have not lost their connection"
            await asyncio.sleep(0.02)

    async def end(self) -> Verdict:
        """Stop emitting, let everybody catch up, close, and judge; the verdict may be of faults."""
        await self.stop_emitting()
        began = time.monotonic()
        for crowd in self.crowds:
            behind = await crowd.reach(self.emitters.highest, CATCH_UP_SECONDS)
            if behind:
                self.do(f"{len(behind)} clients did not catch up, such as {dict(list(behind.items())[:3])}")
        self.history.note(f"caught up in {time.monotonic() - began:.2f} s")
        await asyncio.gather(*(crowd.close() for crowd in self.crowds))
        for stored in await asyncio.to_thread(_read_log, self.mesh.mesh.postgres_dsn, self.user_ids):
            self.history.write(stored)
        self.history.flush()
        verdict = await asyncio.to_thread(lambda: check(read_history(self.paths)))
        self.say(verdict.summary())
        return verdict


@asynccontextmanager
async def running_load(
    mesh: FaultMesh, shape: Shape, folder: Path, rng: random.Random, say: Callable[[str], None]
) -> AsyncIterator[Load]:
    """Add users, connect their clients, and stand ready to emit."""
    name = f"u{rng.randrange(16**6):06x}"
    user_ids = fresh_users(name, shape.users)
    for part in _parts(user_ids, 2_000):
        await asyncio.to_thread(mesh.mesh.add_users, dict.fromkeys(part, "customer"))
    clients = [
        (f"{user_id}.{number}", user_id) for user_id in user_ids for number in range(shape.clients_each)
    ]
    slow = {f"{user_id}.0" for user_id in user_ids[: shape.slow_clients]}
    devices = {f"{user_id}.0" for user_id in user_ids[: shape.devices]}
    parts = _dealt([client for client in clients if client[0] not in slow], shape.processes)
    if slow:
        parts.append([client for client in clients if client[0] in slow])
    jobs = [
        Job(
            url=shape.url or mesh.mesh.websocket_url,
            data_dir=mesh.mesh.data_dir,
            history=str(folder / f"{name}-clients-{number}.jsonl"),
            clients=[(client[0], client[1]) for client in part],
            devices=[client[0] for client in part if client[0] in devices],
            first_connection=number * _CONNECTIONS_OF_A_CROWD,
            seed=rng.randrange(1 << 32),
            token_seconds=shape.token_seconds,
            refreshes=shape.refreshes,
            heartbeat_seconds=shape.heartbeat_seconds,
            dead_seconds=shape.dead_seconds,
            longest_back_off=shape.longest_back_off,
            receive_buffer=_SMALL_BUFFER if number == shape.processes else None,
            source=f"127.0.{number}.1",
        )
        for number, part in enumerate(parts)
    ]
    own = folder / f"{name}-emitters.jsonl"
    crowds: list[Crowd] = []
    with HistoryWriter(own) as history:
        emitters = Emitters(
            shape.targets or mesh.emit_targets,
            mesh.mesh.service_token,
            user_ids,
            history,
            rng=random.Random(rng.randrange(1 << 32)),  # noqa: S311 - to be repeated.
            bytes_each=shape.bytes_each,
        )
        load = Load(mesh, shape, user_ids, crowds, emitters, history, say, [own])
        try:
            for job in jobs:
                crowds.append(await Crowd.start(job))
                load.paths.append(Path(job.history))
            await load.all_are_connected()
            yield load
        finally:
            await load.abandon_emitting()
            await emitters.close()
            for crowd in crowds:
                await crowd.kill()


def _parts(items: list[str], size: int) -> list[list[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _dealt(clients: list[tuple[str, str]], parts: int) -> list[list[tuple[str, str]]]:
    return [clients[index::parts] for index in range(parts)]


def _read_log(dsn: str, user_ids: Sequence[str]) -> list[Stored]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT user_id, seq, event_id FROM event_log WHERE user_id = ANY(%s) ORDER BY user_id, seq",
            [list(user_ids)],
        )
        found: dict[str, Stored] = {}
        for user_id, seq, event_id in rows:
            found.setdefault(user_id, Stored(user_id, [])).events.append((seq, event_id))
    return list(found.values())
