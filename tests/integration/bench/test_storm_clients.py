"""The clients of `bench storm` against a real edge: they must not count what did not happen."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from tests.integration.edge.conftest import Edge, running_edge, running_events
from tests.support.scripted_mesh import TinyEventService

CLIENTS = 20


class Crowd:
    """The process, and its pipe."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(40):
            answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return answer


@asynccontextmanager
async def crowd(edge: Edge) -> AsyncIterator[Crowd]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "harkara_bench.storm_sockets",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    running = Crowd(process)
    job = {
        "url": f"ws://{edge.address}/api/websocket/ws",
        "tokens": [edge.auth.add(f"user_{number}") for number in range(CLIENTS)],
        "seconds": 20,
    }
    try:
        assert await running.ask(json.dumps(job)) == {"ready": CLIENTS}
        yield running
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def emit_unseen(events: TinyEventService, count: int) -> None:
    for number in range(CLIENTS):
        for _ in range(count):
            events.append(f"user_{number}")


async def test_all_are_back_when_each_has_what_it_missed(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge, running_events(edge) as events, crowd(edge) as clients:
        assert await clients.ask("cut") == {"cut": CLIENTS}
        emit_unseen(events, 3)
        answer = await clients.ask("back 3")
    assert (answer["back"], len(answer["waits"])) == (CLIENTS, CLIENTS)
    assert (answer["duplicates"], answer["out_of_order"], answer["failures"]) == (0, 0, {})


async def test_what_is_refused_is_counted_and_tried_again(tmp_path: Path) -> None:
    settings = {"max_connections_per_address": CLIENTS}
    async with (
        running_edge(tmp_path, settings) as edge,
        running_events(edge) as events,
        crowd(edge) as clients,
    ):
        await clients.ask("cut")
        emit_unseen(events, 1)
        for token in list(edge.auth.tokens):
            edge.auth.tokens[token] = grpc.StatusCode.UNAVAILABLE
        back = asyncio.create_task(clients.ask("back 1"))
        while len(edge.auth.asked) < 2 * CLIENTS:  # noqa: ASYNC110 - nobody tells.
            await asyncio.sleep(0.01)
        for number in range(CLIENTS):
            edge.auth.add(f"user_{number}")
        answer = await back
    assert answer["back"] == CLIENTS
    assert answer["failures"]["close 1013"] >= CLIENTS
