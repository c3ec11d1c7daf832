"""Every REST example of the reference, asked of the whole mesh with plain HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from harkara.event.v1 import event_pb2
from tests.support.mesh import Mesh
from tests.support.plain_client import listening
from tests.support.reference_vectors import load_vectors

VECTORS = load_vectors()


def assert_same_shape(answer: Any, example: Any, path: str = "$") -> None:
    """Every field of the example is in the answer with a value of the same JSON type."""
    assert type(answer) is type(example), f"{path}: {answer!r} is not like {example!r}"
    if isinstance(example, dict):
        for field, value in example.items():
            assert field in answer, f"{path}.{field} is missing"
            assert_same_shape(answer[field], value, f"{path}.{field}")
    if isinstance(example, list):
        for index, value in enumerate(example[: len(answer)]):
            assert_same_shape(answer[index], value, f"{path}[{index}]")


def get(mesh: Mesh, path: str, token: str | None = None, **query: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {token or mesh.admin_token}"}
    return httpx.get(mesh.rest_url + path, params=query or None, headers=headers)


def test_an_event_by_its_id_has_the_shape_of_the_reference(mesh: Mesh) -> None:
    draft = event_pb2.EventDraft(
        user_id="rest_1", event_type="earning_recorded", data='{"amount": 500, "delivery_id": "del_123"}'
    )
    (result,) = mesh.emit(draft)
    answer = get(mesh, f"/api/websocket/events/{result.event_id}")
    assert answer.status_code == 200
    assert_same_shape(answer.json(), VECTORS["rest_event"].body)
    assert answer.json()["data"]["data"] == {"amount": 500, "delivery_id": "del_123"}
    assert '{"amount": 500, "delivery_id": "del_123"}' in answer.text


def test_a_users_events_have_the_shape_of_the_reference(mesh: Mesh) -> None:
    earning = event_pb2.EventDraft(user_id="rest_2", event_type="earning_recorded", data='{"amount":500}')
    other = event_pb2.EventDraft(user_id="rest_2", event_type="wallet_updated", data="{}")
    mesh.emit(*[earning, other] * 25)
    vector = VECTORS["rest_user_events"]
    assert vector.request is not None
    answer = get(mesh, "/api/websocket/events/user/rest_2", **vector.request.query)
    body = answer.json()
    assert answer.status_code == 200
    assert_same_shape(body, vector.body)
    assert (body["count"], body["limit"], body["skip"]) == (20, 20, 0)
    assert {row["event_type"] for row in body["data"]} == {"earning_recorded"}
    assert [row["seq"] for row in body["data"]] == list(range(49, 9, -2))


def test_pages_by_skip_and_by_before_seq_hold_every_event_once(mesh: Mesh) -> None:
    draft = event_pb2.EventDraft(user_id="rest_3", event_type="order_ready", data="{}")
    mesh.emit(*[draft] * 130)
    path = "/api/websocket/events/user/rest_3"
    by_skip = [row["seq"] for skip in (0, 50, 100) for row in get(mesh, path, skip=str(skip)).json()["data"]]
    assert by_skip == list(range(130, 0, -1))
    by_seq, before = [], 131
    while rows := get(mesh, path, limit="100", before_seq=str(before)).json()["data"]:
        by_seq += [row["seq"] for row in rows]
        before = by_seq[-1]
    assert by_seq == by_skip


async def test_the_live_numbers_have_the_shape_of_the_reference_and_are_exact(mesh: Mesh) -> None:
    mesh.add_users({"stats_1": "customer"})
    before = get(mesh, "/api/websocket/stats").json()["data"]
    token = mesh.token_of("stats_1")
    async with (
        listening(mesh.websocket_url, token, ["order_ready", "eta_updated"]),
        listening(mesh.websocket_url, token, ["*"]),
    ):
        deadline = datetime.now(UTC).timestamp() + 10
        while True:
            answer = get(mesh, "/api/websocket/stats").json()
            after = answer["data"]
            if after["total_connections"] == before["total_connections"] + 2:
                break
            assert datetime.now(UTC).timestamp() < deadline, after
    assert_same_shape(answer, VECTORS["rest_stats"].body)
    assert after["total_users"] == before["total_users"] + 1
    assert after["active_subscriptions"] == before["active_subscriptions"] + 2 + 17
    assert after["queued_events"] == 0


def test_the_summary_of_a_day_counts_what_was_emitted(mesh: Mesh) -> None:
    today = datetime.now(UTC).date().isoformat()
    before = get(mesh, "/api/websocket/analytics/summary", date=today).json()["data"]
    token = mesh.service_token_of("summary_service", "*")
    order = event_pb2.EventDraft(user_id="rest_4", event_type="order_created", data="{}")
    failed = event_pb2.EventDraft(user_id="rest_4", event_type="payment_failed", data="{}")
    mesh.emit(order, order, failed, token=token)
    answer = get(mesh, "/api/websocket/analytics/summary", date=today).json()
    after = answer["data"]
    assert answer["status"] == "success"
    assert after["date"] == today
    assert set(after) == set(VECTORS["rest_analytics_summary"].body["data"])
    assert after["total_events"] == before["total_events"] + 3
    assert after["critical_events"] == before["critical_events"] + 1
    assert after["by_source"]["summary_service"] == 3
    assert after["by_level"]["high"] == before["by_level"]["high"] + 2
    assert after["by_event_type"]["payment_failed"] == before["by_event_type"].get("payment_failed", 0) + 1


def test_critical_events_have_the_shape_of_the_reference(mesh: Mesh) -> None:
    draft = event_pb2.EventDraft(user_id="rest_5", event_type="payment_failed", data='{"error":"x"}')
    (result,) = mesh.emit(draft)
    vector = VECTORS["rest_critical_events"]
    assert vector.request is not None
    body = get(mesh, "/api/websocket/critical-events", **vector.request.query).json()
    assert_same_shape(body, vector.body)
    assert body["time_range_hours"] == 6
    assert body["data"][0]["event_id"] == result.event_id
    assert {row["event_level"] for row in body["data"]} == {"critical"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/websocket/events/user/rest_6?limit=101", 422),
        ("/api/websocket/events/user/rest_6?limit=0", 422),
        ("/api/websocket/events/user/rest_6?skip=-1", 422),
        ("/api/websocket/events/user/rest_6?event_type=nonsense", 422),
        ("/api/websocket/critical-events?hours=169", 422),
        ("/api/websocket/critical-events?limit=501", 422),
        ("/api/websocket/analytics/summary?date=yesterday", 422),
        ("/api/websocket/events/evt_abc123", 404),
        ("/api/websocket/nothing", 404),
    ],
)
def test_what_the_reference_does_not_allow_is_refused_in_one_form(mesh: Mesh, path: str, status: int) -> None:
    answer = get(mesh, path)
    assert answer.status_code == status
    body = answer.json()
    assert body["status"] == "error"
    assert set(body["error"]) >= {"code", "message"}


def test_who_may_read_what(mesh: Mesh) -> None:
    mesh.add_users({"reader": "customer", "helper": "support"})
    draft = event_pb2.EventDraft(user_id="rest_7", event_type="order_ready", data="{}")
    (result,) = mesh.emit(draft)
    reader, helper = mesh.token_of("reader"), mesh.token_of("helper")
    assert get(mesh, "/api/websocket/events/user/reader", reader).status_code == 200
    assert get(mesh, "/api/websocket/events/user/rest_7", reader).status_code == 403
    assert get(mesh, f"/api/websocket/events/{result.event_id}", reader).status_code == 404
    assert get(mesh, "/api/websocket/stats", reader).status_code == 403
    assert get(mesh, f"/api/websocket/events/{result.event_id}", helper).status_code == 200
    assert get(mesh, "/api/websocket/stats", helper).status_code == 200
    assert get(mesh, "/api/websocket/stats", mesh.service_token).status_code == 403
    assert httpx.get(mesh.rest_url + "/api/websocket/stats").status_code == 401
