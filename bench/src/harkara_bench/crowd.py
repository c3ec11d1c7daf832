"""The parent's hold on a process of sockets (`sockets.py`)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """What all sockets have seen since they were opened.

    Args:
        events: how many.
        last_at: when the last one that was waited for came, by `time.monotonic()`.
        out_of_order: how many did not carry their socket's next seq.
        lost: how many sockets were lost.
    """

    events: int
    last_at: float
    out_of_order: int
    lost: int


class Crowd:
    """Many open sockets in one process of their own."""

    def __init__(self, process: asyncio.subprocess.Process, size: int) -> None:
        self._process = process
        self.size = size

    @classmethod
    async def open(cls, url: str, tokens: Sequence[str]) -> Crowd:
        """Open a socket for each token, subscribed to everything; returns once all are.

        Raises:
            RuntimeError: not all could be opened.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "harkara_bench.sockets",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        crowd = cls(process, len(tokens))
        await crowd._tell(json.dumps({"url": url, "tokens": list(tokens)}))
        answer = await crowd._hear()
        if answer.get("ready") != len(tokens):
            message = f"only {answer.get('ready', 0)} of {len(tokens)} sockets opened"
            raise RuntimeError(message)
        return crowd

    async def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(line.encode() + b"\n")
            await self._process.stdin.drain()

    async def _hear(self) -> dict[str, float]:
        line = await self._process.stdout.readline() if self._process.stdout is not None else b""
        answer: dict[str, float] = json.loads(line or b"{}")
        return answer

    async def wait_for(self, events: int) -> Seen:
        """Wait until the sockets have seen so many events altogether, a minute at most."""
        await self._tell(str(events))
        answer = await self._hear()
        return Seen(
            events=int(answer["events"]),
            last_at=answer["last_at"],
            out_of_order=int(answer["out_of_order"]),
            lost=int(answer["lost"]),
        )

    async def close(self) -> None:
        """Close all sockets and end the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
