"""Node, where it is there: how tests run JavaScript as browsers would."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

JAVASCRIPT_CLIENT = Path(__file__).resolve().parents[2] / "clients" / "javascript"

NO_NODE = "no node with a WebSocket (20.10 or later) on the PATH"


def without_node() -> NoReturn:
    """Skip the test that runs; fail it where `CI` is set, since nobody reads there what was skipped."""
    if os.environ.get("CI"):
        pytest.fail(NO_NODE)
    pytest.skip(NO_NODE)


@functools.cache
def node_with_websocket() -> tuple[str, ...] | None:
    """How to run node so that it has a WebSocket as browsers do; None where it cannot be had."""
    node = shutil.which("node")
    for arguments in ((), ("--experimental-websocket",)) if node else ():
        assert node is not None
        asked = subprocess.run(  # noqa: S603 - which() found it.
            [node, *arguments, "-p", "typeof WebSocket"], capture_output=True, text=True, check=False
        )
        if asked.stdout.strip() == "function":
            return (node, "--no-warnings", *arguments)
    return None
