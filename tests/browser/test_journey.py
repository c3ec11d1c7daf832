"""An order of the demo's city, as its customer and its rider see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from playwright.async_api import Route, expect

from harkara.event.v1 import event_pb2
from tests.support.browser import PHONE, Browsing, Sockets
from tests.support.demo import living_city
from tests.support.mesh import Mesh
from tests.support.plain_client import connected

STEPS = [
    "order_created",
    "payment_completed",
    "order_confirmed",
    "order_ready",
    "delivery_accepted",
    "delivery_in_transit",
    "delivery_arrived",
    "delivery_completed",
]
HEARTBEAT_MS = 30_000
# A city in which an order takes seconds, and ends by itself.
HURRIED = ("--speed", "250", "--rate", "20", "--orders", "4", "--seed", "10")


def token_in(link: str) -> str:
    """The token that a link of the demo has in its fragment."""
    return parse_qs(urlsplit(link).fragment)["token"][0]


async def history(mesh: Mesh, token: str, event_type: str) -> list[dict[str, Any]]:
    """What REST says, newest first."""
    user_id = jwt.decode(token, options={"verify_signature": False})["user_id"]
    async with httpx.AsyncClient(base_url=mesh.rest_url) as client:
        answer = await client.get(
            f"/api/websocket/events/user/{user_id}",
            params={"event_type": event_type},
            headers={"Authorization": f"Bearer {token}"},
        )
    return list(answer.raise_for_status().json()["data"])


async def test_an_order_goes_to_delivered_before_its_customers_eyes(browsing: Browsing, mesh: Mesh) -> None:
    async with living_city(mesh, *HURRIED) as demo:
        page = await browsing.open(demo.links["journey"])
        assert "token" not in page.url
        assert demo.links["order_id"] in page.url
        await expect(page.get_by_role("img", name="Map:")).to_be_visible()

        await expect(page.get_by_role("heading", level=1)).to_have_text("Delivered", timeout=40_000)

        steps = page.locator(".steps > li")
        await expect(steps).to_have_count(len(STEPS))
        await expect(page.locator(".steps > li.done")).to_have_count(len(STEPS))
        shown = await steps.locator("time").evaluate_all("(times) => times.map((time) => time.dateTime)")
        token = token_in(demo.links["journey"])
        for event_type, time in zip(STEPS, shown, strict=True):
            told = [
                event["timestamp"]
                for event in await history(mesh, token, event_type)
                if event["data"]["order_id"] == demo.links["order_id"]
            ]
            assert [text[:19] for text in told] == [time[:19]], event_type


async def test_a_page_that_is_opened_later_shows_the_same_journey(browsing: Browsing, mesh: Mesh) -> None:
    async with living_city(mesh, *HURRIED) as demo:
        await demo.said("ended")
    page = await browsing.open(demo.links["journey"], viewport=PHONE)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Delivered")
    await expect(page.locator(".steps > li.done")).to_have_count(len(STEPS))
    widths = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


async def test_a_riders_wallet_holds_what_the_last_event_says(browsing: Browsing, mesh: Mesh) -> None:
    async with living_city(mesh, *HURRIED) as demo:
        page = await browsing.open(demo.links["wallet"])
        await demo.said("ended")
    last, *_ = await history(mesh, token_in(demo.links["wallet"]), "wallet_updated")
    balance = last["data"]["new_balance"]
    digits = ",?".join(str(balance))  # Grouped as India does.
    await expect(page.locator(".wallet .value")).to_have_text(re.compile(f"^₹{digits}$"))


async def test_a_journey_acknowledges_what_it_has_shown(browsing: Browsing, mesh: Mesh) -> None:
    mesh.add_users({"acknowledger": "customer"})
    token = mesh.token_of("acknowledger", "customer")
    page = await (await browsing.context()).new_page()
    await page.clock.install()
    sockets = Sockets(page)
    await page.goto(f"{mesh.rest_url}/journey.html#token={token}")
    await expect(page.locator("#connection")).to_have_text("Live")
    event_id = await emit(mesh, "acknowledger", "order_created", order_id="ord_1")
    # The history may have it before it is told, and only what was told is acknowledged.
    await sockets.heard_events(1)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ordered")

    await page.clock.fast_forward(HEARTBEAT_MS)
    await sockets.heard("heartbeat_ack")

    device = await page.evaluate("localStorage.getItem('harkara.device')")
    path = f"/api/websocket/events/{event_id}/delivery"
    async with httpx.AsyncClient(base_url=mesh.rest_url) as client, asyncio.timeout(20):
        while True:  # It is written within 5 s.
            answer = await client.get(path, headers={"Authorization": f"Bearer {token}"})
            if devices := answer.raise_for_status().json()["data"]["devices"]:
                break
            await asyncio.sleep(0.05)
    assert [(known["device_id"], known["acknowledged"]) for known in devices] == [(device, True)]


async def test_a_journey_that_is_opened_again_does_not_play_what_it_missed(
    browsing: Browsing, mesh: Mesh
) -> None:
    user_id = "away"
    mesh.add_users({user_id: "customer"})
    url = f"{mesh.rest_url}/journey.html#token={mesh.token_of(user_id, 'customer')}"
    async with connected(mesh.websocket_url) as before:  # The same browser, an order ago.
        await before.authenticate(mesh.token_of(user_id), device_id="browser-1", resume=None)
        await before.subscribe("*")
        await emit(mesh, user_id, "order_created", order_id="ord_1")
        await before.receive_events(1)
        await before.send({"type": "ack", "seq": 1})
    await emit(mesh, user_id, "payment_completed", order_id="ord_1", payment_id="pay_1", amount=1)
    await emit(mesh, user_id, "order_created", order_id="ord_2")

    may_read = asyncio.Event()

    async def when_all_was_told(route: Route) -> None:
        await may_read.wait()
        await route.continue_()

    storage = {mesh.rest_url: {"harkara.device": "browser-1"}}
    page = await (await browsing.context(storage=storage)).new_page()
    sockets = Sockets(page)
    await page.route("**/events/user/**", when_all_was_told)
    await page.goto(url)
    await sockets.heard_events(2)
    await expect(page.locator(".map .street").first).to_be_attached()  # All that is not the history is there.
    await expect(page.get_by_text("Looking for your order")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_have_count(0)
    may_read.set()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ordered")
    await expect(page.get_by_label("Show")).to_have_value("ord_2")


async def test_the_rider_comes_nearer_and_the_estimate_falls_as_events_come(
    browsing: Browsing, mesh: Mesh
) -> None:
    user_id = "expects"
    mesh.add_users({user_id: "customer"})
    shop, home = {"latitude": 28.6330, "longitude": 77.2190}, {"latitude": 28.6290, "longitude": 77.2240}
    spots = [
        [shop[axis] + (home[axis] - shop[axis]) * share for axis in ("latitude", "longitude")]
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    await emit(mesh, user_id, "order_created", order_id="ord_1", shop=shop, destination=home)
    await emit(
        mesh, user_id, "delivery_accepted", delivery_id="del_1", order_id="ord_1", delivery_boy_name="Ravi"
    )
    page = await browsing.open(f"{mesh.rest_url}/journey.html#token={mesh.token_of(user_id, 'customer')}")
    await expect(page.locator("#connection")).to_have_text("Live")
    await emit(
        mesh, user_id, "delivery_in_transit", delivery_id="del_1", route=spots, **at(spots[0]), eta_minutes=40
    )
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ravi is on the way to you")

    rider = page.locator(".mark-rider")
    told = []
    for number, spot in enumerate(spots[1:4], 1):
        kilometres = 4 - number
        await emit(
            mesh, user_id, "location_updated", delivery_id="del_1", latitude=spot[0], longitude=spot[1]
        )
        await emit(
            mesh,
            user_id,
            "eta_updated",
            delivery_id="del_1",
            eta_minutes=10 * kilometres,
            distance_remaining_km=kilometres,
        )
        await expect(page.locator(".eta-box")).to_contain_text(f"{kilometres}.0 km to go")
        minutes, seconds = (await page.locator(".eta").inner_text()).split(":")
        x, y = (await rider.get_attribute("data-spot") or "").split()
        goal_x, goal_y = (await page.locator(".mark-home").get_attribute("data-spot") or "").split()
        metres = math.hypot(float(x) - float(goal_x), float(y) - float(goal_y))
        told.append((60 * int(minutes) + int(seconds), metres))
    assert told == sorted(told, reverse=True)
    estimates, distances = zip(*told, strict=True)
    assert [round(estimate / 600 + 0.4) for estimate in estimates] == [3, 2, 1]  # In tens of minutes.
    assert distances[0] == pytest.approx(3 * distances[2], rel=0.01)


def at(spot: list[float]) -> dict[str, float]:
    """Where somebody is, as events say it."""
    return {"latitude": spot[0], "longitude": spot[1]}


async def test_the_link_that_the_demo_prints_for_people_shows_an_order(
    browsing: Browsing, mesh: Mesh
) -> None:
    command = [sys.executable, "-P", "-m", "harkara_cli", "demo", "--data-dir", mesh.data_dir]
    process = await asyncio.create_subprocess_exec(
        *command, *HURRIED, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        link = ""
        async with asyncio.timeout(40):
            while not link.startswith(mesh.rest_url):
                link = (await process.stdout.readline()).decode().strip()
        page = await browsing.open(link)
        await expect(page.locator(".steps > li.done").first).to_contain_text("Ordered")
        (order_id,) = parse_qs(urlsplit(link).query)["order"]
        await expect(page.get_by_label("Show")).to_have_value(order_id)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def emit(mesh: Mesh, user_id: str, event_type: str, **data: object) -> str:
    """Emit an event, and return its id."""
    draft = event_pb2.EventDraft(user_id=user_id, event_type=event_type, data=json.dumps(data))
    (result,) = await asyncio.to_thread(mesh.emit, draft)
    assert not result.HasField("error"), result
    return result.event_id
