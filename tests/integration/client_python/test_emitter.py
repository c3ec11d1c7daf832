"""`Emitter` on a real event-service: what it promises while streams break, hang and are refused."""

from __future__ import annotations

import asyncio
import json
import random
from decimal import Decimal
from pathlib import Path

import grpc
import psycopg
import pytest

from harkara_client import (
    CredentialRefusedError,
    Draft,
    Emitted,
    Emitter,
    EmitterClosedError,
    NotAnsweredError,
    RefusedError,
)
from harkara_client import emit_queue as queue_module
from harkara_client import emitter as emitter_module
from harkara_client.event_draft import new_event_id
from harkara_client.events import OrderCreated, OrderCreatedItem
from harkara_event_service.ports import Failure
from tests.support.event_service import ORDERS, PERSON, Assembled, Running, add_service
from tests.support.held_log import HeldLog
from tests.support.postgres import Database
from tests.support.tcp_proxy import TcpProxy
from tests.support.tls_end import tls_end_before
from tests.support.waiting import wait_until_async

on_the_loop_of_the_module = pytest.mark.asyncio(loop_scope="module")
DATA = {"order_id": "ord_1"}


def stored(database: Database) -> list[tuple[str, int, str]]:
    """What is in the log: whose, which number, what."""
    with psycopg.connect(database.dsn) as connection:
        return connection.execute("SELECT user_id, seq, data FROM event_log ORDER BY user_id, seq").fetchall()


def port_of(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host, int(port)


# Behind TLS.


@on_the_loop_of_the_module
async def test_behind_tls_it_emits_to_whom_its_credentials_trust(
    running: Running, user: str, tmp_path: Path
) -> None:
    async with tls_end_before(running.calls.target, tmp_path) as end:
        trusting = grpc.ssl_channel_credentials(end.certificate)
        async with Emitter(f"localhost:{end.port}", token=ORDERS, credentials=trusting) as emitter:
            assert (await emitter.emit(user, "order_created", DATA)).seq == 1


@on_the_loop_of_the_module
async def test_an_end_whose_certificate_it_does_not_trust_gets_nothing(
    running: Running, user: str, tmp_path: Path
) -> None:
    async with tls_end_before(running.calls.target, tmp_path) as end:
        for credentials in (grpc.ssl_channel_credentials(), None):
            target = f"localhost:{end.port}"
            async with Emitter(target, token=ORDERS, credentials=credentials, timeout=1) as emitter:
                with pytest.raises(NotAnsweredError):
                    await emitter.emit(user, "order_created", DATA)
        async with Emitter(running.calls.target, token=ORDERS) as emitter:
            assert (await emitter.emit(user, "order_created", DATA)).seq == 1


# On Postgres.


@on_the_loop_of_the_module
async def test_an_event_is_stored_and_numbered_and_known_again(running: Running, user: str) -> None:
    async with Emitter(running.calls.target, token=ORDERS) as emitter:
        first = await emitter.emit(user, "order_created", DATA)
        second = await emitter.emit(user, "order_created", DATA)
        again = await emitter.emit(user, "order_created", DATA, event_id=first.event_id)

    assert first == Emitted(first.event_id, 1, duplicate=False)
    assert second.seq == 2
    assert again == Emitted(first.event_id, 1, duplicate=True)


@on_the_loop_of_the_module
async def test_an_object_of_events_goes_as_its_type_with_what_was_given_and_a_decimals_digits(
    running: Running, user: str, module_database: Database
) -> None:
    order = OrderCreated(
        order_id="o", total_amount=Decimal("12.10"), items=[OrderCreatedItem(name="Tea", quantity=2)]
    )
    async with Emitter(running.calls.target, token=ORDERS) as emitter:
        assert (await emitter.emit_event(user, order, level="critical")).seq == 1

    (data,) = [data for whose, _, data in stored(module_database) if whose == user]
    assert data == '{"order_id":"o","items":[{"name":"Tea","quantity":2}],"total_amount":12.10}'


@on_the_loop_of_the_module
async def test_a_refusal_names_code_and_field_and_the_events_beside_it_are_stored(
    running: Running, user: str
) -> None:
    async with Emitter(running.calls.target, token=ORDERS) as emitter:
        bad, good, foreign = await emitter.emit_many(
            [
                Draft(user_id=user, event_type="order_created", data={"total_amount": "much"}),
                Draft(user_id=user, event_type="order_created", data={}),
                Draft(user_id=user, event_type="wallet_updated", data={}),
            ]
        )

    assert isinstance(bad, RefusedError)
    assert (bad.code, bad.field, bad.may_be_stored) == ("INVALID_ARGUMENT", "data.total_amount", False)
    assert isinstance(good, Emitted)
    assert good.seq == 1
    assert isinstance(foreign, RefusedError)
    assert foreign.code == "PERMISSION_DENIED"
    assert not isinstance(foreign, CredentialRefusedError)


@on_the_loop_of_the_module
@pytest.mark.parametrize("seed", range(3))
async def test_over_broken_streams_nothing_is_lost_doubled_or_out_of_order(
    running: Running, module_database: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "MAX_BATCH_EVENTS", 10)  # Some are sent, and some are not, at each cut.
    users = [f"cut_{seed}_{number}" for number in range(5)]
    rng = random.Random(seed)  # noqa: S311 - no secret.
    async with (
        TcpProxy.running(*port_of(running.calls.target)) as (proxy, port),
        Emitter(f"127.0.0.1:{port}", token=ORDERS, max_pending=100, rng=rng) as emitter,
    ):
        emits = [
            asyncio.create_task(emitter.emit(rng.choice(users), "order_created", {"n": number}))
            for number in range(1_500)
        ]
        cuts = 0
        while not all(emit.done() for emit in emits):
            done = sum(emit.done() for emit in emits)
            await wait_until_async(
                lambda before=done: (
                    sum(emit.done() for emit in emits) > before + 100  # type: ignore[misc]
                    or all(emit.done() for emit in emits)
                )
            )
            proxy.cut_all(reset=True)
            cuts += 1
        answers = await asyncio.gather(*emits)

    assert cuts > 3
    mine = [row for row in stored(module_database) if row[0] in users]
    assert len(mine) == len(emits)
    assert sorted(json.loads(data)["n"] for _, _, data in mine) == list(range(1_500))
    for each in users:
        numbers = [json.loads(data)["n"] for whose, _, data in mine if whose == each]
        assert numbers == sorted(numbers), "an event overtook another one of its user"
    assert {(json.loads(data)["n"], seq) for _, seq, data in mine} == {
        (number, answer.seq) for number, answer in enumerate(answers)
    }


@on_the_loop_of_the_module
async def test_a_target_that_answers_nothing_is_left_for_the_next(
    running: Running, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emitter_module, "SILENT_SECONDS", 0.2)
    where = port_of(running.calls.target)
    async with TcpProxy.running(*where) as (one, one_port), TcpProxy.running(*where) as (other, other_port):
        targets = [f"127.0.0.1:{one_port}", f"127.0.0.1:{other_port}"]
        async with Emitter(targets, token=ORDERS) as emitter:
            assert (await emitter.emit(user, "order_created", DATA)).seq == 1
            one.stall()
            assert (await emitter.emit(user, "order_created", DATA)).seq == 2
            one.flow()
            other.stall()
            assert (await emitter.emit(user, "order_created", DATA)).seq == 3
            other.flow()


@on_the_loop_of_the_module
async def test_a_target_that_is_not_there_is_left_for_the_next(running: Running, user: str) -> None:
    async with TcpProxy.running(*port_of(running.calls.target)) as (proxy, port):
        proxy.accepts = False
        targets = [f"127.0.0.1:{port}", running.calls.target]
        for order in (targets, targets[::-1]):
            rng = random.Random(1)  # noqa: S311 - no secret.
            async with Emitter(order, token=ORDERS, rng=rng) as emitter:
                assert (await emitter.emit(user, "order_created", DATA)).event_id


# On a log that waits and fails.


async def test_what_is_emitted_together_goes_together_and_what_comes_meanwhile_goes_next(
    held: Assembled, log: HeldLog
) -> None:
    log.gate.clear()
    async with Emitter(held.calls.target, token=ORDERS) as emitter:
        emits = [asyncio.create_task(emitter.emit("u", "order_created", {"n": n})) for n in range(100)]
        await log.has_got(1)
        log.gate.set()
        seqs = [(await emit).seq for emit in emits]

    assert seqs == list(range(1, 101))
    assert log.arrived == 1


async def test_under_load_requests_wait_for_answers_and_grow(held: Assembled, log: HeldLog) -> None:
    log.gate.clear()
    async with Emitter(held.calls.target, token=ORDERS) as emitter:
        emits = []
        for number in range(50):
            emits.append(asyncio.create_task(emitter.emit("u", "order_created", {"n": number})))
            if number < 8:
                await log.has_got(number + 1)
            for _ in range(5):  # Long enough for another request to go, if one may.
                await asyncio.sleep(0)
        log.gate.set()
        assert [(await emit).seq for emit in emits] == list(range(1, 51))

    assert log.arrived == 9


async def test_a_failure_that_may_be_retried_is_retried_in_order_with_the_same_ids(
    held: Assembled, log: HeldLog
) -> None:
    log.failures = {1: Failure.UNAVAILABLE, 2: Failure.OVERLOADED}
    async with Emitter(held.calls.target, token=ORDERS) as emitter:
        answers = await asyncio.gather(*(emitter.emit("u", "order_created", {"n": n}) for n in range(10)))

    assert [answer.seq for answer in answers] == list(range(1, 11))
    assert [numbered.event.event_id for numbered in log.stored] == [answer.event_id for answer in answers]


async def test_what_is_not_answered_in_time_may_be_stored_and_a_retry_finds_it(
    held: Assembled, log: HeldLog
) -> None:
    log.answers.clear()
    event_id = new_event_id()
    async with Emitter(held.calls.target, token=ORDERS) as emitter:
        with pytest.raises(NotAnsweredError) as late:
            await emitter.emit("u", "order_created", DATA, event_id=event_id, timeout=0.3)
        assert (late.value.event_id, late.value.may_be_stored) == (event_id, True)
        await wait_until_async(lambda: len(log.stored) == 1)
        log.answers.set()
        assert await emitter.emit("u", "order_created", DATA, event_id=event_id) == Emitted(
            event_id, 1, duplicate=True
        )


async def test_what_was_never_sent_is_not_stored_and_says_why(held: Assembled) -> None:
    async with TcpProxy.running(*port_of(held.calls.target)) as (proxy, port):
        proxy.accepts = False
        async with Emitter(f"127.0.0.1:{port}", token=lambda: "") as emitter:
            with pytest.raises(NotAnsweredError, match="there is no token") as late:
                await emitter.emit("u", "order_created", DATA, timeout=0.3)
    assert not late.value.may_be_stored


@pytest.mark.parametrize("bound", [{"max_pending": 10}, {"max_pending_bytes": 1_000}])
async def test_past_the_bound_an_event_waits_and_goes_in_its_turn(
    held: Assembled, log: HeldLog, bound: dict[str, int]
) -> None:
    log.gate.clear()
    data = {"x": "x" * 60}
    async with Emitter(held.calls.target, token=ORDERS, **bound) as emitter:  # type: ignore[arg-type]
        emits = [asyncio.create_task(emitter.emit("u", "order_created", data)) for _ in range(50)]
        await log.has_got(1)
        assert emitter.pending <= 10
        log.gate.set()
        assert [(await emit).seq for emit in emits] == list(range(1, 51))
    assert log.arrived >= 5


async def test_a_cancelled_emit_ends_at_once_and_the_others_go_on(held: Assembled, log: HeldLog) -> None:
    log.gate.clear()
    async with Emitter(held.calls.target, token=ORDERS) as emitter:
        one = asyncio.create_task(emitter.emit("u", "order_created", DATA))
        other = asyncio.create_task(emitter.emit("u", "order_created", DATA))
        await log.has_got(1)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        log.gate.set()
        assert (await other).seq == 2


async def test_leaving_waits_for_answers_and_then_nothing_is_taken(held: Assembled, log: HeldLog) -> None:
    log.gate.clear()
    async with Emitter(held.calls.target, token=ORDERS) as emitter:
        emits = [asyncio.create_task(emitter.emit("u", "order_created", DATA)) for _ in range(5)]
        await log.has_got(1)
        closing = asyncio.create_task(emitter.close())
        await asyncio.sleep(0)
        with pytest.raises(EmitterClosedError):
            await emitter.emit("u", "order_created", DATA)
        assert not closing.done()
        log.gate.set()
        await closing
        assert [emit.result().seq for emit in emits] == [1, 2, 3, 4, 5]


async def test_a_close_that_is_not_given_time_gives_up_what_is_on_its_way(
    held: Assembled, log: HeldLog
) -> None:
    log.gate.clear()
    async with Emitter(held.calls.target, token=ORDERS, timeout=None) as emitter:
        emit = asyncio.create_task(emitter.emit("u", "order_created", DATA))
        await log.has_got(1)
        await emitter.close(timeout=0)
        with pytest.raises(NotAnsweredError):
            await emit
    log.gate.set()


# Tokens.


async def test_a_token_that_is_refused_fails_what_waits_and_stores_nothing(
    held: Assembled, log: HeldLog
) -> None:
    for token, code in (("nobody", "UNAUTHENTICATED"), (PERSON, "PERMISSION_DENIED")):
        async with Emitter(held.calls.target, token=token) as emitter:
            with pytest.raises(CredentialRefusedError) as refused:
                await emitter.emit("u", "order_created", DATA)
            assert (refused.value.code, refused.value.may_be_stored) == (code, False)
    assert log.stored == []


async def test_a_token_that_ran_out_is_asked_for_again_and_nobody_notices(
    held: Assembled, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text(add_service(held.calls.auth, "orders", ["order_*"], expires_in=60))
    asked = []

    async def mint() -> str:
        asked.append(1)
        return path.read_text()

    async with (
        Emitter(held.calls.target, token=path) as by_file,
        Emitter(held.calls.target, token=mint) as by_function,
    ):
        for emitter in (by_file, by_function):
            await emitter.emit("u", "order_created", DATA)
        held.clock_ahead = held.clock_ahead.__class__(seconds=61)
        path.write_text(add_service(held.calls.auth, "orders", ["order_*"], expires_in=3600) + "\n")
        seqs = [(await emitter.emit("u", "order_created", DATA)).seq for emitter in (by_file, by_function)]
    assert sorted(seqs) == [3, 4]
    assert len(asked) == 2


async def test_what_cannot_be_sent_is_refused_before_it_is() -> None:
    async with Emitter("127.0.0.1:1", token="t", timeout=0.1) as emitter:
        with pytest.raises(RefusedError) as large:
            await emitter.emit("u", "order_created", {"x": "x" * 65_536})
        assert large.value.field == "data"
        with pytest.raises(RefusedError):
            await emitter.emit("u" * 200_000, "order_created", {})
        with pytest.raises(ValueError, match="NaN"):
            await emitter.emit("u", "order_created", {"total_amount": float("nan")})
