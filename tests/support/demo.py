"""`./harkara demo` beside a test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.mesh import Mesh

_SECONDS = 40


class Demo:
    """A city that lives on a mesh.

    Attributes:
        links: What it says first: where to look.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self._lines = process.stdout
        self._process = process
        self.links: dict[str, Any] = {}

    async def said(self, kind: str) -> dict[str, Any]:
        """Wait for its next line of a kind.

        Raises:
            TimeoutError: None came in time.
        """
        async with asyncio.timeout(_SECONDS):
            while line := await self._lines.readline():
                told: dict[str, Any] = json.loads(line)
                if told["kind"] == kind:
                    return told
        message = f"the demo ended without saying {kind!r}"
        raise EOFError(message)


@asynccontextmanager
async def living_city(mesh: Mesh, *arguments: str) -> AsyncIterator[Demo]:
    """A demo on this mesh, until the block ends; what it says on standard error is ours."""
    command = [sys.executable, "-P", "-m", "harkara_cli", "demo", "--json", "--data-dir", mesh.data_dir]
    process = await asyncio.create_subprocess_exec(
        *command, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    demo = Demo(process)
    try:
        demo.links = await demo.said("started")
        yield demo
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()
