"""The reference's JavaScript, as it is written there, in a page that is loaded by a real browser."""

from __future__ import annotations

import asyncio
import json

from harkara.event.v1 import event_pb2
from tests.support.browser import Browsing, Sockets, holds, texts_after
from tests.support.mesh import Mesh
from tests.support.site import Site

# "Complete Example: JavaScript Client", to the letter.
EXAMPLE = """\
// Initialize service
const ws = new WebSocketService(
  null,  // Auto-detect URL
  localStorage.getItem('jwt_token'),
  localStorage.getItem('user_id')
);

// Connect
await ws.connect();

// Subscribe to events
ws.subscribe([
  'earning_recorded',
  'delivery_completed',
  'payment_completed',
]);

// Handle specific event
ws.on('earning_recorded', (event) => {
  console.log(`Earned ₹${event.data.amount}`);
  toast.show(`💵 You earned ₹${event.data.amount}`);
});

// Handle all events
ws.on('*', (event) => {
  console.log(`[${event.type}]`, event.data);
});

// Get status
console.log(ws.getStatus());
// { 
//   isConnected: true,
//   subscriptions: ['earning_recorded', ...],
//   queuedMessages: 0,
//   reconnectAttempts: 0
// }

// Disconnect when done
ws.disconnect();
"""  # noqa: W291 - so it stands there.
_END = "// Disconnect when done\n"

# The reference's handlers that stand elsewhere: beside earning_recorded, and under "Best Practices".
HANDLERS = """\
ws.on('earning_recorded', (event) => {
  console.log(`Earned ₹${event.data.amount}`);
  updateWalletBalance(event.data.new_balance);
});
ws.on('*', (event) => {
  if (event.level === 'critical') {
    logger.error('Critical event:', event);
  }
});
ws.on('connection_failed', () => {
  fallbackToPoll(); // Use polling as backup
});
"""

# What the application around the example has, whose names the example uses.
APPLICATION = """\
globalThis.shown = [];
globalThis.toast = { show: (text) => shown.push(text) };
globalThis.updateWalletBalance = (balance) => { globalThis.balance = balance; };
globalThis.logger = { error: (text, event) => shown.push(`${text} ${event.event_type}`) };
globalThis.fallbackToPoll = () => { globalThis.polls = true; };
globalThis.isDone = new Promise((resolve) => { globalThis.done = resolve; });
"""

TYPES = ["earning_recorded", "delivery_completed", "payment_completed"]
EARNED = {"amount": 75, "delivery_id": "del_456", "new_balance": 2575}


def put_page(site: Site, name: str, websocket_url: str, script: str) -> str:
    """A page with this script as a module, and its address."""
    site.put(f"/{name}/application.js", APPLICATION)
    site.put(f"/{name}/example.js", script)
    return site.put(
        f"/{name}/index.html",
        f"""\
<!doctype html>
<html lang="en">
<title>{name}</title>
<link rel="icon" href="data:,">
<meta name="harkara-websocket-url" content="{websocket_url}">
<script type="module" src="application.js"></script>
<script type="module" src="/pages/websocket-service.js"></script>
<script type="module" src="example.js"></script>
</html>
""",
    )


def stored(site: Site, mesh: Mesh, user_id: str) -> dict[str, dict[str, str]]:
    """What the application has put into localStorage when it signed the user in."""
    return {site.origin: {"jwt_token": mesh.token_of(user_id), "user_id": user_id}}


def earning(user_id: str, event_type: str = "earning_recorded", **data: object) -> event_pb2.EventDraft:
    """An event of the reference."""
    return event_pb2.EventDraft(user_id=user_id, event_type=event_type, data=json.dumps(data or EARNED))


async def emit(mesh: Mesh, *events: event_pb2.EventDraft) -> None:
    """Emit, and see each stored."""
    results = await asyncio.to_thread(mesh.emit, *events)
    assert not [result for result in results if result.HasField("error")], results


async def test_the_reference_example_runs_as_it_is_written(
    browsing: Browsing, mesh: Mesh, site: Site
) -> None:
    mesh.add_users({"example_whole": "delivery_boy"})
    context = await browsing.context(storage=stored(site, mesh, "example_whole"))
    page = await context.new_page()
    sockets = Sockets(page)

    await page.goto(put_page(site, "whole", mesh.websocket_url, EXAMPLE))

    async with asyncio.timeout(20):
        await sockets.closed.wait()
    assert [socket.url for socket in sockets.opened] == [mesh.websocket_url]
    assert [message["type"] for message in sockets.sent] == ["auth", "subscribe"]
    assert sockets.sent[1]["events"] == TYPES
    (status,) = texts_after(browsing.console, "log")
    assert status == ("{isConnected: true, subscriptions: Array(3), queuedMessages: 0, reconnectAttempts: 0}")


async def test_the_reference_example_receives_until_it_disconnects(
    browsing: Browsing, mesh: Mesh, site: Site
) -> None:
    mesh.add_users({"example": "delivery_boy"})
    assert EXAMPLE.count(_END) == 1
    script = EXAMPLE.replace(
        _END, f"{HANDLERS}globalThis.getStatus = () => ws.getStatus();\nawait isDone;\n{_END}"
    )
    context = await browsing.context(storage=stored(site, mesh, "example"))
    page = await context.new_page()
    sockets = Sockets(page)
    await page.goto(put_page(site, "example", mesh.websocket_url, script))
    await sockets.heard("subscription_updated")

    await emit(
        mesh,
        earning("example"),
        earning("example", "order_ready", order_id="ord_1"),  # Not subscribed.
        earning("example", "payment_completed", payment_id="pay_1", amount=130, method="upi"),
    )

    await holds(page, "shown.length === 1 && globalThis.balance === 2575")
    await browsing.said("[payment_completed]")
    assert await page.evaluate("shown") == ["💵 You earned ₹75"]
    assert [text.partition("]")[0] for text in texts_after(browsing.console, "log") if text[0] == "["] == [
        "[earning_recorded",
        "[payment_completed",
    ]
    assert await page.evaluate("getStatus()") == {
        "isConnected": True,
        "subscriptions": TYPES,
        "queuedMessages": 0,
        "reconnectAttempts": 0,
    }

    await page.evaluate("done()")
    async with asyncio.timeout(20):
        await sockets.closed.wait()
    assert await page.evaluate("getStatus().isConnected") is False
    assert len(sockets.opened) == 1


async def test_an_event_that_is_critical_says_so_in_level(browsing: Browsing, mesh: Mesh, site: Site) -> None:
    mesh.add_users({"example_critical": "customer"})
    script = EXAMPLE.replace(_END, f"{HANDLERS}ws.subscribe(['payment_failed']);\nawait isDone;\n{_END}")
    context = await browsing.context(storage=stored(site, mesh, "example_critical"))
    page = await context.new_page()
    sockets = Sockets(page)
    await page.goto(put_page(site, "critical", mesh.websocket_url, script))
    await sockets.heard("subscription_updated", 2)
    await emit(
        mesh,
        earning(
            "example_critical", "payment_failed", payment_id="pay_1", amount=130, error="Insufficient balance"
        ),
    )
    await holds(page, "shown.includes('Critical event: payment_failed')")
