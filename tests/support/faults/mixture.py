"""A mixture of faults: drawn before anything is done, then done to a load step by step.

So a seed draws the same faults, however long each step takes.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from tests.support.faults.load import Load
from tests.support.faults.mesh import FaultMesh
from tests.support.tcp_proxy import TcpProxy

_PROCESSES = ("kill", "freeze", "stop")
ACTIONS = (*_PROCESSES, "cut", "hold", "disable", "stall", "reset", "copies")
"""Kill, freeze or stop a process; cut some clients, let the slow ones not read, disable users, stall or reset
the network of all clients, emit each event three times at once."""

_SHARE_CUT, _DISABLED = 0.25, 2
_TRIES, _TRY_SECONDS = 60, 0.5


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        action: What.
        seconds: How long it lasts, where it lasts.
        pause: Seconds until the next step.
        kind: Of which kind a process is hurt; empty where none is.
        index: Which process of that kind.
        users: The numbers of the users whom it befalls.
    """

    action: str
    seconds: float
    pause: float
    kind: str = ""
    index: int = 0
    users: tuple[int, ...] = ()

    def __str__(self) -> str:
        """In words, short enough for a line."""
        whom = f" {self.kind} {self.index + 1}" if self.kind else ""
        whom += f" {len(self.users)} users" if self.users else ""
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.action}{whom}{lasts}, then {self.pause:.1f} s"


def plan(rng: random.Random, kinds: Sequence[str], users: int, seconds: float) -> list[Step]:
    """Draw what to do for so long."""
    steps: list[Step] = []
    while sum(step.seconds + step.pause for step in steps) < seconds:
        action = rng.choice(ACTIONS)
        lasts = rng.uniform(0.5, 5) if action in {"freeze", "hold", "stall", "copies"} else 0.0
        pause = rng.uniform(0.5, 4)
        if action in _PROCESSES:
            steps.append(Step(action, lasts, pause, rng.choice(kinds), rng.randrange(2)))
            continue
        whom = {"cut": int(users * _SHARE_CUT), "disable": _DISABLED}.get(action, 0)
        steps.append(Step(action, lasts, pause, users=tuple(rng.sample(range(users), whom))))
    return steps


async def _do(load: Load, network: TcpProxy, step: Step) -> None:
    """Do one thing, for as long as it lasts."""
    load.do(str(step))
    users = [load.user_ids[number] for number in step.users]
    match step.action:
        case "kill" | "freeze" | "stop":
            await _hurt(load, step)
        case "cut":
            for crowd in load.crowds:
                whose = [client for client, user_id in crowd.job.clients if user_id in users]
                if whose:  # None would stand for all.
                    await crowd.cut(whose)
        case "hold":
            await load.crowds[-1].hold()
            await load.for_seconds(step.seconds)
            await load.crowds[-1].read()
        case "disable":
            await _disable(load.mesh, users)
        case "stall":
            network.stall()
            await load.for_seconds(step.seconds)
            network.flow()
        case "reset":
            network.cut_all(reset=True)
        case "copies":
            load.emitters.copies = 3
            await load.for_seconds(step.seconds)
            load.emitters.copies = 1


async def _hurt(load: Load, step: Step) -> None:
    """Signal one process; none where it is just being started again."""
    pids = load.mesh.pids(step.kind)
    if not pids:
        return
    index = step.index % len(pids)
    if step.action == "freeze":
        with load.mesh.frozen(step.kind, index):
            await load.for_seconds(step.seconds)
        return
    # Postgres' own SIGTERM waits for everybody to leave; SIGINT is its orderly stop.
    orderly = signal.SIGINT if step.kind == "postgres" else signal.SIGTERM
    load.mesh.signal(step.kind, signal.SIGKILL if step.action == "kill" else orderly, index)


async def _disable(mesh: FaultMesh, users: Sequence[str]) -> None:
    """Disable users, whoever is away meanwhile."""
    for _ in range(_TRIES):
        try:
            await asyncio.to_thread(mesh.mesh.change_users, "disable", users)
        except grpc.RpcError:
            await asyncio.sleep(_TRY_SECONDS)
        else:
            return
    message = "users cannot be disabled"
    raise AssertionError(message)


async def do_all(load: Load, network: TcpProxy, steps: Sequence[Step]) -> None:
    """One step after another."""
    for step in steps:
        await _do(load, network, step)
        await load.for_seconds(step.pause)
