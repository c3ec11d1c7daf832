"""The console's feed: each event once and in order, whatever the connection and the history did before."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from playwright.async_api import Route, expect

from harkara_cli import mesh_state
from harkara_cli.data_dir import DataDir
from tests.support.browser import Browsing, Sockets
from tests.support.console import (
    addresses,
    answering,
    draft,
    emit,
    feed_rows,
    go,
    signed_in,
    signed_in_here,
)
from tests.support.flow import flowing
from tests.support.mesh import Mesh

CUT = r"WebSocket connection to .* failed"
EARLIER = 20  # So many of the history a feed begins with.


async def test_a_feed_that_is_opened_again_repeats_nothing_of_what_the_history_has(
    browsing: Browsing, mesh: Mesh
) -> None:
    mesh.add_users({"returning": "customer"})
    context = await browsing.context()
    page = await signed_in_here(context, mesh, "returning")
    await expect(page.locator("main .state")).to_have_text("Live")
    await page.wait_for_load_state("networkidle")  # The history is read: the event comes live.
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


async def test_a_feed_whose_history_is_slow_shows_what_comes_and_puts_the_history_below_it(
    browsing: Browsing, mesh: Mesh
) -> None:
    mesh.add_users({"waiting": "customer"})
    ids = await emit(mesh, draft("waiting"), draft("waiting"))
    context = await browsing.context()
    is_read = asyncio.Event()

    async def slow(route: Route) -> None:
        await is_read.wait()
        await route.continue_()

    await context.route("**/events/user/waiting?limit=20", slow)
    page = await signed_in_here(context, mesh, "waiting")
    await expect(page.locator("main .state")).to_have_text("Live")
    ids += await emit(mesh, draft("waiting"))
    rows = feed_rows(page)
    await expect(rows.first).to_have_attribute("href", f"#/events/{ids[-1]}")
    is_read.set()
    await expect(rows).to_have_count(3)
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
