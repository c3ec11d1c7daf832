"""Takes the pictures of docs/images: `./harkara test --browser --screenshots`. They are to be looked at.

What they show is the demo's city, in the order of a day: the live page needs a minute of it, the journey an
order that is on its way.
"""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

import httpx
import pytest
from PIL import Image
from playwright.async_api import Page, ViewportSize, expect

from tests.support.browser import DESKTOP, Browsing
from tests.support.demo import Demo, living_city
from tests.support.mesh import Mesh
from tests.support.plain_client import listening

pytestmark = [pytest.mark.screenshots, pytest.mark.timeout(400)]

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
PHONE = ViewportSize(width=390, height=844)
LOOKS: list[tuple[str, ViewportSize, Literal["light", "dark"]]] = [
    ("light", DESKTOP, "light"),
    ("dark", DESKTOP, "dark"),
    ("phone", PHONE, "light"),
]
SECONDS_OF_LIVE = 65
ON_ITS_WAY_MS = 90_000


async def take(page: Page, name: str) -> None:
    """A picture, with as many colours as it needs and no more."""
    png = await page.screenshot(animations="disabled", caret="hide")
    with Image.open(io.BytesIO(png)) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        IMAGES.mkdir(exist_ok=True)
        few.save(IMAGES / f"{name}.png", optimize=True)


@asynccontextmanager
async def listeners(mesh: Mesh, demo: Demo) -> AsyncIterator[None]:
    """Customers come and go, so that there are counts to see."""

    async def come_and_go() -> None:
        token, wallet = (demo.links[name].partition("token=")[2] for name in ("journey", "wallet"))
        types = [["*"], ["order_created", "delivery_arrived"], ["eta_updated"]]
        async with AsyncExitStack() as stack:
            for number in range(1_000):
                wanted = 8 + round(6 * math.sin(number / 7))
                if number % 12 < wanted:
                    client = listening(mesh.websocket_url, (token, wallet)[number % 2], types[number % 3])
                    await stack.enter_async_context(client)
                else:
                    await stack.pop_all().aclose()
                await asyncio.sleep(1)

    task = asyncio.create_task(come_and_go())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_pictures_are_taken(browsing: Browsing, mesh: Mesh) -> None:
    async with (
        living_city(mesh, "--rate", "20", "--speed", "12", "--seed", "16") as demo,
        listeners(mesh, demo),
    ):
        journeys = [
            (
                f"journey-{name}",
                await browsing.open(demo.links["journey"], viewport=size, color_scheme=scheme),
            )
            for name, size, scheme in LOOKS
        ]
        consoles = [
            (name, await browsing.open(demo.links["console"], viewport=size, color_scheme=scheme))
            for name, size, scheme in LOOKS
        ]
        for _, page in consoles:
            await (
                page.get_by_role("radio", name="1 min").or_(page.get_by_role("button", name="1 min")).click()
            )
        await asyncio.sleep(SECONDS_OF_LIVE)
        for name, page in consoles:
            await take(page, f"console-live-{name}")
            await page.evaluate("location.hash = '#/summary'")
            await expect(page.get_by_role("region", name="By source")).to_be_visible()
            await take(page, f"console-summary-{name}")
            await page.evaluate("location.hash = '#/critical'")
            await expect(page.get_by_role("region", name="Critical events")).to_be_visible()
            await page.evaluate("(id) => { location.hash = `#/events/${id}`; }", await an_event(mesh, demo))
            await expect(
                page.get_by_role("region", name="Delivery").get_by_text("Acknowledged")
            ).to_be_visible()
            await take(page, f"console-event-{name}")
        for name, page in journeys:
            heading = page.get_by_role("heading", level=1)
            await expect(heading).to_contain_text("on the way", timeout=ON_ITS_WAY_MS)
            await take(page, name)


async def an_event(mesh: Mesh, demo: Demo) -> str:
    """The id of the order that the journey shows."""
    token = demo.links["journey"].partition("token=")[2]
    async with httpx.AsyncClient(base_url=mesh.rest_url) as client:
        answer = await client.get(
            f"/api/websocket/events/user/{demo.links['user_id']}",
            params={"event_type": "order_created"},
            headers={"Authorization": f"Bearer {token}"},
        )
    return str(answer.raise_for_status().json()["data"][-1]["event_id"])
