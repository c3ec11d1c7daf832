"""Pages of the web console, as a test opens and drives them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from playwright.async_api import BrowserContext, Locator, Page, Route, expect

from harkara.event.v1 import event_pb2
from tests.support.browser import Browsing
from tests.support.mesh import Mesh

# Two users whom every test may be; what is counted of a user is counted of one of the test's own.
ADMIN, CUSTOMER = "console_admin", "console_customer"


async def signed_in(browsing: Browsing, mesh: Mesh, user_id: str, place: str = "", **options: Any) -> Page:
    """A page of the console in a browser of its own, opened by a link that signs a user in."""
    page = await signed_in_here(await browsing.context(**options), mesh, user_id)
    if place:
        await go(page, place)
    return page


async def signed_in_here(context: BrowserContext, mesh: Mesh, user_id: str) -> Page:
    """A tab of this browser."""
    token = mesh.token_of(user_id, "admin" if user_id == ADMIN else "customer")
    page = await context.new_page()
    await page.goto(f"{mesh.rest_url}/#token={token}")
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    return page


async def go(page: Page, place: str) -> None:
    """To another page of the console."""
    await page.evaluate("(place) => { location.hash = place; }", place)


async def ask(mesh: Mesh, path: str, user_id: str = ADMIN) -> dict[str, Any]:
    """What REST says."""
    async with httpx.AsyncClient(base_url=mesh.rest_url) as client:
        answer = await client.get(path, headers={"Authorization": f"Bearer {mesh.token_of(user_id)}"})
    answer.raise_for_status()
    return dict(answer.json())


def answering(body: dict[str, Any], status: int = 200) -> Callable[[Route], Awaitable[None]]:
    """A handler of a route that answers this, in the server's place."""

    async def answer(route: Route) -> None:
        await route.fulfill(status=status, json=body)

    return answer


def draft(user_id: str, event_type: str = "order_created", **data: object) -> event_pb2.EventDraft:
    return event_pb2.EventDraft(user_id=user_id, event_type=event_type, data=json.dumps(data))


async def emit(mesh: Mesh, *events: event_pb2.EventDraft, token: str | None = None) -> list[str]:
    """Emit, and return the ids."""
    results = await asyncio.to_thread(lambda: mesh.emit(*events, token=token))
    assert not [result for result in results if result.HasField("error")], results
    return [result.event_id for result in results]


def feed_rows(page: Page) -> Locator:
    return page.get_by_role("list", name="Events, newest first").get_by_role("link")


async def addresses(rows: Locator) -> list[str]:
    """Where these links lead to."""
    return list(await rows.evaluate_all("(rows) => rows.map((row) => row.getAttribute('href'))"))
