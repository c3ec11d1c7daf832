"""What each page says while there is nothing, and while something is wrong: the truth, and what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.support.browser import Browsing
from tests.support.console import ADMIN, answering, draft, emit, go, signed_in, signed_in_here
from tests.support.mesh import Mesh

USER = "stateful"
NO_EVENT = "evt_00000000000000000000000000"
FAILED = r"Failed to load resource: (net::ERR_|the server responded with a status of (404|500))"

FAILURES = {
    "answers 500": "Something is wrong with the server",
    "cannot be reached": "No connection to the server",
}


def failing(how: str) -> Callable[[Route], Awaitable[None]]:
    """A handler of a route that fails each call."""

    async def fail(route: Route) -> None:
        if how == "cannot be reached":
            await route.abort()
        else:
            await route.fulfill(status=500, body="<h1>Internal Server Error</h1>")

    return fail


async def is_at_rest(page: Page) -> None:
    """Nothing is said to be loading."""
    await expect(page.locator("main .loading")).to_have_count(0)


@pytest.mark.parametrize(("how", "title"), FAILURES.items(), ids=FAILURES)
async def test_a_page_whose_server_fails_says_so_and_shows_what_there_is_once_it_answers(
    browsing: Browsing, mesh: Mesh, how: str, title: str
) -> None:
    browsing.expect(FAILED)
    mesh.add_users({USER: "customer"})
    (event_id,) = await emit(mesh, draft(USER, "payment_failed", payment_id="pay_state"))
    page = await signed_in(browsing, mesh, ADMIN, "#/api")
    for place, call, there in [
        ("live", "**/stats", "Sockets that are signed in"),
        ("summary", "**/analytics/summary*", "payment_failed"),
        ("critical", "**/critical-events*", "pay_state"),
        (f"history?user={USER}", "**/events/user/*", "pay_state"),
        (f"events/{event_id}", "**/events/evt_*", "Numbered"),
        ("api", "**/*api.json", "/api/websocket/stats"),
    ]:
        fail = failing(how)
        await page.route(call, fail)
        await go(page, f"#/{place}")
        alert = page.get_by_role("alert").filter(has_text=title)
        await expect(alert.first).to_be_visible()
        await is_at_rest(page)
        await expect(page.get_by_text("pay_state")).to_have_count(0)
        await page.unroute(call, fail)
        for _ in range(await alert.count()):
            await alert.first.get_by_role("button", name="Try again").click()
        await expect(page.get_by_text(there).first).to_be_visible()
        await expect(page.get_by_role("alert").filter(has_text=title)).to_have_count(0)


@pytest.mark.parametrize(("how", "title"), FAILURES.items(), ids=FAILURES)
async def test_a_feed_without_its_history_says_so_and_goes_on(
    browsing: Browsing, mesh: Mesh, how: str, title: str
) -> None:
    browsing.expect(FAILED)
    user_id = f"feed_{len(how)}"
    mesh.add_users({user_id: "customer"})
    await emit(mesh, draft(user_id, order_id="ord_earlier"))
    page = await signed_in(browsing, mesh, user_id, "#/api")
    await page.route("**/events/user/*", failing(how))
    await go(page, "#/feed")
    await expect(page.get_by_role("alert")).to_contain_text(title)
    await expect(page.get_by_role("alert")).to_contain_text("Earlier events are not shown; new ones are.")
    events = page.get_by_role("region", name="Events")
    await expect(events).to_contain_text("Nothing new yet")
    await expect(page.locator("main .state")).to_have_text("Live")
    await emit(mesh, draft(user_id, order_id="ord_later"))
    await expect(events).to_contain_text("ord_later")
    await expect(events).not_to_contain_text("ord_earlier")


async def test_a_page_that_has_nothing_to_show_says_so(browsing: Browsing, mesh: Mesh) -> None:
    browsing.expect(FAILED)  # The event that is not there.
    mesh.add_users({"nobody_yet": "customer"})
    page = await signed_in(browsing, mesh, ADMIN, "#/api")
    await page.route("**/critical-events*", answering({"critical_count": 0, "data": []}))
    for place, said in [
        ("summary?date=2020-01-01", "No events on this day"),
        ("critical?hours=6", "None in the last 6 hours."),
        ("history", "Whose history?"),
        ("history?user=nobody_yet", "nobody_yet was sent none that are still kept."),
        ("history?user=nobody_yet&type=order_ready", "nobody_yet has none of type order_ready"),
        (f"events/{NO_EVENT}", "There is no such event"),
    ]:
        await go(page, f"#/{place}")
        await expect(page.locator("main .empty")).to_contain_text(said)
        await is_at_rest(page)
        await expect(page.get_by_role("alert").filter(has_text=" ")).to_have_count(0)


async def test_nobody_connected_is_a_zero_and_no_answer_a_dash(browsing: Browsing, mesh: Mesh) -> None:
    browsing.expect(FAILED)
    page = await signed_in(browsing, mesh, ADMIN, "#/api")
    names = ["total_connections", "total_users", "queued_events", "active_subscriptions"]
    counts: dict[str, Any] = {**dict.fromkeys(names, 0), "timestamp": "2026-01-27T10:30:00Z"}
    await page.route("**/stats", answering({"status": "success", "data": counts}))
    await go(page, "#/live")
    values = page.locator(".measure .value")
    await expect(values).to_have_text(["0"] * 4)
    await page.route("**/stats", failing("answers 500"))
    await expect(values).to_have_text(["–"] * 4)
    await expect(page.get_by_role("alert")).to_contain_text("The last counts are of")


async def test_without_the_library_of_charts_the_numbers_stay(browsing: Browsing, mesh: Mesh) -> None:
    browsing.expect(FAILED)
    context = await browsing.context()
    await context.route("**/vendor/*", failing("cannot be reached"))
    page = await signed_in_here(context, mesh, ADMIN)
    await go(page, "#/live")
    await expect(page.get_by_text("The chart cannot be drawn")).to_have_count(4)
    await expect(page.locator(".measure .value").first).not_to_have_text("–")


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("customer", "has not ordered anything yet"),
        ("delivery_boy", "Nothing in the wallet of journey_delivery_boy yet"),
    ],
)
async def test_a_journey_that_has_not_begun_says_so(
    browsing: Browsing, mesh: Mesh, role: str, said: str
) -> None:
    user_id = f"journey_{role}"
    mesh.add_users({user_id: role})
    page = await browsing.open(f"{mesh.rest_url}/journey.html#token={mesh.token_of(user_id, role)}")
    await expect(page.locator("main .empty")).to_contain_text(said)


async def test_an_order_that_is_not_there_is_said_not_to_be(browsing: Browsing, mesh: Mesh) -> None:
    mesh.add_users({"journey_other": "customer"})
    await emit(mesh, draft("journey_other", order_id="ord_mine"))
    token = mesh.token_of("journey_other", "customer")
    page = await browsing.open(f"{mesh.rest_url}/journey.html?order=ord_not_mine#token={token}")
    await expect(page.locator("main .empty")).to_contain_text("No order ord_not_mine of journey_other so far")
    await page.get_by_role("button", name="Follow the newest order").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ordered")


@pytest.mark.parametrize("how", FAILURES)
async def test_a_journey_without_its_history_and_its_map_says_so_and_comes_back(
    browsing: Browsing, mesh: Mesh, how: str
) -> None:
    browsing.expect(FAILED)
    user_id = f"journey_{len(how)}"
    mesh.add_users({user_id: "customer"})
    await emit(mesh, draft(user_id, order_id="ord_mine"))
    page = await (await browsing.context()).new_page()
    history = failing(how)
    await page.route("**/events/user/*", history)
    await page.route("**/streets.json", failing(how))
    await page.goto(f"{mesh.rest_url}/journey.html#token={mesh.token_of(user_id, 'customer')}")
    await expect(page.get_by_role("alert")).to_contain_text("The history cannot be read now")
    await expect(page.locator("main .empty")).not_to_contain_text("has not ordered")
    await page.unroute("**/events/user/*", history)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ordered")
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.get_by_text("The map could not be loaded")).to_be_visible()
