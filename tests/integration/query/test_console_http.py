"""The web console's files over HTTP: what is served, with which headers, and what is not."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from harkara_client_javascript import MODULES
from harkara_query_service.adapters.console import Console
from tests.support.postgres import Database
from tests.support.query_peers import QueryMesh, running_query_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "ws://edge.example:8443/api/websocket/ws"
NOWHERE = (
    "/index", "/app.js/", "/App.js", "/app.js%00", "/console/app.js", "/..%2fsettings.py",
    "/%2e%2e/settings.py", "/client/", "/client/..%2fapp.js", "/client/%2e%2e/package.json",
    "/client/%2e%2e/%2e%2e/etc/passwd", "/client//index.js",
    "/client/..%5cpackage.json", "/vendor/", "/vendor/..%2f__init__.py", "/vendor/instaui-echarts.js",
    "/base.css%2f..%2fapp.js", "/__init__.py", "/docs", "/static/app.js",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[QueryMesh]:
    """A query-service whose pages are told where the WebSocket is."""
    dsn = shared_database.dsn_for("harkara_query_service")
    async with running_query_service(dsn, tmp_path_factory.mktemp("console"), websocket_url=URL) as mesh:
        yield mesh


async def test_every_file_is_served_as_what_it_is_and_needs_no_token(served: QueryMesh) -> None:
    paths = Console(None).files
    assert {"/", "/index.html", "/app.js", "/session.js", "/base.css", "/client/index.js"} <= set(paths)
    for path in paths:
        response = await served.http.get(path)
        assert response.status_code == 200, path
        kinds = {"": "text/html; charset=utf-8", ".html": "text/html; charset=utf-8", ".svg": "image/svg+xml"}
        kinds |= {
            ".json": "application/json",
            ".js": "text/javascript; charset=utf-8",
            ".css": "text/css; charset=utf-8",
        }
        assert response.headers["content-type"] == kinds[Path(path).suffix], path
    assert served.auth.asked == []


async def test_the_clients_own_modules_and_the_charts_come_as_they_are(served: QueryMesh) -> None:
    for module in MODULES.glob("*.js"):
        assert (await served.http.get(f"/client/{module.name}")).content == module.read_bytes()
    charts = (await served.http.get("/vendor/echarts.esm.min.js")).content
    assert b"Licensed to the Apache Software Foundation" in charts[:200]


async def test_a_page_may_run_nothing_inline_and_reach_only_this_origin_and_the_websocket(
    served: QueryMesh,
) -> None:
    for path in ("/", "/app.js", "/base.css", "/client/index.js", "/vendor/echarts.esm.min.js", "/logo.svg"):
        headers = (await served.http.get(path)).headers
        assert headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
            " connect-src 'self' ws://edge.example:8443;"
            " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"


async def test_no_page_has_a_script_or_a_style_inline(served: QueryMesh) -> None:
    pages = [path for path in Console(None).files if path.endswith(".html")]
    for path in pages:
        page = (await served.http.get(path)).text.lower()
        assert "<style" not in page
        assert " style=" not in page
        assert "javascript:" not in page
        assert page.count("<script") == page.count("<script src=") + page.count('<script type="module" src=')


async def test_pages_name_the_websocket_and_without_one_leave_it_to_the_client(
    served: QueryMesh, mesh: QueryMesh
) -> None:
    assert f'<meta name="harkara-websocket-url" content="{URL}">' in (await served.http.get("/")).text
    page = await mesh.http.get("/")
    assert '<meta name="harkara-websocket-url" content="">' in page.text
    assert "connect-src 'self';" in page.headers["content-security-policy"]


async def test_a_browser_asks_each_time_and_is_told_when_nothing_changed(served: QueryMesh) -> None:
    first = await served.http.get("/app.js")
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = await served.http.get("/app.js", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    other = await served.http.get("/app.js", headers={"if-none-match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


async def test_a_head_tells_the_same_without_the_body(served: QueryMesh) -> None:
    plain = {"accept-encoding": "identity"}
    got, head = [await served.http.request(method, "/", headers=plain) for method in ("GET", "HEAD")]
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag", "content-security-policy"):
        assert head.headers[name] == got.headers[name]


async def test_what_is_large_is_compressed_for_who_takes_that(served: QueryMesh) -> None:
    async def asked_with(offer: str) -> httpx.Response:
        async with served.http.stream("GET", "/base.css", headers={"accept-encoding": offer}) as response:
            response._content = b"".join([part async for part in response.aiter_raw()])
            return response

    plain = await asked_with("identity")
    assert "content-encoding" not in plain.headers
    assert "Accept-Encoding" in plain.headers["vary"]
    for offer in ("gzip", "br, gzip;q=0.5", "deflate,gzip"):
        packed = await asked_with(offer)
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed._content) == plain._content
    assert "content-encoding" not in (await asked_with("gzip;q=0")).headers


async def test_what_is_not_on_the_list_is_404_whatever_way_it_is_spelt(served: QueryMesh) -> None:
    for path in NOWHERE:
        url = httpx.URL(f"http://{served.bound.listen_address}").copy_with(raw_path=path.encode())
        response = await served.http.send(httpx.Request("GET", url))
        assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found"), path
        assert "'self'" not in response.headers["content-security-policy"]


async def test_files_are_only_read(served: QueryMesh) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert (await served.http.request(method, "/")).status_code == 405


async def test_the_openapi_document_does_not_list_them(served: QueryMesh) -> None:
    document = (await served.http.get("/openapi.json")).json()
    assert [path for path in document["paths"] if not path.startswith("/api/")] == []


async def test_the_console_can_be_turned_off(reader_dsn: str, tmp_path: Path) -> None:
    async with running_query_service(reader_dsn, tmp_path, console=False) as mesh:
        for path in ("/", "/app.js", "/client/index.js", "/vendor/echarts.esm.min.js"):
            response = await mesh.http.get(path)
            assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
        assert (await mesh.http.get("/openapi.json")).status_code == 200


async def test_files_are_counted_by_the_kind_of_their_path(own_mesh: QueryMesh) -> None:
    ops = f"http://{own_mesh.bound.ops_address}/metrics"
    for path in ("/", "/app.js", "/no-such.js", "/client/index.js"):
        await own_mesh.http.get(path)
    metrics = (await own_mesh.http.get(ops)).text
    assert 'harkara_query_service_requests_total{route="/{file}",status="200"} 1.0' in metrics
    assert 'harkara_query_service_requests_total{route="/{file}",status="404"} 1.0' in metrics
    assert 'route="/client/{path:path}",status="200"} 1.0' in metrics
    assert "app.js" not in metrics
