"""The console that the query-service serves: true numbers while events flow, and to each what is theirs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import BrowserContext, Locator, Page, Route, expect

from harkara.event.v1 import event_pb2
from harkara_cli import mesh_state
from harkara_cli.data_dir import DataDir
from tests.support.browser import PHONE, Browsing, Sockets
from tests.support.flow import flowing
from tests.support.mesh import Mesh
from tests.support.plain_client import connected, listening

ADMIN, CUSTOMER = "console_admin", "console_customer"
CUT = r"WebSocket connection to .* failed"
AWAY = r"Failed to load resource: (net::ERR_|the server responded with a status of 50)"
STAFF_PAGES = ["Live", "Summary", "Critical"]
EVERYBODYS_PAGES = ["My feed", "History", "APIs"]
EARLIER = 20  # So many of the history a feed begins with.
ALL_TYPES = 17  # `*` counts as all of the catalogue's.


@pytest.fixture(scope="module", autouse=True)
def people(mesh: Mesh) -> None:
    mesh.add_users({ADMIN: "admin", CUSTOMER: "customer"})


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


async def test_a_pasted_token_signs_in(browsing: Browsing, mesh: Mesh) -> None:
    page = await browsing.open(mesh.rest_url)
    await page.get_by_label("Token", exact=True).fill(mesh.token_of(ADMIN))
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Live", level=1)).to_be_visible()
    await expect(page.get_by_text(ADMIN, exact=True)).to_be_visible()


async def test_a_token_that_is_refused_is_said_to_be_so(browsing: Browsing, mesh: Mesh) -> None:
    browsing.expect("status of 401")
    page = await browsing.open(mesh.rest_url)
    token = page.get_by_label("Token", exact=True)
    await token.fill("nonsense")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert").filter(has_text="That is not a token")).to_be_visible()
    head, claims, signature = mesh.token_of(ADMIN).split(".")
    await token.fill(f"{head}.{claims}.{signature[::-1]}")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert").filter(has_text="That token is not good")).to_be_visible()


async def test_a_link_signs_in_and_the_token_leaves_the_address(browsing: Browsing, mesh: Mesh) -> None:
    token = mesh.token_of(CUSTOMER, "customer")
    page = await browsing.open(f"{mesh.rest_url}/#token={token}")
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert "token" not in page.url
    assert await page.evaluate("Object.values(sessionStorage)") == [token]  # For this tab alone,
    assert token not in await page.evaluate("Object.values(localStorage)")  # and not beyond it.
    await page.reload()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert await page.evaluate("sessionStorage.length") == 0


async def test_a_customer_is_offered_what_is_theirs_and_no_more(browsing: Browsing, mesh: Mesh) -> None:
    page = await signed_in(browsing, mesh, CUSTOMER)
    pages = page.get_by_role("navigation", name="Pages").get_by_role("link")
    await expect(pages).to_have_text(EVERYBODYS_PAGES)
    await go(page, "#/live")
    await expect(page.get_by_role("heading", name="My feed", level=1)).to_be_visible()
    admins = await signed_in(browsing, mesh, ADMIN)
    await expect(admins.get_by_role("navigation", name="Pages").get_by_role("link")).to_have_text(
        [*STAFF_PAGES, *EVERYBODYS_PAGES]
    )


async def test_whether_a_token_without_a_role_is_staffs_is_asked(browsing: Browsing, mesh: Mesh) -> None:
    browsing.expect("status of 403")  # The question, and its answer.
    for user_id, name in [(CUSTOMER, "My feed"), (ADMIN, "Live")]:
        page = await browsing.open(f"{mesh.rest_url}/#token={mesh.token_of(user_id)}")
        await expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()


async def test_live_counts_are_those_of_rest_while_events_flow(browsing: Browsing, mesh: Mesh) -> None:
    mesh.add_users({"live_1": "customer", "live_2": "customer"})
    page = await signed_in(browsing, mesh, ADMIN, "#/live")

    async def shown() -> dict[str, int]:
        texts = {
            name: await page.get_by_role("region", name=title, exact=True).locator(".value").inner_text()
            for name, title in [
                ("total_connections", "Connections"),
                ("total_users", "Users"),
                ("active_subscriptions", "Subscriptions"),
            ]
        }
        return {name: int(text.replace(",", "")) for name, text in texts.items() if text != "–"}

    async def agree(**expected: int) -> None:
        """Page and REST say the same, and that it is so many."""
        async with asyncio.timeout(20):
            while True:
                said = (await ask(mesh, "/api/websocket/stats"))["data"]
                on_page = await shown()
                if (
                    expected.items() <= said.items()
                    and on_page == {name: said[name] for name in on_page} != {}
                ):
                    return

    before = (await ask(mesh, "/api/websocket/stats"))["data"]
    with flowing(mesh, "live_1"):
        async with AsyncExitStack() as stack:
            for user_id, types in [
                ("live_1", ["*"]),
                ("live_1", ["order_created"]),
                ("live_2", ["eta_updated"]),
            ]:
                await stack.enter_async_context(listening(mesh.websocket_url, mesh.token_of(user_id), types))
            await agree(
                total_connections=before["total_connections"] + 3,
                total_users=before["total_users"] + 2,
                active_subscriptions=before["active_subscriptions"] + ALL_TYPES + 2,
            )
        await agree(total_connections=before["total_connections"], total_users=before["total_users"])


async def test_the_summary_is_what_was_emitted(browsing: Browsing, mesh: Mesh) -> None:
    mesh.add_users({"summed": "customer"})
    token = mesh.service_token_of("summing_service", "*")
    page = await signed_in(browsing, mesh, ADMIN, "#/summary")
    await expect(page.get_by_role("heading", name="Summary", level=1)).to_be_visible()
    before = (await ask(mesh, "/api/websocket/analytics/summary"))["data"]
    emitted = {"payment_failed": 3, "location_updated": 5, "eta_updated": 2}

    await emit(
        mesh, *[draft("summed", name) for name, count in emitted.items() for _ in range(count)], token=token
    )

    sources = page.get_by_role("region", name="By source")
    await expect(row(sources, "summing_service")).to_have_text("10")
    after = (await ask(mesh, "/api/websocket/analytics/summary"))["data"]
    assert after["total_events"] == before["total_events"] + 10
    assert after["critical_events"] == before["critical_events"] + 3
    await expect(tile(page, "Events")).to_have_text(f"{after['total_events']:,}")
    await expect(tile(page, "Critical")).to_have_text(f"{after['critical_events']:,}")
    types = page.get_by_role("region", name="By type")
    assert after["by_event_type"].items() >= emitted.items()
    for name, count in after["by_event_type"].items():
        await expect(row(types, name)).to_have_text(f"{count:,}")
    await expect(types.get_by_role("row")).to_have_count(len(after["by_event_type"]) + 1)
    levels = page.get_by_role("region", name="By level").get_by_role("listitem")
    for level, count in after["by_level"].items():
        await expect(levels.filter(has_text=level).locator("strong")).to_have_text(f"{count:,}")


def row(table: Any, name: str) -> Any:
    """The count beside a name."""
    return (
        table.get_by_role("row")
        .filter(has=table.page.get_by_role("rowheader", name=name))
        .locator("td")
        .first
    )


def tile(page: Page, name: str) -> Any:
    """The number in a tile."""
    return page.locator(".tile").filter(has=page.get_by_text(name, exact=True)).locator(".value")


async def test_a_critical_event_is_on_the_list(browsing: Browsing, mesh: Mesh) -> None:
    mesh.add_users({"failing": "customer"})
    page = await signed_in(browsing, mesh, ADMIN, "#/critical?hours=1")
    await expect(page.get_by_role("heading", name="Critical events", level=1)).to_be_visible()
    await emit(mesh, draft("failing", "payment_failed", payment_id="pay_42", error="Insufficient balance"))
    line = page.get_by_role("link").filter(has_text="pay_42")
    await expect(line).to_contain_text("failing")
    counted = (await ask(mesh, "/api/websocket/critical-events?hours=1"))["critical_count"]
    await expect(page.get_by_role("heading", level=2).filter(has_text="critical event")).to_contain_text(
        f"{counted} "
    )


async def test_an_event_is_found_and_shown_with_its_delivery(browsing: Browsing, mesh: Mesh) -> None:
    mesh.add_users({"sought": "customer"})
    ids = await emit(
        mesh, *[draft("sought", "order_created", order_id=f"ord_{number}") for number in range(3)]
    )
    async with connected(mesh.websocket_url) as device:
        await device.authenticate(mesh.token_of("sought"), device_id="phone-1", resume=None)
        await device.subscribe("*")
        ids += await emit(mesh, draft("sought", "order_ready", order_id="ord_3", note="<b>one & all</b>"))
        await device.receive_events(1)
        await device.send({"type": "ack", "seq": 4})

        page = await signed_in(browsing, mesh, ADMIN, "#/history")
        search = page.get_by_role("searchbox")
        await search.fill("sought")
        await search.press("Enter")
        results = page.get_by_role("region", name="History of sought")
        await expect(results.get_by_role("link")).to_have_count(4)
        await page.get_by_label("Type").select_option("order_ready")
        await expect(results.get_by_role("link")).to_have_count(1)
        await results.get_by_role("link").click()

        fields = page.get_by_role("region", name="Fields")
        await expect(fields).to_contain_text(ids[3])
        await expect(fields).to_contain_text("order_ready")
        await expect(page.get_by_role("region", name="Data")).to_contain_text('"note": "<b>one & all</b>"')
        delivery = page.get_by_role("region", name="Delivery")
        await expect(delivery).to_contain_text("Numbered 4")
        await expect(delivery).to_contain_text("by 1 of 1 device")
        await expect(delivery.get_by_role("listitem").filter(has_text="phone-1").last).to_contain_text(
            "acknowledged"
        )

        await go(page, "#/history")
        await search.fill(ids[0])
        await search.press("Enter")
        await expect(fields).to_contain_text(ids[0])


async def test_a_customer_finds_an_event_of_theirs_by_its_id_and_no_other(
    browsing: Browsing, mesh: Mesh
) -> None:
    browsing.expect("status of 404")  # What the API says of another's, too.
    mesh.add_users({"finder": "customer", "found": "customer"})
    own, anothers = await emit(mesh, draft("finder", order_id="ord_own"), draft("found", order_id="ord_not"))
    page = await signed_in(browsing, mesh, "finder", "#/history")
    search = page.get_by_role("searchbox", name="An event’s id")
    await search.fill("ord_own")
    await search.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("That is no event’s id")
    await search.fill(own)
    await search.press("Enter")
    await expect(page.get_by_role("region", name="Data")).to_contain_text("ord_own")
    await go(page, "#/history")
    await search.fill(f" {anothers} ")
    await search.press("Enter")
    await expect(page.get_by_text("You have no such event")).to_be_visible()
    await expect(page.get_by_text("or it is another’s")).to_be_visible()
    await expect(page.get_by_text("ord_not")).to_have_count(0)


async def test_an_events_trail_names_the_browser_that_showed_it(browsing: Browsing, mesh: Mesh) -> None:
    mesh.add_users({"trailed": "customer"})
    context = await browsing.context()
    pages = [await signed_in_here(context, mesh, "trailed") for _ in range(2)]
    for page in pages:
        await expect(page.locator("main .state")).to_have_text("Live")
    await emit(mesh, draft("trailed", order_id="ord_1"))
    for page in pages:
        await feed_rows(page).click()  # To leave the feed is to acknowledge what it showed.
        delivery = page.get_by_role("region", name="Delivery")
        await expect(delivery.get_by_role("listitem").filter(has_text="(this browser)").last).to_contain_text(
            "has acknowledged up to 1"
        )
        await expect(delivery).to_contain_text("by 1 of 1 device")  # Its tabs are one device.
    name = await pages[0].evaluate("localStorage.getItem('harkara.device')")
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)


async def test_a_feed_that_is_opened_again_repeats_nothing_of_what_the_history_has(
    browsing: Browsing, mesh: Mesh
) -> None:
    mesh.add_users({"returning": "customer"})
    context = await browsing.context()
    page = await signed_in_here(context, mesh, "returning")
    await expect(page.locator("main .state")).to_have_text("Live")
    await emit(mesh, draft("returning"))
    await feed_rows(page).click()
    await expect(page.get_by_role("region", name="Delivery")).to_contain_text("acknowledged up to 1")
    ids = await emit(mesh, *[draft("returning") for _ in range(EARLIER + 10)])

    sockets = Sockets(page)
    await go(page, "#/feed")
    await expect(page.locator("main .state")).to_have_text("Live")
    ids += await emit(mesh, draft("returning"))

    rows = feed_rows(page)
    newest_first = [f"#/events/{event_id}" for event_id in reversed(ids)]
    await expect(rows.first).to_have_attribute("href", newest_first[0])
    assert sum("event_type" in message for message in sockets.received) == len(ids)  # All were told again,
    assert await addresses(rows) == newest_first[: EARLIER + 1]  # and not shown.


async def test_a_feed_shows_what_happened_while_it_was_being_opened(browsing: Browsing, mesh: Mesh) -> None:
    mesh.add_users({"hasty": "customer"})
    ids = await emit(mesh, draft("hasty"), draft("hasty"))
    context = await browsing.context()
    # The history as it was a moment ago, once; and then as it is.
    await context.route(
        "**/events/user/hasty?limit=20", answering({"status": "success", "data": []}), times=1
    )
    page = await signed_in_here(context, mesh, "hasty")
    rows = feed_rows(page)
    await expect(rows).to_have_count(2)
    assert await addresses(rows) == [f"#/events/{event_id}" for event_id in reversed(ids)]


async def test_an_empty_feed_leads_staff_to_what_is_everybodys(browsing: Browsing, mesh: Mesh) -> None:
    mesh.add_users({"idle_support": "support", "idle_customer": "customer"})
    page = await browsing.open(f"{mesh.rest_url}/#token={mesh.token_of('idle_support', 'support')}")
    await expect(page.get_by_role("heading", name="Live", level=1)).to_be_visible()
    for name, heading in [("History", "History"), ("Critical", "Critical events")]:
        await go(page, "#/feed")
        events = page.get_by_role("region", name="Events")
        await expect(events).to_contain_text("Here is only what is sent to idle_support")
        await events.get_by_role("link", name=name).click()
        await expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
    customers = await signed_in(browsing, mesh, "idle_customer")
    nothing = customers.get_by_role("region", name="Events")
    await expect(nothing).to_contain_text("No events yet")
    await expect(nothing.get_by_role("link")).to_have_count(0)


def feed_rows(page: Page) -> Locator:
    return page.get_by_role("list", name="Events, newest first").get_by_role("link")


async def addresses(rows: Locator) -> list[str]:
    """Where these links lead to."""
    return list(await rows.evaluate_all("(rows) => rows.map((row) => row.getAttribute('href'))"))


async def test_the_feed_shows_each_event_once_though_the_edge_is_killed(
    browsing: Browsing, mesh: Mesh
) -> None:
    browsing.expect(CUT)
    mesh.add_users({"fed": "customer"})
    page = await signed_in(browsing, mesh, "fed")
    state = page.locator("main .state")
    await expect(state).to_have_text("Live")
    rows = feed_rows(page)
    with flowing(mesh, "fed") as flow:
        await expect(rows.nth(20)).to_be_visible()
        for pid in mesh_state.load(DataDir(Path(mesh.data_dir))).pids["edge"]:
            os.kill(pid, signal.SIGKILL)
        await expect(state).not_to_have_text("Live")
        await expect(state).to_have_text("Live")
        flow.stop()
    newest_first = [f"#/events/{event_id}" for _, event_id in reversed(flow.stored)][:500]
    await expect(rows.first).to_have_attribute("href", newest_first[0])
    assert await addresses(rows) == newest_first


async def test_while_rest_is_away_the_page_says_so_and_comes_back(browsing: Browsing, mesh: Mesh) -> None:
    browsing.expect(AWAY)
    page = await signed_in(browsing, mesh, ADMIN, "#/live")
    state = page.locator("main .state")
    await expect(state).to_contain_text("Live")
    (pid,) = mesh_state.load(DataDir(Path(mesh.data_dir))).pids["query-service"]
    os.kill(pid, signal.SIGKILL)
    await expect(state).to_have_text("No answer")
    await expect(page.get_by_role("alert")).to_contain_text("No connection to the server")
    await expect(page.locator(".measure .value").first).to_have_text("–")
    async with asyncio.timeout(60):  # How long a start takes is not what this is about.
        while True:
            with suppress(httpx.TransportError):
                await ask(mesh, "/api/websocket/stats")
                break
            await asyncio.sleep(0.1)
    await expect(state).to_contain_text("Live")
    await expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("user_id", [ADMIN, CUSTOMER])
async def test_on_a_phone_no_page_is_wider_than_the_screen(
    browsing: Browsing, mesh: Mesh, user_id: str
) -> None:
    event_id, *_ = await emit(
        mesh,
        draft(
            user_id,
            "order_created",
            order_id="ord_" + "x" * 90,
            items=[{"name": "Atta " * 20, "quantity": 2}],
        ),
        draft(user_id, "payment_failed", payment_id="pay_1", error="no" * 60),
    )
    page = await signed_in(browsing, mesh, user_id, viewport=PHONE)
    places = [
        "feed",
        "history",
        f"history?user={user_id}",
        f"events/{event_id}",
        "api",
        "live",
        "summary",
        "critical",
    ]
    for place in places:
        await go(page, f"#/{place}")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(page.locator("main .loading")).to_have_count(0)
        widths = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1], f"{place} is {widths[0]} wide, the screen {widths[1]}"


async def test_the_pages_can_be_reached_by_keyboard_alone(browsing: Browsing, mesh: Mesh) -> None:
    page = await signed_in(browsing, mesh, ADMIN, "#/api")
    await page.reload()  # To begin where a page begins.
    await expect(page.get_by_role("heading", name="APIs", level=1)).to_be_visible()
    reached = []
    for _ in range(20):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.textContent.trim()"))
        if reached[-1] == "Summary":
            break
    assert reached[0] == "Skip to the content"
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Summary", level=1)).to_be_visible()
