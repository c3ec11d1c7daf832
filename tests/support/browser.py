"""Pages in a real Chromium, and everything that they complain about.

A page is watched from its first byte: an uncaught error, a line that its console shows as an error and a
violation of a Content-Security-Policy are complaints. A test that means to provoke one says so beforehand.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    StorageState,
    ViewportSize,
    WebError,
    WebSocket,
    async_playwright,
    expect,
)
from playwright.async_api import Error as PlaywrightError

from harkara_cli.chromium import find_chromium

# Nothing of the browser's own goes out while tests run.
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_LAUNCH_MS = 60_000  # The first start on a busy machine.
_WAIT_MS = 20_000
_PAUSE_SECONDS = 0.02
DESKTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=360, height=740)

# Said in our own words, so that no expected line of the console can hide one.
_POLICY_MARK = "violates the Content-Security-Policy: "
_REPORT_POLICY = f"""
addEventListener("securitypolicyviolation", (event) => console.error(
  "{_POLICY_MARK}" + [event.effectiveDirective, event.blockedURI, event.sourceFile].join(" ")));
"""


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    """This machine's Chromium, without a window."""
    expect.set_options(timeout=_WAIT_MS)
    async with async_playwright() as playwright:
        # As root Chromium has no sandbox to give.
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(),
            args=_FLAGS,
            chromium_sandbox=os.geteuid() != 0,
            timeout=_LAUNCH_MS,
        )
        try:
            yield browser
        finally:
            await browser.close()


class Browsing:
    """One test's browser contexts, each with storage of its own.

    Attributes:
        console: Every line that a page's console got, oldest first.
        complaints: Of these and of the uncaught errors, what a sound page does not do.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._expected: list[re.Pattern[str]] = []
        self._heard = asyncio.Event()
        self.console: list[str] = []
        self.complaints: list[str] = []

    def expect(self, *patterns: str) -> None:
        """Let lines of the console that match be no complaints: the test provokes them."""
        self._expected += [re.compile(pattern) for pattern in patterns]

    async def context(
        self,
        *,
        viewport: ViewportSize = DESKTOP,
        color_scheme: Literal["light", "dark"] = "light",
        storage: dict[str, dict[str, str]] | None = None,
    ) -> BrowserContext:
        """A browser of its own, in which tabs share what is stored.

        Args:
            viewport: Size in CSS pixels.
            color_scheme: What the person has chosen on their machine.
            storage: localStorage by origin, from before the first page.
        """
        state = StorageState(
            cookies=[],
            origins=[
                {
                    "origin": origin,
                    "localStorage": [{"name": name, "value": value} for name, value in kept.items()],
                }
                for origin, kept in (storage or {}).items()
            ],
        )
        context = await self._browser.new_context(
            viewport=viewport,
            color_scheme=color_scheme,
            locale="en-GB",
            timezone_id="UTC",
            reduced_motion="reduce",
            storage_state=state,
        )
        context.set_default_timeout(_WAIT_MS)
        context.on("console", self._hear)
        context.on("weberror", self._catch)
        await context.add_init_script(_REPORT_POLICY)
        self._contexts.append(context)
        return context

    async def open(self, url: str, **options: Any) -> Page:
        """A page in a context of its own, loaded; options are those of `context`."""
        page = await (await self.context(**options)).new_page()
        await page.goto(url)
        return page

    async def said(self, text: str) -> None:
        """Wait until a line of a console has this text.

        Raises:
            TimeoutError: None has, after 20 s.
        """
        async with asyncio.timeout(_WAIT_MS / 1000):
            while not any(text in line for line in self.console):
                self._heard.clear()
                await self._heard.wait()

    async def keep(self, folder: Path) -> None:
        """Write down what there is to see: a picture of each page, and the console."""
        lines = [*self.console, "", "complaints:", *self.complaints]
        (folder / "console.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for number, page in enumerate([page for context in self._contexts for page in context.pages], 1):
            try:
                await page.screenshot(path=folder / f"page-{number}.png", full_page=True, timeout=_WAIT_MS)
                (folder / f"page-{number}.html").write_text(await page.content(), encoding="utf-8")
            except PlaywrightError as error:  # It crashed, or hangs: what there is of the others counts.
                (folder / f"page-{number}.txt").write_text(str(error), encoding="utf-8")

    async def close(self) -> None:
        """Close every page."""
        for context in self._contexts:
            await context.close()

    def _hear(self, message: ConsoleMessage) -> None:
        place = message.location
        line = f"{message.type}: {message.text} ({place['url']}:{place['lineNumber']})"
        self.console.append(line)
        self._heard.set()
        is_expected = any(pattern.search(line) for pattern in self._expected)
        if _POLICY_MARK in line or (message.type == "error" and not is_expected):
            self.complaints.append(line)

    def _catch(self, error: WebError) -> None:
        line = f"uncaught: {error.error.stack or error.error.message}"
        self.console.append(line)
        if not any(pattern.search(line) for pattern in self._expected):
            self.complaints.append(line)


async def holds(page: Page, expression: str, arg: object = None) -> None:
    """Wait until an expression of the page's JavaScript, or a function of `arg`, is truthy.

    Playwright's `wait_for_function` asks from within the page by `eval`, which a good policy forbids.

    Raises:
        TimeoutError: It was not in time.
    """
    deadline = time.monotonic() + _WAIT_MS / 1000
    while not await page.evaluate(expression, arg):
        if time.monotonic() > deadline:
            message = f"not so after {_WAIT_MS / 1000:g} s: {expression}"
            raise TimeoutError(message)
        await asyncio.sleep(_PAUSE_SECONDS)


class Sockets:
    """The WebSockets that a page opens, and what is said on them.

    Attributes:
        opened: All of them, oldest first.
        sent: The messages of the page, over all of them.
        received: Those of the server, likewise.
        closed: Set when one of them has ended.
    """

    def __init__(self, page: Page) -> None:
        self.opened: list[WebSocket] = []
        self.sent: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self.closed = asyncio.Event()
        self._heard = asyncio.Event()
        page.on("websocket", self._note)

    async def heard(self, kind: str, count: int = 1) -> None:
        """Wait until the server has sent so many messages of a type.

        Raises:
            TimeoutError: It has not, after 20 s.
        """
        await self._until(count, lambda message: message.get("type") == kind)

    async def heard_events(self, count: int) -> None:
        """Wait until the server has sent so many events.

        Raises:
            TimeoutError: It has not, after 20 s.
        """
        await self._until(count, lambda message: "event_type" in message)

    async def _until(self, count: int, is_meant: Callable[[dict[str, Any]], bool]) -> None:
        async with asyncio.timeout(_WAIT_MS / 1000):
            while sum(map(is_meant, self.received)) < count:
                self._heard.clear()
                await self._heard.wait()

    def _note(self, socket: WebSocket) -> None:
        self.opened.append(socket)
        socket.on("framesent", lambda frame: self.sent.append(json.loads(frame)))
        socket.on("framereceived", self._hear)
        socket.on("close", lambda _: self.closed.set())

    def _hear(self, frame: str | bytes) -> None:
        self.received.append(json.loads(frame))
        self._heard.set()


def texts_after(console: Sequence[str], kind: str) -> list[str]:
    """What a page said with `console.log` and the like, without where it stands in which file."""
    return [
        line.removeprefix(f"{kind}: ").rpartition(" (")[0] for line in console if line.startswith(f"{kind}: ")
    ]
