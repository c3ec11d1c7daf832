"""Who is let in over REST, and what is written down about it."""

import asyncio

import grpc
import pytest
from structlog.testing import capture_logs

from harkara.auth.v1 import auth_service_pb2 as auth
from harkara_query_service.domain import access
from tests.integration.query.conftest import LogPen
from tests.support.query_peers import CREDENTIAL, QueryMesh

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNKNOWN_ID = "evt_01KG0A5XQ8ZJ3N5R7T9VWXYZ01"
OWN = "/api/websocket/events/user/user_1"
PATHS = {
    access.STATS: "/api/websocket/stats",
    access.EVENT: f"/api/websocket/events/{UNKNOWN_ID}",
    access.DELIVERY: f"/api/websocket/events/{UNKNOWN_ID}/delivery",
    access.USER_EVENTS: OWN,
    access.SUMMARY: "/api/websocket/analytics/summary",
    access.CRITICAL_EVENTS: "/api/websocket/critical-events",
}


async def test_every_path_with_a_rule_wants_a_token(mesh: QueryMesh) -> None:
    assert set(PATHS) == set(access.READS)
    for path in PATHS.values():
        response = await mesh.get(path)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["error"]["code"] == "unauthenticated"
    assert mesh.auth.asked == []


async def test_what_cannot_be_a_token_is_refused_unread(mesh: QueryMesh) -> None:
    for header in (
        "", "Bearer", "Basic dXNlcjpwdw==", "Bearer a b", "token-of-user_1", "Bearer a,Bearer b",
        "Bearer " + "a" * 8193,
    ):  # fmt: skip
        assert (await mesh.get(OWN, authorization=header)).status_code == 401
    good = ("authorization", f"Bearer {mesh.auth.add('user_1', 'customer')}")
    assert (await mesh.http.get(OWN, headers=[good, good])).status_code == 401
    assert mesh.auth.asked == []


async def test_the_scheme_is_spelt_in_any_case(mesh: QueryMesh) -> None:
    token = mesh.auth.add("user_1", "customer")
    assert (await mesh.get(OWN, authorization=f"bearer {token}")).status_code == 200


async def test_a_token_that_the_auth_service_refuses_is_401_and_one_of_a_disabled_user_403(
    mesh: QueryMesh,
) -> None:
    mesh.auth.answers["disabled"] = grpc.StatusCode.PERMISSION_DENIED
    assert (await mesh.get(OWN, "forged")).status_code == 401
    assert (await mesh.get(OWN, "disabled")).status_code == 403


async def test_our_own_credential_goes_with_each_question(own_mesh: QueryMesh) -> None:
    await own_mesh.get("/api/websocket/stats", own_mesh.auth.add("root", "admin"))
    assert own_mesh.auth.credentials == own_mesh.events[0].credentials == [f"Bearer {CREDENTIAL}"]


async def test_people_read_their_own_events_only(mesh: QueryMesh, log: LogPen) -> None:
    own, others = log.event("user_1"), log.event("user_2")
    token = mesh.auth.add("user_1", "customer")
    statuses = {
        path: (await mesh.get(path, token)).status_code
        for path in (
            OWN,
            f"/api/websocket/events/{own}",
            "/api/websocket/events/user/user_2",
            "/api/websocket/events/user/nobody",
            "/api/websocket/events/user/user_2?limit=0",
            f"/api/websocket/events/{others}",
            f"/api/websocket/events/{UNKNOWN_ID}",
            f"/api/websocket/events/{own}/delivery",
            f"/api/websocket/events/{others}/delivery",
            "/api/websocket/stats",
            "/api/websocket/analytics/summary",
            "/api/websocket/analytics/summary?date=0",
            "/api/websocket/critical-events",
        )
    }
    assert list(statuses.values()) == [200, 200, 403, 403, 403, 404, 404, 200, 404, 403, 403, 403, 403]


async def test_anothers_event_looks_as_one_that_does_not_exist(mesh: QueryMesh, log: LogPen) -> None:
    token = mesh.auth.add("user_1", "customer")
    others = await mesh.get(f"/api/websocket/events/{log.event('user_2')}", token)
    none = await mesh.get(f"/api/websocket/events/{UNKNOWN_ID}", token)
    assert (others.status_code, others.content) == (none.status_code, none.content)


async def test_staff_read_everything_and_what_is_anothers_is_written_down(
    mesh: QueryMesh, log: LogPen
) -> None:
    event_id = log.event("user_2", data='{"secret": "of user_2"}')
    token = mesh.auth.add("boss", "support")
    with capture_logs() as records:
        for path in (*PATHS.values(), "/api/websocket/events/user/boss"):
            assert (await mesh.get(path, token)).status_code in {200, 404}
        assert (await mesh.get(f"/api/websocket/events/{event_id}", token)).status_code == 200
        assert (await mesh.get(f"/api/websocket/events/{event_id}/delivery", token)).status_code == 200
    audit = [record for record in records if record.get("logger") == "audit"]
    assert [(r["event"], r["reader"], r["role"], r["owner"], r["route"]) for r in audit] == [
        ("events_of_another_read", "boss", "support", "user_1", access.USER_EVENTS),
        ("events_of_another_read", "boss", "support", "user_2", access.EVENT),
        ("events_of_another_read", "boss", "support", "user_2", access.DELIVERY),
    ]
    assert all(record["read_at"].endswith("Z") for record in audit)
    assert "secret" not in str(records)
    assert token not in str(records)


async def test_a_service_reads_nothing_whatever_role_it_claims(mesh: QueryMesh) -> None:
    for kind in (auth.PRINCIPAL_KIND_SERVICE, auth.PRINCIPAL_KIND_INTERNAL):
        token = mesh.auth.add("user_1", "admin", kind=kind)
        assert {(await mesh.get(path, token)).status_code for path in PATHS.values()} == {403}


async def test_a_token_is_verified_once_for_requests_of_one_moment_and_of_the_next_seconds(
    mesh: QueryMesh,
) -> None:
    token = mesh.auth.add("user_1", "customer")
    responses = await asyncio.gather(*(mesh.get(OWN, token) for _ in range(10)))
    assert {response.status_code for response in responses} == {200}
    await mesh.get(OWN, token)
    assert mesh.auth.asked == [token]


async def test_an_answer_about_a_token_is_not_kept_beyond_the_tokens_end(mesh: QueryMesh) -> None:
    # The auth-service still lets in a token that ended within its leeway.
    token = mesh.auth.add("user_1", "customer", expires_in=-1)
    for _ in range(2):
        assert (await mesh.get(OWN, token)).status_code == 200
    assert mesh.auth.asked == [token, token]


async def test_a_refusal_is_not_kept(mesh: QueryMesh) -> None:
    assert (await mesh.get(OWN, "of-a-new-user")).status_code == 401
    mesh.auth.add("user_1", "customer", token="of-a-new-user")
    assert (await mesh.get(OWN, "of-a-new-user")).status_code == 200
