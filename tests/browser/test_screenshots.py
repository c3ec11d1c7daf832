"""Takes the pictures of docs/images: `./harkara test --browser --screenshots`. They are to be looked at.

What they show is the demo's city: the live page needs a minute of it, the journey an order on its way.
`--keep-screenshots FOLDER` waits for neither: its pictures are to be looked at when something went wrong.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import math
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import pytest
from PIL import Image
from playwright.async_api import Page, ViewportSize, expect

from tests.support.browser import DESKTOP, Browsing, holds
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
HALFWAY_KM = 1.0
LEAST_COLOURS = 100
"""Of what stands below the head and beside the navigation: a page that shows nothing has a few."""


@dataclass
class Album:
    """Where pictures go.

    Attributes:
        folder: Into it.
        waits: Whether for a moment that is worth a picture of the docs.
    """

    folder: Path
    waits: bool

    async def take(self, page: Page, name: str) -> None:
        """A picture, with as many colours as it needs and no more."""
        png = await page.screenshot(animations="disabled", caret="hide")
        with Image.open(io.BytesIO(png)) as image:
            colours = image.convert("RGB")
            few = colours.quantize(256, dither=Image.Dither.NONE)
            self.folder.mkdir(parents=True, exist_ok=True)
            few.save(self.folder / f"{name}.png", optimize=True)
            width, height = colours.size
            content = colours.crop((width // 5, height // 6, width, height))
            assert content.getcolors(LEAST_COLOURS) is None, f"{name} shows nothing"


@pytest.fixture
def album(pytestconfig: pytest.Config) -> Album:
    kept = pytestconfig.getoption("--keep-screenshots")
    return Album(IMAGES, waits=True) if kept is None else Album(Path(kept), waits=False)


@asynccontextmanager
async def listeners(mesh: Mesh) -> AsyncIterator[None]:
    """Customers come and go, so that there are counts to see."""
    names = [f"visitor_{number}" for number in range(25)]
    mesh.add_users(dict.fromkeys(names, "customer"))
    types = (["*"], ["order_created", "delivery_arrived"], ["eta_updated"])

    async def come_and_go() -> None:
        there: list[AsyncExitStack] = []
        try:
            for second in itertools.count():
                wanted = round(14 + 6 * math.sin(second / 6) + 4 * math.sin(second / 2.3))
                while len(there) > wanted:
                    await there.pop(0).aclose()
                while len(there) < wanted:
                    number = second + len(there)
                    token = mesh.token_of(names[number % len(names)])
                    stack = AsyncExitStack()
                    client = listening(mesh.websocket_url, token, types[number % len(types)])
                    await stack.enter_async_context(client)
                    there.append(stack)
                await asyncio.sleep(1)
        finally:
            for stack in there:
                await stack.aclose()

    task = asyncio.create_task(come_and_go())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_pictures_are_taken(browsing: Browsing, mesh: Mesh, album: Album) -> None:
    async with living_city(mesh, "--rate", "20", "--speed", "12", "--seed", "10") as demo, listeners(mesh):
        journeys = [
            (name, await browsing.open(demo.links["journey"], viewport=size, color_scheme=scheme))
            for name, size, scheme in LOOKS
        ]
        consoles = [
            (name, await browsing.open(demo.links["console"], viewport=size, color_scheme=scheme))
            for name, size, scheme in LOOKS
        ]
        for _, page in consoles:
            await page.get_by_role("button", name="1 min").click()
        began = time.monotonic()
        for name, page in journeys:
            heading = page.get_by_role("heading", level=1)
            if album.waits:
                await expect(heading).to_contain_text("on the way", timeout=ON_ITS_WAY_MS)
                await holds(
                    page,
                    f"parseFloat(document.querySelector('.eta-box').lastChild.textContent) < {HALFWAY_KM}",
                )
            else:
                await expect(page.locator(".steps > li.done").first).to_be_visible()
            await album.take(page, f"journey-{name}")
        if album.waits:
            await asyncio.sleep(max(0, began + SECONDS_OF_LIVE - time.monotonic()))
        event_id = await an_event(mesh, demo)
        for name, page in consoles:
            await album.take(page, f"console-live-{name}")
            await page.evaluate("location.hash = '#/summary'")
            await expect(page.get_by_role("region", name="By source")).to_be_visible()
            await album.take(page, f"console-summary-{name}")
            await page.evaluate("(id) => { location.hash = `#/events/${id}`; }", event_id)
            delivery = page.get_by_role("region", name="Delivery")
            await expect(delivery.get_by_role("heading", name="Acknowledged")).to_be_visible()
            await album.take(page, f"console-event-{name}")


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
