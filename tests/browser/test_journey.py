"""An order of the demo's city, as its customer and its rider see it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from playwright.async_api import expect

from tests.support.browser import PHONE, Browsing
from tests.support.demo import living_city
from tests.support.mesh import Mesh

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
# A city in which an order takes seconds, and ends by itself.
HURRIED = ("--speed", "100", "--rate", "20", "--orders", "4", "--seed", "10")


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
    await expect(page.locator(".wallet .value")).to_have_text(f"₹{balance:,}")
