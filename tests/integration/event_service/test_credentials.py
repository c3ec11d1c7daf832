"""Whom a credential speaks for: asked once, kept while auth-service is away, and given up when it must be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from harkara.auth.v1 import auth_service_pb2 as auth_pb
from harkara.event.v1 import emit_service_pb2, event_pb2
from harkara_event_service.adapters import credentials, delivery_servicer
from harkara_event_service.adapters.memory_log import MemoryLog
from harkara_event_service.ports import CredentialRefusedError, CredentialsUnavailableError
from tests.support.attached_edge import attached_edge
from tests.support.event_service import EDGE, ORDERS, Assembled, add_service, assembled_event_service
from tests.support.events import MovableClock
from tests.support.waiting import wait_until_async

SECONDS = 20
Code = grpc.StatusCode


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Assembled]:
    def make_log(committed: Any) -> MemoryLog:
        return MemoryLog(committed, clock=MovableClock())

    async with assembled_event_service(make_log, tmp_path) as service:
        yield service


async def emit(service: Assembled, token: str = ORDERS) -> Code:
    """What an Emit with this credential is answered."""
    event = event_pb2.EventDraft(user_id="user_1", event_type="order_created", data="{}")
    call = service.calls.emit(token).Emit(emit_service_pb2.EmitRequest(event=event), timeout=SECONDS)
    code: Code = await call.code()
    return code


def away(service: Assembled) -> None:
    """Auth-service answers nothing that helps."""
    answers = service.calls.auth.answers
    for token in list(answers):
        answers[token] = Code.UNAVAILABLE


async def test_calls_that_come_together_ask_once_and_later_ones_not_at_all(service: Assembled) -> None:
    auth = service.calls.auth
    auth.gate.clear()
    emitting = [asyncio.create_task(emit(service)) for _ in range(10)]
    await auth.was_asked.wait()
    auth.gate.set()
    assert await asyncio.gather(*emitting) == [Code.OK] * 10

    assert await emit(service) is Code.OK

    assert auth.asked == [ORDERS]
    assert auth.credentials == ["Bearer internal-token-of-the-event-service"]


async def test_only_so_many_unknown_credentials_are_asked_about_at_once(
    service: Assembled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "MAX_ASKED", 2)
    seen = add_service(service.calls.auth, "shop", ["*"])
    await emit(service, seen)
    auth = service.calls.auth
    auth.asked.clear()
    auth.was_asked.clear()
    auth.gate.clear()
    emitting = [asyncio.create_task(emit(service, token)) for token in (ORDERS, "nobody's")]
    await wait_until_async(lambda: len(auth.asked) == 2)

    assert await emit(service, "one more") is Code.UNAVAILABLE
    # Whoever is known, or asked about already, needs no place.
    assert await emit(service, seen) is Code.OK
    emitting.append(asyncio.create_task(emit(service, ORDERS)))
    auth.gate.set()
    assert await asyncio.gather(*emitting) == [Code.OK, Code.UNAUTHENTICATED, Code.OK]

    assert await emit(service, "one more") is Code.UNAUTHENTICATED
    assert sorted(auth.asked) == sorted([ORDERS, "nobody's", "one more"])


async def test_a_credential_seen_before_is_good_while_auth_service_is_away(service: Assembled) -> None:
    await emit(service)
    away(service)
    await service.credentials.refresh()

    assert await emit(service) is Code.OK


async def test_a_credential_never_seen_cannot_be_verified_while_auth_service_is_away(
    service: Assembled,
) -> None:
    away(service)

    assert await emit(service) is Code.UNAVAILABLE


async def test_an_expired_credential_is_asked_about_again(service: Assembled) -> None:
    token = add_service(service.calls.auth, "orders", ["*"], expires_in=60)
    await emit(service, token)

    service.clock_ahead = timedelta(seconds=61)
    service.calls.auth.answers[token] = Code.UNAUTHENTICATED

    assert await emit(service, token) is Code.UNAUTHENTICATED


@pytest.mark.parametrize("status", [Code.UNAUTHENTICATED, Code.PERMISSION_DENIED])
async def test_a_revoked_credential_is_refused_from_the_next_look_on(
    service: Assembled, status: Code
) -> None:
    await emit(service)
    service.calls.auth.answers[ORDERS] = status

    await service.credentials.refresh()

    assert await emit(service) is Code.UNAUTHENTICATED


async def test_a_refusal_is_not_kept(service: Assembled) -> None:
    assert await emit(service, "later") is Code.UNAUTHENTICATED

    add_service(service.calls.auth, "orders", ["*"], token="later")

    assert await emit(service, "later") is Code.OK


async def test_past_the_bound_the_credential_asked_about_longest_ago_is_forgotten(
    service: Assembled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "MAX_KEPT", 3)
    auth = service.calls.auth
    tokens = [add_service(auth, "orders", ["*"], token=f"token-{number}") for number in range(4)]
    for token in tokens:
        assert await emit(service, token) is Code.OK

    away(service)

    # The bound says how many are known: the first has to be asked about again.
    answered = [await emit(service, token) for token in tokens]
    assert answered == [Code.UNAVAILABLE, Code.OK, Code.OK, Code.OK]


async def test_rights_that_change_are_known_from_the_next_look_on(service: Assembled) -> None:
    await emit(service)
    add_service(service.calls.auth, "orders", ["payment_*"], token=ORDERS)

    await service.credentials.refresh()

    assert await emit(service) is Code.PERMISSION_DENIED


async def test_a_principal_of_an_unknown_kind_is_nobody(service: Assembled) -> None:
    answer = service.calls.auth.answers[ORDERS]
    assert isinstance(answer, auth_pb.AuthenticateResponse)
    answer.kind = auth_pb.PRINCIPAL_KIND_UNSPECIFIED

    assert await emit(service) is Code.UNAUTHENTICATED


async def test_a_call_given_up_does_not_take_others_along(service: Assembled) -> None:
    auth = service.calls.auth
    auth.gate.clear()
    given_up = asyncio.create_task(service.credentials.caller_of(ORDERS))
    waiting = asyncio.create_task(service.credentials.caller_of(ORDERS))
    await auth.was_asked.wait()

    given_up.cancel()
    auth.gate.set()

    assert (await waiting).name == "orders"
    assert auth.asked == [ORDERS]


async def test_what_a_caller_has_become_is_known_without_asking(service: Assembled) -> None:
    caller = await service.credentials.caller_of(ORDERS)
    asked = len(service.calls.auth.asked)

    assert service.credentials.caller_now(caller) is caller
    service.clock_ahead = timedelta(hours=2)
    with pytest.raises(CredentialRefusedError):
        service.credentials.caller_now(caller)
    await service.credentials.refresh()
    with pytest.raises(CredentialsUnavailableError):
        service.credentials.caller_now(caller)

    assert len(service.calls.auth.asked) == asked


async def test_an_edge_whose_credential_is_revoked_is_cut_off(
    service: Assembled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_servicer, "CREDENTIAL_SECONDS", 0.02)
    async with attached_edge(service.calls) as edge:
        await edge.open(1, "user_1")
        await edge.opened(1)
        service.calls.auth.answers[EDGE] = Code.UNAUTHENTICATED

        await service.credentials.refresh()

        assert await edge.ended() is Code.UNAVAILABLE
        assert service.registry.session_count == 0
    assert await service.calls.delivery().Attach().code() is Code.UNAUTHENTICATED
