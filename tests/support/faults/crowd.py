"""The parent's hold on a process of clients (`clients`)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec

from harkara_cli.data_dir import ROOT
from tests.support.faults.clients import Command, Job, State


class Crowd:
    """Clients in a process of their own.

    Args:
        process: It.
        job: What it does.
    """

    def __init__(self, process: asyncio.subprocess.Process, job: Job) -> None:
        self._process = process
        self._one_at_a_time = asyncio.Lock()
        self.job = job

    @classmethod
    async def start(cls, job: Job) -> Self:
        """Start the process; its clients begin to connect."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.support.faults.clients"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 26,
        )
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        return cls(process, job)

    @property
    def history(self) -> Path:
        """The file that it writes."""
        return Path(self.job.history)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def _ask(self, command: Command) -> State:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._one_at_a_time:
            self._process.stdin.write(msgspec.json.encode(command) + b"\n")
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        assert line, "the process of clients has ended"
        return msgspec.json.decode(line, type=State)

    async def state(self) -> State:
        """How they are."""
        return await self._ask(Command("state"))

    async def reach(self, seqs: Mapping[str, int], seconds: float) -> dict[str, int]:
        """Wait until each is connected and has its user's seq; those that do not in time, with theirs."""
        return (await self._ask(Command("reach", seqs=dict(seqs), seconds=seconds))).behind

    async def hold(self, clients: Sequence[str] = ()) -> None:
        """Let some of them, or all, stop reading."""
        await self._ask(Command("hold", clients=list(clients)))

    async def read(self, clients: Sequence[str] = ()) -> None:
        """Let some of them, or all, read on."""
        await self._ask(Command("read", clients=list(clients)))

    async def cut(self, clients: Sequence[str] = ()) -> None:
        """Cut the connections of some of them, or of all."""
        await self._ask(Command("cut", clients=list(clients)))

    async def close(self) -> None:
        """Let all of them leave, and end the process; its history is complete then."""
        if self._process.returncode is None:
            await self._ask(Command("leave"))
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._process.wait()

    async def kill(self) -> None:
        """End it at once."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
