"""What every test of this folder may ask for: one mesh, one Chromium, pages on loopback.

Not part of a plain `./harkara test`, which needs no browser: run `./harkara test --browser`. A test that
fails keeps a picture of each of its pages and what their consoles said, and says where; so does one whose
pages complained (`tests/support/browser.py`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from harkara_client_javascript import MODULES
from tests.support.browser import Browsing, running_chromium
from tests.support.console import ADMIN, CUSTOMER
from tests.support.mesh import Mesh, running_mesh
from tests.support.site import Site, running_site

_HERE = Path(__file__).parent
_FAILED = pytest.StashKey[bool]()
_SECONDS = 120  # The first test starts the mesh and the browser, too.


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots",
        action="store_true",
        help="Take the pictures of docs/images anew, and do nothing else.",
    )
    parser.addoption(
        "--keep-screenshots",
        metavar="FOLDER",
        help="Take pictures besides the tests, into this folder, and do not wait for a fine moment.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "screenshots: takes pictures for the docs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One event loop for the browser and all tests; pictures only where they are asked for."""
    wanted = bool(config.getoption("--screenshots"))
    if wanted or config.getoption("--keep-screenshots") is None:
        chosen = [item for item in items if (item.get_closest_marker("screenshots") is not None) is wanted]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        item.stash[_FAILED] = True
    return report


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """The whole mesh; tests share it, so each uses users of its own."""
    with running_mesh(tmp_path_factory.mktemp("mesh") / "data") as (mesh, _):
        mesh.add_users({ADMIN: "admin", CUSTOMER: "customer"})
        yield mesh


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """An application's own site, with the client's modules under `/client/`."""
    with running_site({"/client/": MODULES, "/pages/": _HERE / "pages"}) as site:
        yield site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all tests; what they store is in contexts of their own."""
    async with running_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def browsing(request: pytest.FixtureRequest, chromium: Browser) -> AsyncIterator[Browsing]:
    """See `Browsing`. Fails the test where a page complained."""
    browsing = Browsing(chromium)
    yield browsing
    failed = request.node.stash.get(_FAILED, False)
    if failed or browsing.complaints:
        folder = Path(tempfile.mkdtemp(prefix="harkara-browser-"))
        await browsing.keep(folder)
        mesh = request.node.funcargs.get("mesh")
        if isinstance(mesh, Mesh):
            data = Path(mesh.data_dir)
            shutil.copy(data.parent / f"{data.name}.log", folder / "mesh.log")
        print(f"pictures and consoles: {folder}")  # noqa: T201 - pytest shows it with the failure.
    await browsing.close()
    complaints = "\n".join(browsing.complaints)
    assert failed or not complaints, f"the pages complained:\n{complaints}"
