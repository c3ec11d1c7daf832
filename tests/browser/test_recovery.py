"""A page whose connection or token ends while events flow goes on without a lost or a doubled event."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest_asyncio
from playwright.async_api import Page

from harkara_cli import mesh_state
from harkara_cli.data_dir import DataDir
from tests.support.browser import Browsing, Sockets, holds
from tests.support.flow import Flow, flowing
from tests.support.mesh import Mesh
from tests.support.site import Site
from tests.support.tcp_proxy import TcpProxy

TYPE = "order_created"
# Chromium says in the console that a WebSocket could not be had, or was cut.
CUT = r"WebSocket connection to .* failed"
SOME = 20
SECONDS_OF_A_SHORT_TOKEN = 8


@pytest_asyncio.fixture(loop_scope="session")
async def network(mesh: Mesh) -> AsyncIterator[tuple[TcpProxy, str]]:
    """A network between page and edge, and the URL of the edge through it.

    Asked for before `browsing`, so that it outlives the pages.
    """
    url = urlsplit(mesh.websocket_url)
    assert url.hostname is not None
    assert url.port is not None
    async with TcpProxy.running(url.hostname, url.port) as (proxy, port):
        yield proxy, urlunsplit(url._replace(netloc=f"127.0.0.1:{port}"))


def put_listener(
    site: Site,
    mesh: Mesh,
    user_id: str,
    websocket_url: str | None = None,
    *,
    more: str = "",
    has_token: bool = True,
) -> str:
    """A page that listens as this user, and its address.

    Args:
        site: Where it is put.
        mesh: Where the user is added.
        user_id: The user.
        websocket_url: Where the page connects; the edge if absent.
        more: `data-stores`: it keeps how far it got beyond a reload. `data-shares`: all tabs have one
            connection. `data-polls`: the REST API that it reads while it has none.
        has_token: Whether it has one; else it asks `mintToken`.
    """
    mesh.add_users({user_id: "customer"})
    attributes = f'data-user="{user_id}" data-type="{TYPE}"'
    if has_token:
        attributes += f' data-token="{mesh.token_of(user_id)}"'
    return site.put(
        f"/{user_id}.html",
        f"""\
<!doctype html>
<html lang="en" {attributes} {more}>
<title>{user_id}</title>
<link rel="icon" href="data:,">
<meta name="harkara-websocket-url" content="{websocket_url or mesh.websocket_url}">
<script type="module" src="/pages/listener.js"></script>
</html>
""",
    )


async def sees_more(page: Page) -> None:
    """Some events have come that were not there a moment ago."""
    await holds(page, f"(before) => seen.length >= before + {SOME}", await page.evaluate("seen.length"))


async def has_seen_all(page: Page, flow: Flow) -> None:
    """The flow is ended, and the page was told of each of its events, once and in order."""
    flow.stop()
    assert len(flow.stored) >= SOME
    await holds(page, "(last) => seen.at(-1)?.[0] === last", flow.stored[-1][0])
    assert await page.evaluate("seen") == flow.stored


async def test_a_page_that_is_cut_off_again_and_again_misses_nothing(
    network: tuple[TcpProxy, str], browsing: Browsing, mesh: Mesh, site: Site
) -> None:
    browsing.expect(CUT)
    proxy, url = network
    page = await (await browsing.context()).new_page()
    sockets = Sockets(page)
    await page.goto(put_listener(site, mesh, "cut", url))
    await holds(page, "globalThis.ready")
    with flowing(mesh, "cut", TYPE) as flow:
        for reset in (False, True, False):
            await sees_more(page)
            proxy.cut_all(reset=reset)
        await sees_more(page)
        await has_seen_all(page, flow)
    assert len(sockets.opened) > 3


async def test_a_page_that_nobody_lets_in_for_a_while_misses_nothing(
    network: tuple[TcpProxy, str], browsing: Browsing, mesh: Mesh, site: Site
) -> None:
    browsing.expect(CUT)
    proxy, url = network
    page = await browsing.open(put_listener(site, mesh, "refused", url))
    await holds(page, "globalThis.ready")
    with flowing(mesh, "refused", TYPE) as flow:
        await sees_more(page)
        proxy.accepts = False
        proxy.cut_all()
        await holds(page, "ws.getStatus().reconnectAttempts >= 2 && !ws.getStatus().isConnected")
        proxy.accepts = True
        await sees_more(page)
        await has_seen_all(page, flow)


async def test_a_page_whose_edge_is_killed_misses_nothing(browsing: Browsing, mesh: Mesh, site: Site) -> None:
    browsing.expect(CUT)
    page = await browsing.open(put_listener(site, mesh, "killed"))
    await holds(page, "globalThis.ready")
    with flowing(mesh, "killed", TYPE) as flow:
        await sees_more(page)
        for pid in mesh_state.load(DataDir(Path(mesh.data_dir))).pids["edge"]:
            os.kill(pid, signal.SIGKILL)
        await sees_more(page)  # From the edge that `up` started again.
        await has_seen_all(page, flow)


async def test_a_page_that_is_loaded_again_goes_on_where_it_was(
    browsing: Browsing, mesh: Mesh, site: Site
) -> None:
    page = await browsing.open(put_listener(site, mesh, "reloaded", more="data-stores"))
    await holds(page, "globalThis.ready")
    with flowing(mesh, "reloaded", TYPE) as flow:
        for _ in range(3):
            await sees_more(page)
            await page.reload()
            await holds(page, "globalThis.seen")
        await sees_more(page)
        await has_seen_all(page, flow)


async def test_a_page_whose_connection_died_unnoticed_looks_after_it_when_the_network_is_back(
    network: tuple[TcpProxy, str], browsing: Browsing, mesh: Mesh, site: Site
) -> None:
    proxy, url = network
    page = await browsing.open(put_listener(site, mesh, "asleep", url))
    await holds(page, "globalThis.ready")
    with flowing(mesh, "asleep", TYPE) as flow:
        await sees_more(page)
        proxy.lose_all()
        await holds(page, "performance.now() - heardAt > 1500")  # Else there is no reason for a look.
        assert await page.evaluate("ws.getStatus().isConnected")
        await page.context.set_offline(True)
        await page.context.set_offline(False)
        await sees_more(page)
        await has_seen_all(page, flow)


async def test_tabs_share_one_connection_and_the_one_that_stays_misses_nothing(
    browsing: Browsing, mesh: Mesh, site: Site
) -> None:
    url = put_listener(site, mesh, "tabs", more="data-shares")
    context = await browsing.context()
    first, second = await context.new_page(), await context.new_page()
    of_first, of_second = Sockets(first), Sockets(second)
    await first.goto(url)
    await holds(first, "globalThis.ready")
    await second.goto(url)
    await holds(second, "globalThis.ws?.getStatus().isConnected")
    with flowing(mesh, "tabs", TYPE) as flow:
        await sees_more(first)
        await sees_more(second)
        assert (len(of_first.opened), len(of_second.opened)) == (1, 0)
        await first.close()
        await sees_more(second)
        await has_seen_all(second, flow)
    assert len(of_second.opened) == 1


async def test_a_page_that_can_have_no_websocket_reads_the_history_of_another_origin_instead(
    network: tuple[TcpProxy, str], browsing: Browsing, mesh: Mesh, site: Site
) -> None:
    browsing.expect(CUT)
    proxy, url = network
    proxy.accepts = False
    page = await browsing.open(put_listener(site, mesh, "polls", url, more=f'data-polls="{mesh.rest_url}"'))
    assert await page.evaluate("location.origin") != mesh.rest_url
    await holds(page, "globalThis.isPolling")
    with flowing(mesh, "polls", TYPE) as flow:
        await sees_more(page)
        assert not await page.evaluate("ws.getStatus().isConnected")
        proxy.accepts = True
        await page.evaluate("dispatchEvent(new Event('online'))")  # Else it waits for its next attempt.
        await holds(page, "ws.getStatus().isConnected && !isPolling")
        await sees_more(page)
        flow.stop()
        await holds(page, "(count) => seen.length >= count", len(flow.stored))
    assert await page.evaluate("seen") == flow.stored


async def test_a_page_exchanges_its_token_before_it_ends_and_keeps_its_connection(
    browsing: Browsing, mesh: Mesh, site: Site
) -> None:
    asked = []

    def mint(reason: str) -> str:
        asked.append(reason)
        return mesh.token_of("renews", seconds=SECONDS_OF_A_SHORT_TOKEN if len(asked) == 1 else 3600)

    page = await (await browsing.context()).new_page()
    await page.expose_function("mintToken", mint)
    sockets = Sockets(page)
    await page.goto(put_listener(site, mesh, "renews", has_token=False))
    await sockets.heard("authenticated", 2)
    first, second = [answer for answer in sockets.received if answer["type"] == "authenticated"]
    assert first["expires_at"] < second["expires_at"]
    await holds(page, "(end) => Date.now() > Date.parse(end) + 1000", first["expires_at"])
    with flowing(mesh, "renews", TYPE) as flow:
        await sees_more(page)
        await has_seen_all(page, flow)
    assert asked == ["first", "expiring"]
    assert len(sockets.opened) == 1
