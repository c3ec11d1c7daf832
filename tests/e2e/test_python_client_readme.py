"""The examples of the Python client's README do what it says, against the whole mesh."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import psycopg

from harkara_client import Emitter
from harkara_client.outbox import Relay
from tests.support.mesh import Mesh
from tests.support.postgres import Database
from tests.support.waiting import wait_until_async

README = (Path(__file__).resolve().parents[2] / "clients/python/README.md").read_text(encoding="utf-8")
WAIT_SECONDS = 20


def example(name: str, mesh: Mesh, user_id: str) -> str:
    """An example, at this mesh and for this user."""
    match = re.search(rf"<!-- example: {name} -->\n```python\n(.*?)```", README, re.DOTALL)
    assert match is not None, f"the README has no example {name}"
    program = match[1].replace("127.0.0.1:50051", mesh.emit_target).replace("demo_customer", user_id)
    return program.replace("ws://127.0.0.1:8080/api/websocket/ws", mesh.websocket_url)


def test_each_example_is_run_here() -> None:
    named = re.findall(r"(?:<!-- example: ([\w-]+) -->\n)?```python\n", README)
    run = re.findall(r'example\("([\w-]+)"', Path(__file__).read_text(encoding="utf-8"))
    assert sorted(named) == sorted(run)


async def start(program: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-u", "-c", program, env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def said_by(program: str, **environment: str) -> list[str]:
    process = await start(program, **environment)
    async with asyncio.timeout(WAIT_SECONDS):
        said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode().splitlines()


async def test_emitting_stores_what_is_sound_and_explains_what_is_not(mesh: Mesh) -> None:
    token = mesh.service_token_of("orders", "*")
    said = await said_by(example("emit", mesh, "client_readme_emit"), HARKARA_TOKEN=token)
    assert re.fullmatch(r"evt_[0-9A-Z]{26} 1", said[0])
    assert said[1:] == ["INVALID_ARGUMENT data.total_amount"]


async def test_emitting_where_nothing_is_async(mesh: Mesh) -> None:
    token = mesh.service_token_of("orders", "*")
    (said,) = await said_by(example("emit-sync", mesh, "client_readme_sync"), HARKARA_TOKEN=token)
    assert re.fullmatch(r"Emitted\(event_id='evt_[0-9A-Z]{26}', seq=1, duplicate=False\)", said)


async def test_listening_hears_what_is_emitted_and_says_what_to_keep(mesh: Mesh) -> None:
    user = "client_readme_listen"
    mesh.add_users({user: "customer"})
    process = await start(example("listen", mesh, user), USER_TOKEN=mesh.token_of(user))
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_SECONDS):
        assert await process.stdout.readline() == b"listening\n"
        async with Emitter(mesh.emit_target, token=mesh.service_token) as emitter:
            await emitter.emit(user, "order_created", {"order_id": "ord_1", "total_amount": 130})
            await emitter.emit(user, "order_created", {"order_id": "ord_last"})
        said, _ = await process.communicate()
    assert process.returncode == 0
    lines = said.decode().splitlines()
    assert [line for line in lines if "kept" not in line] == ["1 ord_1 130", "2 ord_last UNSET"]
    assert [line.partition("@")[0] for line in lines if "kept" in line] == ["kept: 1", "kept: 2"]


async def test_the_outbox_commits_an_event_with_its_order_and_the_relay_emits_it(
    mesh: Mesh, empty_database: Database
) -> None:
    user = "client_readme_outbox"
    assert await said_by(example("outbox", mesh, user), ORDERS_DSN=empty_database.dsn) == []
    with psycopg.connect(empty_database.dsn) as connection:
        assert connection.execute("SELECT id FROM orders").fetchall() == [("ord_123",)]
    async with Emitter(mesh.emit_target, token=mesh.service_token) as emitter:
        relay = Relay(empty_database.dsn, emitter)
        running = asyncio.create_task(relay.run())
        await wait_until_async(lambda: relay.counts.emitted == 1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        again = await emitter.emit(user, "order_created", {"order_id": "ord_124"})
    assert again.seq == 2
