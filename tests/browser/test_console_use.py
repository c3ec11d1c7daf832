"""The console in the hands of people: by keyboard alone, in the colours they chose, with tokens that end."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Browsing
from tests.support.console import ADMIN, CUSTOMER, draft, emit, go, signed_in, signed_in_here
from tests.support.mesh import Mesh

SECONDS_OF_A_SHORT_TOKEN = 5
MOST_STOPS = 60
# What has the focus: its name, and whether that can be seen.
FOCUSED = """() => {
  const { activeElement: it } = document;
  const { outlineStyle, outlineWidth } = getComputedStyle(it);
  const name = it.getAttribute('aria-label') ?? it.labels?.[0]?.textContent ?? it.textContent;
  return [name.trim(), outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2];
}"""


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until what begins with this name has the focus; see it at every stop."""
    stops = []
    for _ in range(MOST_STOPS):
        await page.keyboard.press("Tab")
        stop, is_seen = await page.evaluate(FOCUSED)
        if await page.evaluate("document.activeElement !== document.body"):
            assert is_seen, f"no outline around {stop!r}"
        if stop.startswith(name):
            return
        stops.append(stop)
    pytest.fail(f"Tab does not lead to {name!r}, but to {stops}")


async def test_every_page_is_reached_and_used_by_keyboard_alone(browsing: Browsing, mesh: Mesh) -> None:
    user_id = "keyed"
    mesh.add_users({user_id: "customer"})
    await emit(mesh, draft(user_id, order_id="ord_keyed"))
    page = await browsing.open(mesh.rest_url)
    await page.keyboard.insert_text(mesh.token_of(ADMIN, "admin"))  # The focus is there from the start.
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", name="Live", level=1)).to_be_visible()
    await tab_to(page, "5 min")
    await page.keyboard.press("Space")
    await expect(page.get_by_role("button", name="5 min", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )

    await tab_to(page, "Summary")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Summary", level=1)).to_be_visible()
    await tab_to(page, "The day before")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="The day after")).to_be_visible()

    await tab_to(page, "Critical")
    await page.keyboard.press("Enter")
    await tab_to(page, "Time")
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_label("Time")).to_have_value("72")
    await expect(page.get_by_label("Time")).to_be_focused()  # The page was drawn anew.

    await tab_to(page, "My feed")
    await page.keyboard.press("Enter")
    await tab_to(page, "Pause")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Go on")).to_be_focused()

    await tab_to(page, "History")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    await page.keyboard.type(user_id)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name=f"History of {user_id}")).to_contain_text("ord_keyed")
    row = await page.get_by_role("list").get_by_role("link").filter(has_text="ord_keyed").inner_text()
    await tab_to(page, row.split()[0])
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="order_created", level=1)).to_be_visible()
    await tab_to(page, "Look again")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="Delivery")).to_contain_text("Numbered 1")

    await tab_to(page, "APIs")
    await page.keyboard.press("Enter")
    await expect(page.locator("summary")).to_be_visible()
    await tab_to(page, await page.locator("summary").inner_text())
    await page.keyboard.press("Enter")
    await expect(page.locator("details")).to_have_attribute("open", "")

    await tab_to(page, "Sign out")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Token", exact=True)).to_be_focused()


async def test_the_first_stop_skips_to_the_content(browsing: Browsing, mesh: Mesh) -> None:
    page = await signed_in(browsing, mesh, ADMIN, "#/api")
    await page.reload()  # To begin where a page begins.
    await expect(page.get_by_role("heading", name="APIs", level=1)).to_be_visible()
    await page.keyboard.press("Tab")
    assert await page.evaluate(FOCUSED) == ["Skip to the content", True]
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert await page.evaluate(FOCUSED) == ["OpenAPI document", True]


async def test_a_journey_is_used_by_keyboard_alone(browsing: Browsing, mesh: Mesh) -> None:
    user_id = "keyed_journey"
    mesh.add_users({user_id: "customer"})
    await emit(mesh, *[draft(user_id, order_id=f"ord_{number}") for number in (1, 2)])
    token = mesh.token_of(user_id, "customer")
    page = await browsing.open(f"{mesh.rest_url}/journey.html#token={token}")
    await expect(page.get_by_label("Show")).to_have_value("ord_2")
    await tab_to(page, "Show")
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_text("A newer order is under way")).to_be_visible()
    await tab_to(page, "Follow the newest")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Show")).to_have_value("ord_2")


async def look(page: Page) -> dict[str, str]:
    """The colours that a page has in fact."""
    colours: dict[str, str] = await page.evaluate(
        """() => Object.fromEntries(['body', '.card'].map((selector) => {
          const { color, backgroundColor } = getComputedStyle(document.querySelector(selector));
          return [selector, `${color} on ${backgroundColor}`];
        }))"""
    )
    return colours


async def test_the_colours_follow_the_choice_and_stay_over_a_reload(browsing: Browsing, mesh: Mesh) -> None:
    page = await signed_in(browsing, mesh, ADMIN, "#/api")
    choice = page.get_by_label("Colours")
    await expect(choice).to_have_value("system")
    light = await look(page)
    await choice.select_option("dark")
    dark = await look(page)
    assert set(light.values()).isdisjoint(dark.values())
    await page.reload()
    await expect(choice).to_have_value("dark")
    assert await look(page) == dark
    await page.emulate_media(color_scheme="light")  # What the system says does not count now.
    assert await look(page) == dark
    await choice.select_option("light")
    assert await look(page) == light
    await choice.select_option("system")
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert await look(page) == dark
    await page.goto(f"{mesh.rest_url}/journey.html")
    await expect(page.locator("#connection")).to_have_text("Live")
    assert await look(page) == dark


async def test_who_holds_a_token_that_has_ended_is_asked_to_sign_in_again(
    browsing: Browsing, mesh: Mesh
) -> None:
    browsing.expect("status of 401")
    context = await browsing.context()
    pages = []
    for user_id, role, place in [(ADMIN, "admin", "#/live"), (CUSTOMER, "customer", "#/feed")]:
        page = await signed_in_here(context, mesh, user_id)
        await page.get_by_role("button", name="Sign out").click()
        await go(page, place)
        token = mesh.token_of(user_id, role, seconds=SECONDS_OF_A_SHORT_TOKEN)
        await page.get_by_label("Token", exact=True).fill(token)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("main .state")).to_contain_text("Live")
        pages.append(page)
    for page in pages:
        await expect(
            page.get_by_role("alert").filter(has_text="Your token is not good any more")
        ).to_be_visible()
        assert await page.evaluate("sessionStorage.length") == 0
        await page.get_by_label("Token", exact=True).fill(mesh.token_of(ADMIN, "admin"))
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("main .state")).to_contain_text("Live")
