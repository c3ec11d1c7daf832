"""How tokens are asked about when many clients come at once."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from harkara_edge.adapters import auth_client
from harkara_edge.service import verification
from tests.integration.edge.conftest import Edge
from tests.support.raw_client import RawClient, request
from tests.support.reference_client import ReferenceClient
from tests.support.scripted_mesh import TinyEventService
from tests.support.waiting import wait_until_async


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call last as long as its test holds it, however busy the machine is."""
    monkeypatch.setattr(auth_client, "DEADLINE_SECONDS", 60.0)
    monkeypatch.setattr(auth_client, "QUEUE_SECONDS", 60.0)
    # Nor may the watch be taken for lost meanwhile, for which newcomers wait.
    monkeypatch.setattr(auth_client, "SILENCE_SECONDS", 60.0)
    monkeypatch.setattr(verification, "WATCH_SECONDS", 60.0)


async def ask(edge: Edge, number: int) -> ReferenceClient:
    """Open a client and have it authenticate, without waiting for the answer."""
    client = await edge.open()
    await client.send({"type": "auth", "token": edge.auth.add(f"user_{number}")})
    return client


async def test_a_lone_token_waits_for_nothing(edge: Edge, events: TinyEventService) -> None:
    del events
    for number in range(3):
        await edge.sign_in(f"user_{number}")
    assert edge.auth.batches == [1, 1, 1]


async def test_tokens_that_come_while_others_are_asked_about_go_together(
    edge: Edge, events: TinyEventService, monkeypatch: pytest.MonkeyPatch
) -> None:
    del events
    monkeypatch.setattr(auth_client, "MAX_IN_FLIGHT", 1)
    release = edge.auth.hold(edge.auth.add("user_0"))
    clients = [await ask(edge, number) for number in range(100)]
    await wait_until_async(lambda: edge.auth.asked == ["token-of-user_0"])
    await wait_until_async(lambda: edge.metric("harkara_edge_messages_total") == 100)
    release.set()
    for client in clients:
        await client.expect("authenticated")
    assert edge.auth.batches == [1, 64, 35]


async def test_one_bad_token_of_many_is_refused_alone(
    edge: Edge, events: TinyEventService, monkeypatch: pytest.MonkeyPatch
) -> None:
    del events
    monkeypatch.setattr(auth_client, "MAX_IN_FLIGHT", 1)
    release = edge.auth.hold(edge.auth.add("user_0"))
    clients = [await ask(edge, number) for number in range(5)]
    edge.auth.tokens["token-of-user_2"] = grpc.StatusCode.UNAUTHENTICATED
    edge.auth.tokens["token-of-user_3"] = grpc.StatusCode.PERMISSION_DENIED
    edge.auth.tokens["token-of-user_4"] = grpc.StatusCode.UNAVAILABLE
    await wait_until_async(lambda: edge.metric("harkara_edge_messages_total") == 5)
    release.set()
    for client in clients[:2]:
        await client.expect("authenticated")
    assert [await client.refused() for client in clients[2:]] == [
        ("unauthenticated", 4401),
        ("forbidden", 4403),
        ("try_again_later", 1013),
    ]
    assert edge.auth.batches == [1, 4]


async def test_while_the_first_has_waited_for_long_newcomers_are_turned_away_at_the_door(
    edge: Edge, events: TinyEventService, monkeypatch: pytest.MonkeyPatch
) -> None:
    del events
    monkeypatch.setattr(auth_client, "MAX_IN_FLIGHT", 1)
    monkeypatch.setattr(auth_client, "CROWDED_SECONDS", 0.1)
    release = edge.auth.hold(edge.auth.add("user_0"))
    clients = [await ask(edge, number) for number in range(2)]

    async def status_of_a_newcomer() -> str:
        raw = await RawClient.connect(edge.address)
        raw.send(request())
        head = await raw.head()
        await raw.close()
        if head.split(" ")[1] == "503":
            assert "retry-after: " in head.lower()
        return head.split(" ")[1]

    async with asyncio.timeout(10):
        while await status_of_a_newcomer() != "503":  # noqa: ASYNC110 - nobody tells.
            await asyncio.sleep(0.01)
    release.set()
    for client in clients:
        await client.expect("authenticated")
    assert await status_of_a_newcomer() == "101"


@pytest.mark.parametrize(("bound", "most"), [("MAX_WAITING", 2), ("MAX_WAITING_BYTES", 150)])
async def test_one_token_too_many_or_too_large_for_the_queue_is_turned_away_and_counted(
    edge: Edge, events: TinyEventService, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    del events
    monkeypatch.setattr(auth_client, "MAX_IN_FLIGHT", 1)
    monkeypatch.setattr(auth_client, bound, most)
    release = edge.auth.hold(edge.auth.add("user_0"))
    clients = [await ask(edge, 0)]
    await wait_until_async(lambda: edge.auth.asked == ["token-of-user_0"])
    clients += [await ask(edge, number) for number in (1, 2)]
    await wait_until_async(lambda: edge.metric("harkara_edge_verifications_waiting") == 2)
    one_too_many = await ask(edge, 3)
    assert await one_too_many.refused() == ("try_again_later", 1013)
    assert edge.metric("harkara_edge_verifications_turned_away_total") == 1
    release.set()
    for client in clients:
        await client.expect("authenticated")
    assert edge.metric("harkara_edge_verifications_waiting") == 0


async def test_who_waited_too_long_is_told_to_come_back(
    edge: Edge, events: TinyEventService, monkeypatch: pytest.MonkeyPatch
) -> None:
    del events
    monkeypatch.setattr(auth_client, "MAX_IN_FLIGHT", 1)
    monkeypatch.setattr(auth_client, "QUEUE_SECONDS", 0.0)
    release = edge.auth.hold(edge.auth.add("user_0"))
    # The very first is in the queue for no time at all; not even that is allowed here.
    late = await ask(edge, 1)
    assert await late.refused() == ("try_again_later", 1013)
    assert edge.auth.asked == []
    release.set()


async def test_an_auth_service_that_hangs_is_waited_for_only_so_long(
    edge: Edge, events: TinyEventService, monkeypatch: pytest.MonkeyPatch
) -> None:
    del events
    monkeypatch.setattr(auth_client, "DEADLINE_SECONDS", 0.1)
    release = edge.auth.hold(edge.auth.add("user_0"))
    client = await ask(edge, 0)
    assert await client.refused() == ("try_again_later", 1013)
    release.set()
