"""What each endpoint answer, on a real Postgres over real HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from harkara_query_service.domain import access
from tests.integration.query.conftest import LogPen
from tests.support.query_peers import QueryMesh
from tests.support.reference_vectors import load_vectors

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime.now(UTC).replace(microsecond=0)
REST = {name: vector for name, vector in load_vectors().items() if vector.kind == "rest_response"}


def success(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def seqs(body: Any) -> list[int]:
    return [row["seq"] for row in body["data"]]


async def test_an_event_is_answered_whole(mesh: QueryMesh, log: LogPen) -> None:
    moment = NOW.replace(microsecond=123456)
    event_id = log.event(
        "user_123",
        event_type="earning_recorded",
        event_level="medium",
        source="earnings_service",
        data='{"amount":500}',
        timestamp=datetime(2026, 1, 27, 10, 30, tzinfo=UTC),
        created_at=moment,
    )
    token = mesh.auth.add("user_123", "delivery_boy")
    assert success(await mesh.get(f"/api/websocket/events/{event_id}", token)) == {
        "status": "success",
        "data": {
            "_id": event_id,
            "event_id": event_id,
            "event_type": "earning_recorded",
            "event_level": "medium",
            "user_id": "user_123",
            "timestamp": "2026-01-27T10:30:00Z",
            "source": "earnings_service",
            "data": {"amount": 500},
            "created_at": moment.replace(tzinfo=None).isoformat() + "Z",
            "seq": 1,
        },
    }


async def test_a_delivery_says_how_it_was_emitted_and_which_devices_acknowledged_past_it(
    mesh: QueryMesh, log: LogPen
) -> None:
    before = log.event("user_1")
    event_id = log.event(
        "user_1",
        timestamp=datetime(2026, 1, 27, 10, 30, tzinfo=UTC),
        created_at=NOW,
        event_level="low",
        collapse_key="del_456",
        expires_at=NOW + timedelta(seconds=60),
    )
    log.device("user_1", "tablet", 1)
    log.device("user_1", "phone", 2)
    log.device("user_1", "of-a-former-life", 99, epoch="former")
    log.device("user_2", "anothers", 2)
    token = mesh.auth.add("user_1", "customer")
    body = success(await mesh.get(f"/api/websocket/events/{event_id}/delivery", token))
    at = "2026-01-27T10:00:00Z"
    assert body["data"] == {
        "event_id": event_id,
        "user_id": "user_1",
        "seq": 2,
        "timestamp": "2026-01-27T10:30:00Z",
        "created_at": NOW.replace(tzinfo=None).isoformat() + "Z",
        "expires_at": (NOW + timedelta(seconds=60)).replace(tzinfo=None).isoformat() + "Z",
        "collapse_key": "del_456",
        "devices": [
            {"device_id": "phone", "acked_seq": 2, "acknowledged": True, "updated_at": at},
            {"device_id": "tablet", "acked_seq": 1, "acknowledged": False, "updated_at": at},
        ],
    }
    earlier = success(await mesh.get(f"/api/websocket/events/{before}/delivery", token))["data"]
    assert (earlier["expires_at"], earlier["collapse_key"]) == (None, None)
    assert [device["acknowledged"] for device in earlier["devices"]] == [True, True]


async def test_a_delivery_to_a_user_none_of_whose_devices_acknowledge_names_none(
    mesh: QueryMesh, log: LogPen
) -> None:
    token = mesh.auth.add("user_1", "customer")
    body = success(await mesh.get(f"/api/websocket/events/{log.event('user_1')}/delivery", token))
    assert body["data"]["devices"] == []


async def test_a_user_may_be_called_delivery(mesh: QueryMesh, log: LogPen) -> None:
    log.event("delivery")
    token = mesh.auth.add("delivery", "customer")
    assert seqs(success(await mesh.get("/api/websocket/events/user/delivery", token))) == [1]


async def test_a_row_of_a_list_is_the_event_itself(mesh: QueryMesh, log: LogPen) -> None:
    event_id = log.event(event_type="payment_failed", event_level="critical", data='{"amount": 130}')
    token = mesh.auth.add("root", "admin")
    event = success(await mesh.get(f"/api/websocket/events/{event_id}", token))["data"]
    assert success(await mesh.get("/api/websocket/events/user/user_1", token))["data"] == [event]
    assert success(await mesh.get("/api/websocket/critical-events", token))["data"] == [event]


async def test_data_comes_back_byte_for_byte(mesh: QueryMesh, log: LogPen) -> None:
    token = mesh.auth.add("user_1", "customer")
    for data in (
        '{"big":123456789012345678901234567890,"huge":1e400,"cents":1.10,"zero":-0}',
        '{ "tab\\t": "\t", "e": "\\u00e9", "rider": "\U0001f6f5", "nested":{"a":[{}, [ ]]} }',
    ):
        response = await mesh.get(f"/api/websocket/events/{log.event(data=data)}", token)
        assert b'"data":' + data.encode() + b"," in response.content


async def test_history_is_newest_first_by_seq_whatever_the_timestamps_say(
    mesh: QueryMesh, log: LogPen
) -> None:
    for number in range(5):
        log.event(timestamp=NOW - timedelta(days=number))
    log.event("somebody_else")
    body = success(await mesh.get("/api/websocket/events/user/user_1", mesh.auth.add("user_1", "customer")))
    assert seqs(body) == [5, 4, 3, 2, 1]
    assert (body["count"], body["limit"], body["skip"]) == (5, 50, 0)


async def test_pages_meet_without_a_gap_by_skip_and_by_before_seq(mesh: QueryMesh, log: LogPen) -> None:
    for number in range(10):
        # Over two weeks, so over several partitions.
        log.event(created_at=NOW - timedelta(days=8) + timedelta(days=number / 2))
    token = mesh.auth.add("user_1", "customer")

    async def page(query: str) -> list[int]:
        return seqs(success(await mesh.get(f"/api/websocket/events/user/user_1?{query}", token)))

    assert [await page(f"limit=4&skip={skip}") for skip in (0, 4, 8, 12)] == [
        [10, 9, 8, 7], [6, 5, 4, 3], [2, 1], [],
    ]  # fmt: skip
    assert [await page(f"limit=4&before_seq={seq}") for seq in (11, 7, 3, 1)] == [
        [10, 9, 8, 7], [6, 5, 4, 3], [2, 1], [],
    ]  # fmt: skip
    assert await page("limit=2&before_seq=7&skip=2") == [4, 3]
    assert await page(f"skip={2**63 - 1}") == []


async def test_count_is_the_number_of_rows_in_this_page(mesh: QueryMesh, log: LogPen) -> None:
    for _ in range(7):
        log.event()
    body = success(
        await mesh.get(
            "/api/websocket/events/user/user_1?limit=5&skip=4", mesh.auth.add("user_1", "customer")
        )
    )
    assert (body["count"], body["limit"], body["skip"]) == (3, 5, 4)


async def test_history_can_be_of_one_type(mesh: QueryMesh, log: LogPen) -> None:
    for event_type in ("order_created", "order_ready", "order_created"):
        log.event(event_type=event_type)
    token = mesh.auth.add("user_1", "customer")
    path = "/api/websocket/events/user/user_1?event_type=order_created"
    assert seqs(success(await mesh.get(path, token))) == [3, 1]
    assert seqs(success(await mesh.get(f"{path}&before_seq=3", token))) == [1]
    assert seqs(success(await mesh.get(f"{path}&skip=1", token))) == [1]


async def test_a_user_without_events_has_an_empty_history(mesh: QueryMesh) -> None:
    body = success(await mesh.get("/api/websocket/events/user/new", mesh.auth.add("new", "shop")))
    assert body == {"status": "success", "data": [], "count": 0, "limit": 50, "skip": 0}


async def test_critical_events_are_those_accepted_in_the_last_hours_newest_first(
    mesh: QueryMesh, log: LogPen
) -> None:
    hour = timedelta(hours=1)
    critical = {"event_type": "payment_failed", "event_level": "critical"}
    log.event("a", created_at=NOW - 7 * hour, timestamp=NOW, **critical)
    older = log.event("b", created_at=NOW - 5 * hour, timestamp=NOW - 99 * hour, **critical)
    newer = log.event("a", created_at=NOW - 2 * hour, **critical)
    log.event("a", created_at=NOW - hour)
    token = mesh.auth.add("root", "support")
    body = success(await mesh.get("/api/websocket/critical-events?hours=6&limit=50", token))
    assert (body["time_range_hours"], body["critical_count"]) == (6, 2)
    assert [row["event_id"] for row in body["data"]] == [newer, older]


async def test_critical_count_is_of_the_whole_time_also_where_limit_cuts_the_rows(
    mesh: QueryMesh, log: LogPen
) -> None:
    for _ in range(4):
        log.event(event_level="critical")
    token = mesh.auth.add("root", "admin")
    body = success(await mesh.get("/api/websocket/critical-events?limit=3", token))
    assert body["critical_count"] == 4
    assert seqs(body) == [4, 3, 2]


async def test_critical_events_of_one_moment_keep_the_order_of_their_user(
    mesh: QueryMesh, log: LogPen
) -> None:
    for _ in range(20):
        log.event(event_level="critical", created_at=NOW)
    body = success(await mesh.get("/api/websocket/critical-events", mesh.auth.add("root", "admin")))
    assert seqs(body) == list(range(20, 0, -1))


async def test_no_critical_events_is_a_count_of_zero(mesh: QueryMesh) -> None:
    body = success(await mesh.get("/api/websocket/critical-events", mesh.auth.add("root", "admin")))
    assert body == {"status": "success", "time_range_hours": 24, "critical_count": 0, "data": []}


async def test_a_summary_is_the_days_counts_over_all_writers(mesh: QueryMesh, log: LogPen) -> None:
    log.counts(
        "2026-01-27",
        (0, "earning_recorded", "earnings", "medium", 100),
        (1, "earning_recorded", "earnings", "medium", 25),
        (0, "payment_failed", "payments", "critical", 5),
        (7, "payment_failed", "payments", "high", 2**40),
    )
    log.counts("2026-01-28", (0, "earning_recorded", "earnings", "medium", 9))
    token = mesh.auth.add("root", "admin")
    assert success(await mesh.get("/api/websocket/analytics/summary?date=2026-01-27", token)) == {
        "status": "success",
        "data": {
            "date": "2026-01-27",
            "total_events": 130 + 2**40,
            "critical_events": 5,
            "by_event_type": {"earning_recorded": 125, "payment_failed": 5 + 2**40},
            "by_source": {"earnings": 125, "payments": 5 + 2**40},
            "by_level": {"critical": 5, "high": 2**40, "medium": 125, "low": 0},
        },
    }


async def test_a_summary_without_a_date_is_todays(mesh: QueryMesh) -> None:
    before = datetime.now(UTC).date()
    body = success(await mesh.get("/api/websocket/analytics/summary", mesh.auth.add("root", "admin")))
    assert body["data"]["date"] in {before.isoformat(), datetime.now(UTC).date().isoformat()}
    assert body["data"]["total_events"] == 0


async def test_stats_are_the_event_services_counts_at_a_moment(own_mesh: QueryMesh) -> None:
    stats = own_mesh.events[0].stats
    stats.connections, stats.queued_events, stats.active_subscriptions = 42, 3, 156
    stats.user_hashes.extend(range(2**64 - 38, 2**64))
    body = success(await own_mesh.get("/api/websocket/stats", own_mesh.auth.add("root", "support")))
    asked_at = datetime.fromisoformat(body["data"].pop("timestamp"))
    assert abs(datetime.now(UTC) - asked_at) < timedelta(seconds=10)
    assert body == {
        "status": "success",
        "data": {
            "total_connections": 42,
            "total_users": 38,
            "queued_events": 3,
            "active_subscriptions": 156,
        },
    }


def has_the_fields_of(answer: Any, example: Any, elided: frozenset[str], at: str = "") -> None:
    """Assert that an answer has each field of an example, of the same kind; it may have more.

    The keys of `by_event_type` and `by_source` are the day's, not the contract's; of a list's rows the first
    of the example says what all must have.
    """
    assert type(answer) is type(example), at
    if isinstance(example, dict) and at not in elided | {"/data/by_event_type", "/data/by_source"}:
        for name, value in example.items():
            assert name in answer, f"{at}/{name}"
            has_the_fields_of(answer[name], value, elided, f"{at}/{name}")
    elif isinstance(example, list) and at not in elided:
        assert answer, at
        for row in answer:
            has_the_fields_of(row, example[0], elided, f"{at}/0")


async def test_each_rest_example_of_the_reference_is_answered_field_by_field(
    mesh: QueryMesh, log: LogPen
) -> None:
    event_id = log.event("user_123", event_type="earning_recorded", data='{"amount": 500}')
    log.counts("2026-01-27", (0, "earning_recorded", "earnings_service", "medium", 125))
    bearer = {"authorization": f"Bearer {mesh.auth.add('root', 'admin')}"}
    beyond = {access.DELIVERY}  # The reference has no such thing.
    assert {vector.request and vector.request.route for vector in REST.values()} == {*access.READS} - beyond
    for vector in REST.values():
        assert vector.request is not None
        path = vector.request.path.replace("evt_abc123", event_id)
        body = success(await mesh.http.get(path, params=vector.request.query, headers=bearer))
        has_the_fields_of(body, vector.body, frozenset(vector.elided))
        assert set(body) == set(vector.body)
        for echoed in ("limit", "skip", "time_range_hours"):
            assert body.get(echoed) == vector.body.get(echoed)
