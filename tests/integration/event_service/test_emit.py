"""Emit and EmitBatch over gRPC, on Postgres: every status of the contract."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import event_pb2
from tests.support.event_service import EDGE, ORDERS, PERSON, Listening, add_service
from tests.support.events import fresh_event_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 20
Code = grpc.StatusCode


def draft(user_id: str, **fields: Any) -> event_pb2.EventDraft:
    given: dict[str, Any] = {"event_type": "order_created", "data": '{"order_id":"o1"}'}
    return event_pb2.EventDraft(user_id=user_id, **(given | fields))


async def emit(
    calls: Listening, event: event_pb2.EventDraft, token: str | None = ORDERS, **fields: Any
) -> pb.EmitResponse:
    response: pb.EmitResponse = await calls.emit(token).Emit(
        pb.EmitRequest(event=event, **fields), timeout=SECONDS
    )
    return response


async def emit_batch(
    calls: Listening, events: list[event_pb2.EventDraft], token: str | None = ORDERS
) -> list[pb.EmitResult]:
    response: pb.EmitBatchResponse = await calls.emit(token).EmitBatch(
        pb.EmitBatchRequest(events=events), timeout=SECONDS
    )
    return list(response.results)


async def refusal(call: Any) -> tuple[Code, str]:
    """The status of a call that must fail, and the field it names."""
    with pytest.raises(aio.AioRpcError) as refused:
        await call
    return refused.value.code(), (refused.value.details() or "").partition(":")[0]


async def is_stored(calls: Listening, user: str) -> bool:
    """Whether anything was stored for the user before."""
    return (await emit(calls, draft(user))).seq > 1


# One event.


async def test_events_of_a_user_are_numbered_from_1(calls: Listening, user: str) -> None:
    before = datetime.now(UTC)
    first = await emit(calls, draft(user))
    second = await emit(calls, draft(user))
    after = datetime.now(UTC)

    assert (first.seq, second.seq) == (1, 2)
    assert first.event_id != second.event_id
    assert first.event_id.startswith("evt_")
    assert not first.duplicate
    assert before - timedelta(milliseconds=1) <= first.accept_time.ToDatetime(UTC) <= after


async def test_the_same_event_again_answers_as_it_did_the_first_time(calls: Listening, user: str) -> None:
    event = draft(user, event_id=fresh_event_id())

    first = await emit(calls, event)
    again = await emit(calls, event)

    assert (again.event_id, again.seq, again.accept_time) == (first.event_id, first.seq, first.accept_time)
    assert (first.duplicate, again.duplicate) == (False, True)


@pytest.mark.parametrize(
    "change",
    [
        {"data": '{"order_id":"o2"}'},
        {"data": '{"order_id": "o1"}'},
        {"event_type": "order_ready"},
        {"event_level": event_pb2.EVENT_LEVEL_LOW},
        {"timestamp": Timestamp(seconds=1)},
        {"user_id": "somebody_else"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_the_same_id_with_other_content_already_exists(
    calls: Listening, user: str, change: dict[str, Any]
) -> None:
    event = draft(user, event_id=fresh_event_id())
    await emit(calls, event)
    other = event_pb2.EventDraft()
    other.CopyFrom(event)
    other.MergeFrom(event_pb2.EventDraft(**change))

    assert await refusal(emit(calls, other)) == (Code.ALREADY_EXISTS, "event_id")
    assert (await emit(calls, event)).seq == 1


@pytest.mark.parametrize("token", [None, "no-such-token"])
async def test_without_a_good_credential_it_is_unauthenticated(
    calls: Listening, user: str, token: str | None
) -> None:
    assert (await refusal(emit(calls, draft(user), token)))[0] is Code.UNAUTHENTICATED
    assert (await refusal(emit_batch(calls, [draft(user)], token)))[0] is Code.UNAUTHENTICATED
    assert not await is_stored(calls, user)


@pytest.mark.parametrize("token", [PERSON, EDGE])
async def test_nobody_but_a_service_may_emit(calls: Listening, user: str, token: str) -> None:
    assert (await refusal(emit(calls, draft(user), token)))[0] is Code.PERMISSION_DENIED
    assert (await refusal(emit_batch(calls, [draft(user)], token)))[0] is Code.PERMISSION_DENIED
    assert not await is_stored(calls, user)


async def test_a_credential_is_good_for_its_globs_only(calls: Listening, user: str) -> None:
    token = add_service(calls.auth, "payments", ["payment_*"])

    stored = await emit(calls, draft(user, event_type="payment_failed", data="{}"), token)

    assert stored.seq == 1
    denied = await refusal(emit(calls, draft(user), token))
    assert denied == (Code.PERMISSION_DENIED, "event_type")


LOW = {"event_type": "location_updated", "data": "{}"}
FAULTS: list[tuple[dict[str, Any], Code, str]] = [
    ({"user_id": ""}, Code.INVALID_ARGUMENT, "user_id"),
    ({"user_id": "no spaces"}, Code.INVALID_ARGUMENT, "user_id"),
    ({"event_type": ""}, Code.INVALID_ARGUMENT, "event_type"),
    ({"event_type": "no_such_type"}, Code.INVALID_ARGUMENT, "event_type"),
    ({"event_type": "wallet_updated"}, Code.PERMISSION_DENIED, "event_type"),
    ({"source": "payments"}, Code.PERMISSION_DENIED, "source"),
    ({"event_level": 9}, Code.INVALID_ARGUMENT, "event_level"),
    ({"data": ""}, Code.INVALID_ARGUMENT, "data"),
    ({"data": "[1]"}, Code.INVALID_ARGUMENT, "data"),
    ({"data": '{"a":NaN}'}, Code.INVALID_ARGUMENT, "data"),
    ({"data": '{"a":"\\u0000"}'}, Code.INVALID_ARGUMENT, "data.a"),
    ({"data": '{"a":"\\udc00"}'}, Code.INVALID_ARGUMENT, "data.a"),
    ({"data": '{"total_amount":"1"}'}, Code.INVALID_ARGUMENT, "data.total_amount"),
    ({"data": '{"a":' * 33 + "1" + "}" * 33}, Code.INVALID_ARGUMENT, "data" + ".a" * 32),
    ({"data": '{"a":"' + "x" * (65_537 - 8) + '"}'}, Code.INVALID_ARGUMENT, "data"),
    ({"event_id": "evt_lower"}, Code.INVALID_ARGUMENT, "event_id"),
    (
        {"event_id": fresh_event_id(datetime.now(UTC) + timedelta(hours=2))},
        Code.INVALID_ARGUMENT,
        "event_id",
    ),
    (
        {"event_id": fresh_event_id(datetime.now(UTC) - timedelta(days=7, minutes=1))},
        Code.INVALID_ARGUMENT,
        "event_id",
    ),
    ({"timestamp": Timestamp(seconds=253_402_300_800)}, Code.INVALID_ARGUMENT, "timestamp"),
    ({"timestamp": Timestamp(nanos=-1)}, Code.INVALID_ARGUMENT, "timestamp"),
    ({"collapse_key": "key"}, Code.INVALID_ARGUMENT, "collapse_key"),
    ({**LOW, "collapse_key": "two words"}, Code.INVALID_ARGUMENT, "collapse_key"),
    ({"ttl": Duration()}, Code.INVALID_ARGUMENT, "ttl"),
    ({"ttl": Duration(seconds=-1)}, Code.INVALID_ARGUMENT, "ttl"),
    ({"ttl": Duration(seconds=30 * 86_400, nanos=1)}, Code.INVALID_ARGUMENT, "ttl"),
    ({"storage": event_pb2.STORAGE_EPHEMERAL, "data": "["}, Code.INVALID_ARGUMENT, "data"),
    ({"storage": 9}, Code.INVALID_ARGUMENT, "storage"),
]


@pytest.mark.parametrize(("fields", "code", "field"), FAULTS, ids=range(len(FAULTS)))
async def test_a_fault_of_a_field_is_answered_by_its_name(
    calls: Listening, user: str, fields: dict[str, Any], code: Code, field: str
) -> None:
    assert await refusal(emit(calls, draft(**({"user_id": user} | fields)))) == (code, field)
    assert not await is_stored(calls, user)


@pytest.mark.parametrize(
    "fields",
    [
        {"data": '{"a":"' + "x" * (65_536 - 8) + '"}'},
        {"data": '{"a":' * 32 + "1" + "}" * 32},
        {"event_id": fresh_event_id(datetime.now(UTC) - timedelta(days=6, hours=23))},
        {"event_id": fresh_event_id(datetime.now(UTC) + timedelta(minutes=58))},
        {"source": "orders"},
        {"storage": event_pb2.STORAGE_STORED},
        {"event_level": event_pb2.EVENT_LEVEL_CRITICAL},
        {"timestamp": Timestamp(seconds=-62_135_596_800)},
        {"timestamp": Timestamp(seconds=253_402_300_799, nanos=999_999_999)},
        {**LOW, "collapse_key": "courier-7"},
        {"ttl": Duration(nanos=1)},
        {"ttl": Duration(seconds=30 * 86_400)},
        {"user_id": "Never_Seen-Before"},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_what_the_contract_allows_is_stored(
    calls: Listening, user: str, fields: dict[str, Any]
) -> None:
    assert (await emit(calls, draft(**({"user_id": user} | fields)))).seq >= 1


async def test_a_request_without_an_event_is_refused(calls: Listening) -> None:
    call = calls.emit().Emit(pb.EmitRequest(), timeout=SECONDS)

    assert await refusal(call) == (Code.INVALID_ARGUMENT, "event")


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"wait_for": event_pb2.WAIT_FOR_ACKNOWLEDGED}, Code.UNIMPLEMENTED, "wait_for"),
        (
            {"wait_for": event_pb2.WAIT_FOR_ACKNOWLEDGED, "wait_timeout": Duration(seconds=1)},
            Code.UNIMPLEMENTED,
            "wait_for",
        ),
        ({"wait_for": 7}, Code.INVALID_ARGUMENT, "wait_for"),
        ({"wait_timeout": Duration(seconds=1)}, Code.INVALID_ARGUMENT, "wait_timeout"),
    ],
)
async def test_what_one_may_wait_for_is_told_and_never_ignored(
    calls: Listening, user: str, fields: dict[str, Any], code: Code, field: str
) -> None:
    assert await refusal(emit(calls, draft(user), **fields)) == (code, field)
    assert not await is_stored(calls, user)


async def test_waiting_for_the_commit_is_what_one_waits_for(calls: Listening, user: str) -> None:
    assert (await emit(calls, draft(user), wait_for=event_pb2.WAIT_FOR_COMMITTED)).seq == 1


async def test_emits_at_once_from_many_are_numbered_without_a_gap(calls: Listening, user: str) -> None:
    answers = await asyncio.gather(*(emit(calls, draft(user)) for _ in range(50)))

    assert sorted(answer.seq for answer in answers) == list(range(1, 51))


# Batches.


async def test_results_stand_in_the_order_of_the_events(calls: Listening, user: str) -> None:
    ids = [fresh_event_id() for _ in range(10)]

    results = await emit_batch(calls, [draft(user, event_id=event_id) for event_id in ids])

    assert [result.event_id for result in results] == ids
    assert [result.seq for result in results] == list(range(1, 11))
    assert not any(result.HasField("error") for result in results)


async def test_one_bad_event_fails_alone(calls: Listening, user: str) -> None:
    taken, own = fresh_event_id(), fresh_event_id()
    await emit(calls, draft(user, event_id=taken))

    results = await emit_batch(
        calls,
        [
            draft(user),
            draft(user, data="{", event_id=own),
            draft(user, data="{"),
            draft(user, event_type="wallet_updated"),
            draft(user, event_id=taken),
            draft(user, event_id=taken, data="{}"),
            draft(user, ttl=Duration()),
            draft(user),
        ],
    )

    assert [(result.seq, result.duplicate, result.error.code, result.error.field) for result in results] == [
        (2, False, 0, ""),
        (0, False, Code.INVALID_ARGUMENT.value[0], "data"),
        (0, False, Code.INVALID_ARGUMENT.value[0], "data"),
        (0, False, Code.PERMISSION_DENIED.value[0], "event_type"),
        (1, True, 0, ""),
        (0, False, Code.ALREADY_EXISTS.value[0], "event_id"),
        (0, False, Code.INVALID_ARGUMENT.value[0], "ttl"),
        (3, False, 0, ""),
    ]
    assert [result.event_id for result in results][1:3] == [own, ""]
    assert results[4].event_id == results[5].event_id == taken


async def test_a_batch_of_bad_events_only_is_answered_one_by_one(calls: Listening, user: str) -> None:
    results = await emit_batch(calls, [draft(user, data="")] * 3)

    assert [result.error.field for result in results] == ["data"] * 3


async def test_equal_ids_in_one_batch_share_one_place(calls: Listening, user: str) -> None:
    event_id = fresh_event_id()

    results = await emit_batch(calls, [draft(user, event_id=event_id)] * 3)

    assert [result.seq for result in results] == [1, 1, 1]


async def test_a_batch_of_1000_is_stored_and_one_of_1001_is_not(calls: Listening, user: str) -> None:
    results = await emit_batch(calls, [draft(user)] * 1000)
    assert [result.seq for result in results] == list(range(1, 1001))

    assert await refusal(emit_batch(calls, [draft(user)] * 1001)) == (Code.INVALID_ARGUMENT, "events")
    assert await refusal(emit_batch(calls, [])) == (Code.INVALID_ARGUMENT, "events")
    assert (await emit(calls, draft(user))).seq == 1001


async def test_a_batch_over_4_mib_is_refused_by_us_and_not_by_grpc(calls: Listening, user: str) -> None:
    """Up to gRPC's own limit of 8 MiB, past which it answers RESOURCE_EXHAUSTED, and callers would retry."""
    large = draft(user, data='{"a":"' + "x" * 65_000 + '"}')
    just_right = [large] * 64
    assert pb.EmitBatchRequest(events=just_right).ByteSize() <= 4 << 20

    assert len(await emit_batch(calls, just_right)) == 64

    for count in (65, 125):
        assert await refusal(emit_batch(calls, [large] * count)) == (Code.INVALID_ARGUMENT, "events")
    assert (await emit(calls, draft(user))).seq == 65
