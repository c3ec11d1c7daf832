"""The console that the query-service serves: true numbers while events flow, and to each what is theirs."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import Page, expect

from harkara_catalogue import Catalogue, asyncapi_document
from harkara_cli import mesh_state
from harkara_cli.data_dir import DataDir
from harkara_query_service.domain import access
from tests.support.browser import PHONE, Browsing, holds
from tests.support.console import (
    ADMIN,
    CUSTOMER,
    ask,
    draft,
    emit,
    feed_rows,
    go,
    signed_in,
    signed_in_here,
)
from tests.support.flow import flowing
from tests.support.mesh import Mesh
from tests.support.plain_client import connected, listening
from tests.support.raw_client import RawClient, message

# Each chart has its line, in the line's own colour, on a canvas.
DRAWN = """() => {
  const charts = [...document.querySelectorAll('.chart')];
  return charts.length === 4 && charts.every((chart, index) => {
    const colour = getComputedStyle(document.documentElement).getPropertyValue(`--chart-${index + 1}`).trim();
    const wanted = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    const canvas = chart.querySelector('canvas');
    if (!canvas) return false;
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let found = 0;
    for (let at = 0; at < data.length; at += 4) {
      const isLine = wanted.every((part, offset) => Math.abs(data[at + offset] - part) < 16);
      if (isLine && data[at + 3] > 200) found += 1;
    }
    return found >= 10;
  });
}"""
PICTURES = "() => [...document.querySelectorAll('.chart canvas')].map((canvas) => canvas.toDataURL())"
AWAY = r"Failed to load resource: (net::ERR_|the server responded with a status of 50)"
STAFF_PAGES = ["Live", "Summary", "Critical"]
EVERYBODYS_PAGES = ["My feed", "History", "APIs"]
ALL_TYPES = 17  # `*` counts as all of the catalogue's.


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


async def test_queued_events_are_those_of_rest_and_the_charts_are_drawn_and_move(
    browsing: Browsing, mesh: Mesh
) -> None:
    mesh.add_users({"behind": "customer"})
    page = await signed_in(browsing, mesh, ADMIN, "#/live")
    value = page.get_by_role("region", name="Queued events", exact=True).locator(".value")
    await expect(value).to_have_text("0")
    slow = await RawClient.open(urlsplit(mesh.websocket_url).netloc, receive_buffer=4_096)
    try:
        slow.send(message(type="auth", token=mesh.token_of("behind")))
        assert (await slow.text())["type"] == "authenticated"
        slow.send(message(type="subscribe", events=["*"]))
        assert (await slow.text())["type"] == "subscription_updated"
        # It reads no more: what the buffers on the way do not take stays queued.
        for _ in range(2):
            await emit(mesh, *[draft("behind", note="x" * 50_000) for _ in range(50)])
        async with asyncio.timeout(20):
            while True:
                queued = (await ask(mesh, "/api/websocket/stats"))["data"]["queued_events"]
                if queued > 0 and await value.inner_text() == f"{queued:,}":
                    break
        await holds(page, DRAWN)
        drawn = await page.evaluate(PICTURES)
        await holds(page, f"(before) => ({PICTURES})().every((each, at) => each !== before[at])", drawn)
        await expect(page.get_by_text("cannot be drawn")).to_have_count(0)
    finally:
        slow.writer.transport.abort()
    await expect(value).to_have_text("0")


async def test_the_apis_are_described_whole_and_their_documents_are_there(
    browsing: Browsing, mesh: Mesh
) -> None:
    page = await signed_in(browsing, mesh, CUSTOMER, "#/api")
    messages = asyncapi_document(Catalogue.reference())["components"]["messages"]
    socket = page.get_by_role("region", name="WebSocket")
    await socket.get_by_text(f"{len(messages)} messages").click()
    shown = await socket.locator("li p:first-child code").all_text_contents()
    assert shown == [each["name"] for each in messages.values()]
    paths = await page.get_by_role("region", name="REST").locator("li p:first-child code").all_text_contents()
    assert sorted(paths) == sorted(access.READS)
    links = page.get_by_role("main").get_by_role("link")
    await expect(links).to_have_count(2)
    for link in await links.all():
        response = await page.request.get(f"{mesh.rest_url}{await link.get_attribute('href')}")
        assert response.status == 200
        assert (await response.json())["info"]["title"]


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
        await page.wait_for_load_state("networkidle")  # The history is read: the event comes live.
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
