"""EmitStream over gRPC: order, pipelining, and how a stream ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import event_pb2
from harkara_event_service.ports import Failure
from tests.support.event_service import (
    EDGE,
    ORDERS,
    PERSON,
    Assembled,
    Listening,
    add_service,
    assembled_event_service,
)
from tests.support.events import fresh_event_id
from tests.support.held_log import HeldLog
from tests.support.waiting import wait_until_async

SECONDS = 20
Code = grpc.StatusCode


@pytest.fixture
def log() -> HeldLog:
    return HeldLog()


@pytest.fixture
async def service(log: HeldLog, tmp_path: Path) -> AsyncIterator[Assembled]:
    async with assembled_event_service(lambda _: log, tmp_path) as service:
        yield service


@pytest.fixture
def calls(service: Assembled) -> Listening:
    return service.calls


def request(count: int = 1, user_id: str = "user_1", **fields: Any) -> pb.EmitStreamRequest:
    given: dict[str, Any] = {"event_type": "order_created", "data": "{}", "user_id": user_id}
    return pb.EmitStreamRequest(events=[event_pb2.EventDraft(**(given | fields)) for _ in range(count)])


def open_stream(calls: Listening, token: str = ORDERS) -> Any:
    return calls.emit(None).EmitStream(metadata=(("authorization", f"Bearer {token}"),), timeout=SECONDS)


async def results_of(stream: Any, count: int) -> list[pb.EmitResult]:
    """Read so many results, from as few or many responses as they come in."""
    results: list[pb.EmitResult] = []
    while len(results) < count:
        response = await stream.read()
        assert isinstance(response, pb.EmitStreamResponse), (await stream.code(), await stream.details())
        results += response.results
    assert len(results) == count
    return results


async def status_of(stream: Any) -> Code:
    """How the stream ends, where nothing more may come."""
    results, code = await end_of(stream)
    assert results == []
    return code


async def end_of(stream: Any) -> tuple[list[pb.EmitResult], Code]:
    """Everything that comes until the stream ends, and how it ends."""
    results: list[pb.EmitResult] = []
    try:
        while isinstance(response := await stream.read(), pb.EmitStreamResponse):
            results += response.results
    except aio.AioRpcError as error:
        return results, error.code()
    return results, await stream.code()


async def test_results_come_in_the_order_of_the_events_over_all_requests(calls: Listening) -> None:
    stream = open_stream(calls)
    ids = [fresh_event_id() for _ in range(30)]
    for event_id in ids:
        await stream.write(request(event_id=event_id))
    await stream.done_writing()

    results, code = await end_of(stream)

    assert [(result.event_id, result.seq) for result in results] == list(zip(ids, range(1, 31), strict=True))
    assert code is Code.OK


async def test_requests_are_taken_while_earlier_ones_are_being_stored_and_answered_together(
    calls: Listening, log: HeldLog
) -> None:
    log.answers.clear()
    stream = open_stream(calls)
    for _ in range(10):
        await stream.write(request(2))
    await wait_until_async(lambda: len(log.stored) == 20)
    log.answers.set()

    response = await stream.read()

    assert [result.seq for result in response.results] == list(range(1, 21))
    await stream.done_writing()
    assert await status_of(stream) is Code.OK


@pytest.mark.parametrize(("events", "size", "most"), [(1, 0, 64), (1000, 0, 4), (100, 40_000, 5)])
async def test_a_caller_who_sends_too_much_at_once_is_read_no_further(
    calls: Listening, log: HeldLog, events: int, size: int, most: int
) -> None:
    log.gate.clear()
    stream = open_stream(calls)
    data = '{"x":"' + "x" * size + '"}'
    writing = asyncio.create_task(_write_many(stream, most + 3, request(events, data=data)))
    await log.has_got(most)
    # Whatever was on its way here would come before this is answered.
    await calls.emit().EmitBatch(pb.EmitBatchRequest(), timeout=SECONDS).code()

    assert log.arrived == most
    log.gate.set()
    results = await results_of(stream, (most + 3) * events)
    assert [result.seq for result in results] == list(range(1, (most + 3) * events + 1))
    await writing
    await stream.done_writing()
    assert await status_of(stream) is Code.OK


async def _write_many(stream: Any, count: int, each: pb.EmitStreamRequest) -> None:
    for _ in range(count):
        await stream.write(each)


async def test_one_bad_event_fails_alone_and_the_stream_goes_on(calls: Listening) -> None:
    stream = open_stream(calls)
    await stream.write(request(data="{"))
    await stream.write(request(event_type="wallet_updated"))
    await stream.write(request())
    await stream.done_writing()

    results, code = await end_of(stream)

    assert [result.error.code for result in results] == [
        Code.INVALID_ARGUMENT.value[0],
        Code.PERMISSION_DENIED.value[0],
        0,
    ]
    assert code is Code.OK


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_request_of_a_wrong_size_ends_the_stream_after_what_came_before_is_answered(
    calls: Listening, log: HeldLog, count: int
) -> None:
    stream = open_stream(calls)
    await stream.write(request(3))
    await stream.write(request(count))
    await stream.write(request(1))
    await stream.done_writing()

    results, code = await end_of(stream)

    assert [result.seq for result in results] == [1, 2, 3]
    assert code is Code.INVALID_ARGUMENT
    assert len(log.stored) == 3


async def test_a_request_over_4_mib_ends_the_stream(calls: Listening) -> None:
    stream = open_stream(calls)
    await stream.write(request(65, data='{"a":"' + "x" * 65_000 + '"}'))

    assert await status_of(stream) is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("token", "code"),
    [("nobody", Code.UNAUTHENTICATED), (PERSON, Code.PERMISSION_DENIED), (EDGE, Code.PERMISSION_DENIED)],
)
async def test_only_a_service_may_open_a_stream(calls: Listening, token: str, code: Code) -> None:
    assert await status_of(open_stream(calls, token)) is code


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Failure.UNAVAILABLE, Code.UNAVAILABLE),
        (Failure.OVERLOADED, Code.RESOURCE_EXHAUSTED),
        (Failure.DEADLINE, Code.DEADLINE_EXCEEDED),
    ],
)
async def test_a_failure_that_may_be_retried_ends_the_stream_and_nothing_later_is_stored(
    calls: Listening, log: HeldLog, failure: Failure, code: Code
) -> None:
    log.failures[3] = failure
    log.gate.clear()
    stream = open_stream(calls)
    for number in range(6):
        await stream.write(request(2, event_id="", data=f'{{"n":{number}}}'))
    await log.has_got(6)
    log.gate.set()

    results, ended_with = await end_of(stream)

    assert [result.seq for result in results] == [1, 2, 3, 4]
    assert ended_with is code
    assert [numbered.event.data for numbered in log.stored] == ['{"n":0}'] * 2 + ['{"n":1}'] * 2


async def test_a_stream_opened_again_goes_on_from_the_first_unanswered_event_in_order(
    calls: Listening, log: HeldLog
) -> None:
    requests = [request(event_id=fresh_event_id()) for _ in range(5)]
    log.failures[3] = Failure.UNAVAILABLE
    stream = open_stream(calls)
    for each in requests:
        await stream.write(each)
    answered, _ = await end_of(stream)

    again = open_stream(calls)
    for each in requests[len(answered) :]:
        await again.write(each)
    await again.done_writing()
    rest, code = await end_of(again)

    assert code is Code.OK
    assert [result.seq for result in answered + rest] == [1, 2, 3, 4, 5]
    assert [numbered.event.event_id for numbered in log.stored] == [
        each.events[0].event_id for each in requests
    ]


async def test_cancelled_in_the_middle_it_leaves_nothing_behind_and_stores_nothing_later(
    service: Assembled, calls: Listening, log: HeldLog
) -> None:
    log.gate.clear()
    stream = open_stream(calls)
    for _ in range(5):
        await stream.write(request())
    await log.has_got(5)

    stream.cancel()
    await wait_until_async(lambda: not service.emit._streams)
    log.gate.set()
    await calls.emit().Emit(pb.EmitRequest(event=request(user_id="other").events[0]), timeout=SECONDS)

    assert [numbered.event.user_id for numbered in log.stored] == ["other"]


async def test_a_cancelled_emit_that_was_not_being_written_is_not_stored(
    calls: Listening, log: HeldLog
) -> None:
    log.gate.clear()
    call = calls.emit().Emit(pb.EmitRequest(event=request().events[0]), timeout=SECONDS)
    await log.has_got(1)

    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await calls.emit().EmitBatch(pb.EmitBatchRequest(), timeout=SECONDS).code()
    log.gate.set()

    answer = await calls.emit().Emit(pb.EmitRequest(event=request().events[0]), timeout=SECONDS)
    assert answer.seq == 1


@pytest.mark.parametrize("rpc", ["Emit", "EmitBatch"])
async def test_a_log_that_is_away_is_told_as_what_may_be_retried(
    calls: Listening, log: HeldLog, rpc: str
) -> None:
    log.is_available = False
    events = request().events
    if rpc == "Emit":
        with pytest.raises(aio.AioRpcError) as refused:
            await calls.emit().Emit(pb.EmitRequest(event=events[0]), timeout=SECONDS)
        assert refused.value.code() is Code.UNAVAILABLE
    else:
        answer = await calls.emit().EmitBatch(pb.EmitBatchRequest(events=events), timeout=SECONDS)
        assert answer.results[0].error.code == Code.UNAVAILABLE.value[0]


async def test_the_callers_deadline_is_the_logs(calls: Listening, log: HeldLog) -> None:
    log.gate.clear()

    with pytest.raises(aio.AioRpcError) as refused:
        await calls.emit().Emit(pb.EmitRequest(event=request().events[0]), timeout=0.2)

    assert refused.value.code() is Code.DEADLINE_EXCEEDED


# What a stream outlives.


async def test_a_stream_ends_when_its_credential_expires(service: Assembled, calls: Listening) -> None:
    token = add_service(calls.auth, "orders", ["order_*"], expires_in=60)
    stream = open_stream(calls, token)
    await stream.write(request())
    await results_of(stream, 1)

    service.clock_ahead = timedelta(seconds=61)
    await stream.write(request())

    assert await status_of(stream) is Code.UNAUTHENTICATED


async def test_a_stream_ends_when_its_credential_is_revoked(service: Assembled, calls: Listening) -> None:
    token = add_service(calls.auth, "orders", ["order_*"])
    stream = open_stream(calls, token)
    await stream.write(request())
    await results_of(stream, 1)

    calls.auth.answers[token] = Code.UNAUTHENTICATED
    await service.credentials.refresh()
    await stream.write(request())

    assert await status_of(stream) is Code.UNAVAILABLE
    assert await status_of(open_stream(calls, token)) is Code.UNAUTHENTICATED


async def test_a_stream_has_the_rights_that_its_credential_has_by_now(
    service: Assembled, calls: Listening
) -> None:
    token = add_service(calls.auth, "orders", ["order_*"])
    stream = open_stream(calls, token)
    await stream.write(request())
    assert not (await results_of(stream, 1))[0].HasField("error")

    add_service(calls.auth, "orders", ["payment_*"], token=token)
    await service.credentials.refresh()
    await stream.write(request())

    (result,) = await results_of(stream, 1)
    assert result.error.code == Code.PERMISSION_DENIED.value[0]
    stream.cancel()


async def test_a_drain_answers_what_was_sent_and_ends_the_stream(
    service: Assembled, calls: Listening, log: HeldLog
) -> None:
    log.gate.clear()
    busy, idle = open_stream(calls), open_stream(calls)
    await busy.write(request(3))
    await idle.write(request(1, user_id="user_2"))
    await log.has_got(2)

    service.emit.drain()
    log.gate.set()

    results, code = await end_of(busy)
    assert [result.seq for result in results] == [1, 2, 3]
    assert code is Code.UNAVAILABLE
    results, code = await end_of(idle)
    assert (len(results), code) == (1, Code.UNAVAILABLE)
    assert await status_of(open_stream(calls)) is Code.UNAVAILABLE
