"""The examples of the README, and of emitting.md, do what the pages say, as they stand there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from harkara.event.v1 import event_pb2
from tests.support.mesh import Mesh
from tests.support.node import node_with_websocket, without_node
from tests.support.plain_client import connected

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 20


def example(name: str, language: str, page: str = "README.md") -> str:
    """An example of a page, by the mark before it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    match = re.search(rf"<!-- example: {name} -->\n```{language}\n(.*?)```", text, re.DOTALL)
    assert match is not None, f"{page} has no example {name}"
    return match[1]


def placed(text: str, before: str, after: str) -> str:
    """The example with the one address in it replaced by the test's own."""
    assert text.count(before) == 1
    return text.replace(before, after)


def emit_as_the_readme_says(mesh: Mesh, user_id: str, page: str = "README.md") -> str:
    program = placed(example("emit", "python", page), "127.0.0.1:50051", mesh.emit_target)
    done = subprocess.run(  # noqa: S603 - our own text.
        [sys.executable, "-W", "error", "-c", placed(program, "demo_customer", user_id)],
        env={**os.environ, "HARKARA_TOKEN": mesh.service_token_of("orders", "order_*")},
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_are_short() -> None:
    assert len(example("emit", "python").splitlines()) <= 10
    assert len(example("listen", "javascript").splitlines()) <= 10


def test_the_emitting_example_stores_an_event(mesh: Mesh) -> None:
    said = emit_as_the_readme_says(mesh, "readme_emit")
    assert said.startswith("Emitted(event_id='evt_")
    assert said.endswith("seq=1, duplicate=False)\n")


def test_the_example_without_the_client_stores_an_event(mesh: Mesh) -> None:
    said = emit_as_the_readme_says(mesh, "readme_emit_stubs", "docs/emitting.md")
    assert 'event_id: "evt_' in said
    assert "seq: 1" in said


async def test_what_the_listening_example_says_is_answered_as_it_expects(mesh: Mesh) -> None:
    program = example("listen", "javascript")
    said = [json.loads(re.sub(r"(\w+):", r'"\1":', text.replace("TOKEN", '"TOKEN"')))
            for text in re.findall(r"send\((\{.*?\})\)", program)]  # fmt: skip
    assert [message["type"] for message in said] == ["auth", "subscribe", "heartbeat"]
    mesh.add_users({"readme_frames": "customer"})
    async with connected(placed_url(mesh, program)) as client:
        for message in said:
            await client.send(
                {**message, "token": mesh.token_of("readme_frames")} if "token" in message else message
            )
        answers = [await client.receive() for _ in said]
        assert sorted(answer["type"] for answer in answers) == [
            "authenticated",
            "heartbeat_ack",
            "subscription_updated",
        ]
        mesh.emit(
            event_pb2.EventDraft(user_id="readme_frames", event_type="order_created", data='{"order_id":"o"}')
        )
        (event,) = await client.receive_events(1)
        assert (event["event_type"], event["data"]) == ("order_created", {"order_id": "o"})


def placed_url(mesh: Mesh, program: str) -> str:
    """The address in the example, with the test's port."""
    (url,) = re.findall(r'new WebSocket\("([^"]+)"\)', program)
    assert url == "ws://127.0.0.1:8080/api/websocket/ws"
    assert mesh.websocket_url.endswith("/api/websocket/ws")
    return mesh.websocket_url


async def test_the_listening_example_shows_what_the_emitting_example_emits(mesh: Mesh) -> None:
    command = node_with_websocket()
    if command is None:
        without_node()
    mesh.add_users({"readme_listen": "customer"})
    program = placed(
        example("listen", "javascript"), "ws://127.0.0.1:8080/api/websocket/ws", mesh.websocket_url
    )
    program = f"const TOKEN = {json.dumps(mesh.token_of('readme_listen'))};\n{program}"
    # What the example does not need, and the test does: to know when to emit.
    program += (
        'socket.addEventListener("message", ({ data }) => '
        'JSON.parse(data).subscribed_events && console.log("!"));'
    )
    process = await asyncio.create_subprocess_exec(*command, "-e", program, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            assert await process.stdout.readline() == b"!\n"
            await asyncio.to_thread(emit_as_the_readme_says, mesh, "readme_listen")
            shown = await process.stdout.readline()
    finally:
        process.kill()
        await process.wait()
    assert shown == b"order_created { order_id: 'ord_123', total_amount: 130 }\n"
