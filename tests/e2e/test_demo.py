"""`./harkara demo` against a real mesh: what it emits can be read, and nothing stops it but the person."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from harkara_cli.demo.services import SERVICES
from tests.support.mesh import Mesh
from tests.support.processes import frozen

SECONDS = 30
STEPS = [
    "order_created",
    "payment_initiated",
    "payment_failed",
    "payment_initiated",
    "payment_completed",
    "order_confirmed",
    "order_ready",
    "delivery_accepted",
    "delivery_in_transit",
    "delivery_arrived",
    "delivery_completed",
]
"""Of the first order of the usual seed: its first payment fails."""


def command(data_dir: str | Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "harkara_cli", "demo", "--data-dir", str(data_dir), *arguments]


def history(url: str, token: str, user_id: str) -> list[dict[str, Any]]:
    """All events of a user, the oldest first."""
    events: list[dict[str, Any]] = []
    more: dict[str, int] = {}
    while True:
        answer = httpx.get(
            f"{url}/api/websocket/events/user/{user_id}",
            params={"limit": 100, **more},
            headers={"Authorization": f"Bearer {token}"},
        )
        page = answer.raise_for_status().json()["data"]
        events += page
        if len(page) < 100:
            return events[::-1]
        more = {"before_seq": page[-1]["seq"]}


def steps_of(events: list[dict[str, Any]], order_id: str) -> list[str]:
    return [
        event["event_type"]
        for event in events
        if event["data"].get("order_id") == order_id
        and event["event_type"] not in ("location_updated", "eta_updated")
    ]


def test_two_orders_live_to_their_end_and_rest_has_each_step_once(mesh: Mesh) -> None:
    done = subprocess.run(  # noqa: S603 - our own command.
        command(mesh.data_dir, "--orders", "2", "--speed", "1000", "--rate", "100", "--json"),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    started, *_, ended = [json.loads(line) for line in done.stdout.splitlines()]
    assert (started["kind"], ended["kind"]) == ("started", "ended")
    assert (ended["orders"], ended["delivered"] + ended["given_up"], ended["under_way"]) == (2, 2, {})

    # The customer's link, with the token in it, is what their browser has.
    link = urlsplit(started["journey"])
    assert (f"{link.scheme}://{link.netloc}", link.path) == (mesh.rest_url, "/journey.html")
    assert parse_qs(link.query) == {"order": [started["order_id"]]}
    token = link.fragment.removeprefix("token=")
    events = history(mesh.rest_url, token, started["user_id"])
    assert steps_of(events, started["order_id"]) == STEPS
    ours = [event for event in events if event["data"].get("order_id") == started["order_id"]]
    assert [event["seq"] for event in ours] == sorted(event["seq"] for event in ours)
    assert {event["source"] for event in ours} <= set(SERVICES)
    assert Counter(event["event_type"] for event in ours)["location_updated"] > 3


@contextmanager
def living_city(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603 - our own command.
        command(data_dir, "--speed", "200", "--rate", "40", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def next_news(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        told = json.loads(line)
        if told["kind"] == "news" and word in told["message"]:
            return
    raise AssertionError(word)


def test_it_waits_for_a_mesh_that_does_not_answer_and_ends_with_ctrl_c(mesh: Mesh) -> None:
    with living_city(Path(mesh.data_dir)) as city:
        assert city.stdout is not None
        started = json.loads(city.stdout.readline())
        with frozen(mesh.pids["event-service"][0]):
            next_news(city, "the city waits")
        next_news(city, "the city goes on")
        city.send_signal(signal.SIGINT)
        rest, _ = city.communicate(timeout=SECONDS)
        ended = json.loads(rest.splitlines()[-1])
        assert (city.returncode, ended["kind"]) == (0, "ended")
        assert ended["events"] > 0
        events = history(mesh.rest_url, mesh.admin_token, started["user_id"])
        # What was stored though its answer was lost is there once.
        steps = steps_of(events, started["order_id"])
        assert steps == STEPS[: len(steps)]


def test_without_a_mesh_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own command.
        command(tmp_path), capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 1
    assert done.stderr == f"harkara: no mesh runs on {tmp_path}: start it with ./harkara up\n"
