"""What is asked wrongly, and how answers look to a browser and to the OpenAPI document."""

import asyncio
import base64
from pathlib import Path

import httpx
import jsonschema
import psycopg
import pytest
from openapi_spec_validator import validate
from structlog.testing import capture_logs

from harkara_catalogue import asyncapi_document, load_catalogue
from harkara_servicekit.settings import split_address
from tests.integration.query.conftest import LogPen
from tests.support.postgres import Database
from tests.support.query_peers import QueryMesh, running_query_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

HISTORY = "/api/websocket/events/user/user_1"
EVENT = "/api/websocket/events/{event_id}"
SUMMARY = "/api/websocket/analytics/summary"
CRITICAL = "/api/websocket/critical-events"


def failed(response: httpx.Response, status: int, code: str) -> None:
    body = response.json()
    assert (response.status_code, body["error"]["code"]) == (status, code), response.text
    assert body == {"status": "error", "error": {"code": code, "message": body["error"]["message"]}}
    assert response.headers["content-type"] == "application/json"


async def test_a_parameter_that_is_not_as_documented_is_422(mesh: QueryMesh) -> None:
    token = mesh.auth.add("root", "admin")
    odd = ["", "%2010", "10%20", "+10", "%2B10", "10.0", "1_0", "1e1", "-1", "010", "%00", "%ff", "9" * 30]
    for path in (
        *(f"{HISTORY}?{name}={value}" for name in ("limit", "skip", "before_seq") for value in odd),
        *(f"{CRITICAL}?{name}={value}" for name in ("hours", "limit") for value in odd),
        *(f"{HISTORY}?limit={value}" for value in (0, 101)),
        *(f"{CRITICAL}?hours={value}" for value in (0, 169)),
        *(f"{CRITICAL}?limit={value}" for value in (0, 501)),
        f"{HISTORY}?before_seq=0",
        f"{HISTORY}?limit=1&limit=1",
        *(f"{SUMMARY}?date={value}" for value in ("", "0", "20260127", "2026-02-30", "2026-1-1", "%00")),
        f"{SUMMARY}?date=2026-01-27&date=2026-01-27",
    ):
        failed(await mesh.get(path, token), 422, "invalid_argument")


async def test_an_event_type_that_is_none_is_422_and_not_an_empty_answer(mesh: QueryMesh) -> None:
    token = mesh.auth.add("user_1", "customer")
    for value in ("", "no_such_type", "%00", "%ff", "Order_created", "*"):
        failed(await mesh.get(f"{HISTORY}?event_type={value}", token), 422, "unknown_event_type")


async def test_a_type_of_the_deployments_own_catalogue_is_known(reader_dsn: str, tmp_path: Path) -> None:
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text('{"event_types": {"parcel_lost": {"level": "critical", "data": {}}}}')
    async with running_query_service(reader_dsn, tmp_path, catalogue_file=catalogue) as mesh:
        token = mesh.auth.add("user_1", "customer")
        assert (await mesh.get(f"{HISTORY}?event_type=parcel_lost", token)).status_code == 200


NOWHERE = (
    "/api/websocket/events/evt_abc123", "/api/websocket/events/evt_01kg0a5xq8zj3n5r7t9vwxyz01",
    "/api/websocket/events/%00", "/api/websocket/events/user", "/api/websocket/events/%F0%9F%9B%B5",
    "/api/websocket/events/user/a%20b", "/api/websocket/events/user/%00",
    f"/api/websocket/events/user/{'u' * 65}", "/api/websocket/events/user/",
    "/api/websocket/events/user/a%2Fb", "/api/websocket/events/", "/api/websocket/stats/",
    "/api/websocket", "/docs", "/redoc", "/metrics", "/api/websocket/ws", "//api/websocket/stats",
)  # fmt: skip


async def test_an_id_that_is_none_and_an_unknown_path_are_404(mesh: QueryMesh) -> None:
    token = mesh.auth.add("root", "admin")
    for path in NOWHERE:
        failed(await mesh.http.send(_raw(mesh, path, token)), 404, "not_found")


def _raw(mesh: QueryMesh, path: str, token: str) -> httpx.Request:
    """A request whose path httpx has not put in order."""
    url = httpx.URL(f"http://{mesh.bound.listen_address}").copy_with(raw_path=path.encode())
    return httpx.Request("GET", url, headers={"authorization": f"Bearer {token}"})


async def test_only_get_is_answered(mesh: QueryMesh) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        response = await mesh.http.request(method, "/api/websocket/stats")
        assert (response.status_code, response.headers["allow"]) == (405, "GET")
        if method != "HEAD":
            failed(response, 405, "method_not_allowed")


async def test_pages_of_allowed_origins_may_read_answers_failures_included(mesh: QueryMesh) -> None:
    origin = "http://localhost:5173"
    response = await mesh.get("/api/websocket/stats", origin=origin)
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == origin
    assert response.headers["vary"] == "Origin"
    elsewhere = await mesh.get("/api/websocket/stats", origin="https://evil.example")
    assert "access-control-allow-origin" not in elsewhere.headers


async def test_a_preflight_needs_no_token_and_an_allowed_origin(mesh: QueryMesh) -> None:
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    good = await mesh.http.options(HISTORY, headers={**asked, "origin": "http://127.0.0.1:8080"})
    assert good.status_code == 204
    assert good.headers["access-control-allow-origin"] == "http://127.0.0.1:8080"
    assert good.headers["access-control-allow-headers"] == "Authorization"
    bad = await mesh.http.options(HISTORY, headers={**asked, "origin": "https://evil.example"})
    failed(bad, 403, "forbidden")
    assert "access-control-allow-origin" not in bad.headers


async def test_no_answer_may_be_kept_sniffed_or_framed_and_none_names_its_software(
    mesh: QueryMesh,
) -> None:
    for path in ("/api/websocket/stats", "/nothing", "/openapi.json", "/asyncapi.json"):
        headers = (await mesh.get(path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "server" not in headers


async def test_more_requests_than_may_be_in_flight_are_503(reader_dsn: str, tmp_path: Path) -> None:
    async with running_query_service(reader_dsn, tmp_path, max_requests=1) as mesh:
        token = mesh.auth.add("user_1", "customer")
        mesh.auth.gate.clear()
        first = asyncio.create_task(mesh.get(HISTORY, token))
        await mesh.auth.was_asked.wait()
        second = await mesh.get(HISTORY, token)
        failed(second, 503, "overloaded")
        assert second.headers["retry-after"] == "1"
        mesh.auth.gate.set()
        assert (await first).status_code == 200


async def test_an_error_that_nobody_foresaw_is_500_and_tells_only_an_id_that_the_log_repeats(
    database: Database, tmp_path: Path
) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("ALTER TABLE event_count RENAME COLUMN events TO counted")
    async with running_query_service(database.dsn, tmp_path) as mesh:
        with capture_logs() as records:
            response = await mesh.get(SUMMARY, mesh.auth.add("root", "admin"), origin="http://localhost")
    failed(response, 500, "internal_error")
    (record,) = [record for record in records if record["event"] == "request_failed"]
    assert record["error_id"] in response.text
    assert "event_count" in str(record["exc_info"])
    assert "event_count" not in response.text
    assert response.headers["access-control-allow-origin"] == "http://localhost"


async def test_requests_are_counted_by_route_and_status(own_mesh: QueryMesh) -> None:
    token = own_mesh.auth.add("user_1", "customer")
    for path in (HISTORY, "/api/websocket/stats", "/nothing/here"):
        await own_mesh.get(path, token)
    metrics = (await own_mesh.http.get(f"http://{own_mesh.bound.ops_address}/metrics")).text
    name = "harkara_query_service_requests_total"
    assert f'{name}{{route="/api/websocket/events/user/{{user_id}}",status="200"}} 1.0' in metrics
    assert f'{name}{{route="/api/websocket/stats",status="403"}} 1.0' in metrics
    assert f'{name}{{route="none",status="404"}} 1.0' in metrics
    assert "user_1" not in metrics


async def test_connections_that_are_refused_are_counted(reader_dsn: str, tmp_path: Path) -> None:
    async with running_query_service(reader_dsn, tmp_path, max_connections=1) as mesh:
        host, port = split_address(mesh.bound.listen_address)
        _, one = await asyncio.open_connection(host, port)
        reader, one_too_many = await asyncio.open_connection(host, port)
        assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
        for writer in (one, one_too_many):
            writer.close()
        metrics = (await mesh.http.get(f"http://{mesh.bound.ops_address}/metrics")).text
    assert "harkara_query_service_connections_refused_total 1.0" in metrics


async def test_the_openapi_document_is_valid_and_needs_no_token(mesh: QueryMesh) -> None:
    document = (await mesh.get("/openapi.json")).json()
    validate(document)
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for operation in (path["get"] for path in document["paths"].values()):
        assert operation["security"] == [{"bearer": []}]
        assert {"401", "403", "503"} <= set(operation["responses"])
        for status, response in operation["responses"].items():
            schema = response["content"]["application/json"]["schema"]
            if status != "200":
                assert schema == {"$ref": "#/components/schemas/FailureAnswer"}


async def test_the_asyncapi_document_needs_no_token_and_has_the_deployments_own_types(
    reader_dsn: str, tmp_path: Path
) -> None:
    url = "wss://events.example.com/api/websocket/ws"
    file = tmp_path / "types.json"
    file.write_text('{"event_types": {"coupon_granted": {"level": "low", "data": {"coupon_id": "string"}}}}')
    async with running_query_service(reader_dsn, tmp_path, catalogue_file=file, websocket_url=url) as mesh:
        response = await mesh.get("/asyncapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == asyncapi_document(load_catalogue(file), url)
    assert "event_coupon_granted" in response.json()["components"]["messages"]


async def test_answers_are_as_the_openapi_document_says(mesh: QueryMesh, log: LogPen) -> None:
    document = (await mesh.get("/openapi.json")).json()
    event_id = log.event(event_level="critical", data='{"anything": [1, null]}')
    log.counts("2026-01-27", (0, "payment_failed", "payments", "critical", 5))
    log.device("user_1", "phone", 1)
    admin, customer = mesh.auth.add("root", "admin"), mesh.auth.add("user_1", "customer")
    user = "/api/websocket/events/user/{user_id}"
    for route, path, token, status in (
        ("/api/websocket/stats", None, admin, 200),
        ("/api/websocket/stats", None, customer, 403),
        ("/api/websocket/stats", None, None, 401),
        ("/api/websocket/events/{event_id}", f"/api/websocket/events/{event_id}", admin, 200),
        ("/api/websocket/events/{event_id}", "/api/websocket/events/evt_x", admin, 404),
        (f"{EVENT}/delivery", f"/api/websocket/events/{event_id}/delivery", admin, 200),
        (f"{EVENT}/delivery", "/api/websocket/events/evt_x/delivery", admin, 404),
        (user, HISTORY, customer, 200),
        (user, "/api/websocket/events/user/user_2", customer, 403),
        (user, f"{HISTORY}?limit=0", customer, 422),
        (SUMMARY, f"{SUMMARY}?date=2026-01-27", admin, 200),
        (SUMMARY, f"{SUMMARY}?date=0", admin, 422),
        (CRITICAL, None, admin, 200),
        (CRITICAL, f"{CRITICAL}?hours=x", admin, 422),
    ):
        response = await mesh.get(path or route, token)
        assert response.status_code == status
        described = document["paths"][route]["get"]["responses"][str(status)]
        schema = {
            **described["content"]["application/json"]["schema"],
            "components": document["components"],
        }
        jsonschema.Draft202012Validator(
            schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        ).validate(response.json())


async def test_a_token_never_leaves_in_a_failure(mesh: QueryMesh) -> None:
    token = base64.urlsafe_b64encode(b"a rather secret token").decode()
    assert token not in (await mesh.get(HISTORY, token)).text
