"""The measurements: `emit` and `fanout`, each a list of rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace

from grpc import aio

from harkara.event.v1.event_pb2 import EventDraft
from harkara_bench.baseline import send_cost_us
from harkara_bench.crowd import Crowd
from harkara_bench.load import FRAME_BYTES, Emitter, add_users, drafts
from harkara_bench.target import Target, private_bytes, usage_of

Mint = Callable[[str], str]
"""A token for a user's id."""

Say = Callable[[str], None]
"""Tells the person what is being done now."""

SERVICES = ("event-service", "edge", "postgres", "auth-service")


@dataclass(frozen=True)
class Row:
    """One measurement.

    Args:
        name: what was done.
        events: how many events were emitted.
        delivered: how many frames clients received.
        seconds: from the first Emit to the last frame.
        cpu_us: CPU microseconds of each service, for each unit of work.
        unit: what that unit is: an event, or a delivered message.
        out_of_order: frames that did not carry their socket's next seq; anything but 0 is a fault.
        bare_us: of `fanout`, CPU microseconds that a program takes which does nothing but send such frames to
            as many sockets, for each message: the floor of this machine in this hour.
    """

    name: str
    events: int
    delivered: int
    seconds: float
    cpu_us: dict[str, float]
    unit: str
    out_of_order: int
    bare_us: float | None = None

    @property
    def rate(self) -> float:
        """Events a second, end to end."""
        return self.events / self.seconds


@dataclass(frozen=True)
class Memory:
    """What one idle connection costs.

    Args:
        connections: how many were opened.
        bytes_each: private bytes of each service for each of them.
    """

    connections: int
    bytes_each: dict[str, float]


@dataclass(frozen=True)
class Report:
    """What one bench found.

    Args:
        rows: one for each measurement.
        memory: of `fanout`, what idle connections hold.
    """

    rows: Sequence[Row]
    memory: Memory | None = None


_Work = Callable[[Sequence[EventDraft]], Coroutine[None, None, None]]


class IncompleteError(Exception):
    """Not everything that was emitted came."""


@dataclass(frozen=True)
class _Plan:
    """What is about to be measured: how many events, each to how many sockets, and what is counted."""

    name: str
    events: int
    copies: int
    unit: str


async def _measure(
    target: Target, crowd: Crowd, before: int, plan: _Plan, work: Coroutine[None, None, None]
) -> tuple[Row, int]:
    """Do `work`, wait for its frames, and say what it cost; returns the row and the frames so far."""
    used, began = usage_of(target), time.monotonic()
    await work
    frames = plan.events * plan.copies
    goal = before + frames
    seen = await crowd.wait_for(goal)
    spent = usage_of(target).since(used)
    if seen.events < goal or seen.lost:
        message = (
            f"{plan.name}: {goal - seen.events} of {frames} frames did not come, {seen.lost} sockets lost"
        )
        raise IncompleteError(message)
    units = frames if plan.unit == "message" else plan.events
    cpu_us = {service: 1e6 * spent.get(service, 0.0) / units for service in SERVICES}
    row = Row(
        name=plan.name,
        events=plan.events,
        delivered=frames,
        seconds=seen.last_at - began,
        cpu_us=cpu_us,
        unit=plan.unit,
        out_of_order=seen.out_of_order,
    )
    return row, seen.events


async def emit(target: Target, mint: Mint, say: Say, *, sockets: int, events: int) -> Report:
    """Durable Emit to `sockets` users, each with one live subscribed socket, by each of the three calls."""
    user_ids = [f"bench_{index}" for index in range(sockets)]
    say(f"adding {sockets} users")
    await add_users(target, user_ids)
    say(f"opening {sockets} sockets")
    crowd = await Crowd.open(target.websocket_url, [mint(user_id) for user_id in user_ids])
    rows: list[Row] = []
    try:
        options = [("grpc.max_receive_message_length", 8 * 1024 * 1024)]
        async with aio.insecure_channel(target.emit_target, options=options) as channel:
            emitter = Emitter(channel, target.service_token)
            await emitter.batch(drafts(user_ids, 2 * sockets), 500, 2)
            seen = (await crowd.wait_for(2 * sockets)).events
            plans: list[tuple[str, int, _Work]] = [
                ("Emit, 1 at a time", events // 100, lambda all_: emitter.unary(all_, 1)),
                ("Emit, 32 at a time", events // 10, lambda all_: emitter.unary(all_, 32)),
                ("EmitBatch of 50, 8 at a time", events // 2, lambda all_: emitter.batch(all_, 50, 8)),
                ("EmitBatch of 500, 4 at a time", events, lambda all_: emitter.batch(all_, 500, 4)),
                ("EmitStream of 50, 32 under way", events // 2, lambda all_: emitter.stream(all_, 50, 32)),
                ("EmitStream of 500, 4 under way", events, lambda all_: emitter.stream(all_, 500, 4)),
            ]
            for name, count, work in plans:
                say(name)
                plan = _Plan(name, count, 1, "event")
                row, seen = await _measure(target, crowd, seen, plan, work(drafts(user_ids, count)))
                rows.append(row)
    finally:
        await crowd.close()
    return Report(rows)


async def _one_by_one(
    emitter: Emitter, crowd: Crowd, events: Sequence[EventDraft], size: int, before: int
) -> None:
    """Emit `size` events at a time; the next when the last have come everywhere: no burst forms by itself."""
    for start in range(0, len(events), size):
        await emitter.batch(events[start : start + size], size, 1)
        await crowd.wait_for(before + (start + size) * crowd.size)


async def fanout(target: Target, mint: Mint, say: Say, *, sockets: int, events: int) -> Report:
    """One user's events to `sockets` open sockets, singly and in bursts of 10, and what idle ones hold."""
    user_id = "bench_fanout"
    say("adding the user")
    await add_users(target, [user_id])
    # A few first: what is loaded once, by the first connection, is no cost of a connection.
    warm = await Crowd.open(target.websocket_url, [mint(user_id)] * 20)
    before = {service: private_bytes(target, service) for service in ("edge", "event-service")}
    say(f"opening {sockets} sockets")
    crowd = await Crowd.open(target.websocket_url, [mint(user_id)] * sockets)
    memory = Memory(
        sockets,
        {service: (private_bytes(target, service) - value) / sockets for service, value in before.items()},
    )
    await warm.close()
    rows: list[Row] = []
    try:
        async with aio.insecure_channel(target.emit_target) as channel:
            emitter = Emitter(channel, target.service_token)
            await emitter.batch(drafts([user_id], 50), 10, 1)
            seen = (await crowd.wait_for(50 * sockets)).events
            for name, size in (("singly", 1), ("bursts of 10", 10)):
                say(name)
                work = _one_by_one(emitter, crowd, drafts([user_id], events), size, seen)
                row, seen = await _measure(target, crowd, seen, _Plan(name, events, sockets, "message"), work)
                bare_us = await asyncio.to_thread(send_cost_us, sockets, size * FRAME_BYTES)
                rows.append(replace(row, bare_us=bare_us / size))
    finally:
        await crowd.close()
    return Report(rows, memory)
