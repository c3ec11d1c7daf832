"""Users who are disabled, removed or change their role, while they are connected or come in."""

from __future__ import annotations

import grpc
import pytest

from harkara.auth.v1 import auth_service_pb2 as auth_pb
from harkara_edge.service import verification
from tests.integration.edge.conftest import Edge
from tests.support.scripted_mesh import Attached, TinyEventService
from tests.support.waiting import wait_until_async

DISABLED = auth_pb.REVOCATION_REASON_DISABLED


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for the watch for seconds."""
    monkeypatch.setattr(verification, "WATCH_SECONDS", 0.05)


@pytest.mark.parametrize(
    ("reason", "code", "close_code"),
    [
        (auth_pb.REVOCATION_REASON_DISABLED, "forbidden", 4403),
        (auth_pb.REVOCATION_REASON_REMOVED, "forbidden", 4403),
        (auth_pb.REVOCATION_REASON_ROLE_CHANGED, "unauthenticated", 4401),
    ],
)
async def test_a_user_who_is_revoked_is_out_at_once_and_nobody_else(
    edge: Edge,
    events: TinyEventService,
    reason: auth_pb.RevocationReason.ValueType,
    code: str,
    close_code: int,
) -> None:
    del events
    one, two = await edge.sign_in("user_1"), await edge.sign_in("user_1")
    other = await edge.sign_in("user_2")
    edge.auth.revoke("user_1", reason)
    assert await one.refused() == (code, close_code)
    assert await two.refused() == (code, close_code)
    assert await other.heartbeat()


async def test_a_services_revoked_credential_ends_nobody(edge: Edge, events: TinyEventService) -> None:
    del events
    client = await edge.sign_in("user_1")
    revocation = auth_pb.Revocation(
        user_id="user_1", reason=auth_pb.REVOCATION_REASON_CREDENTIAL_REVOKED, service=True
    )
    edge.auth.version += 1
    for watcher in edge.auth._watchers:
        watcher.put_nowait(
            auth_pb.WatchRevocationsResponse(revocations=[revocation], version=edge.auth.version)
        )
    other = await edge.sign_in("user_2")
    edge.auth.revoke("user_2", DISABLED)
    assert await other.refused() == ("forbidden", 4403)
    assert await client.heartbeat()


async def test_a_user_disabled_while_the_answer_is_on_its_way_does_not_stay(
    edge: Edge, stream: Attached
) -> None:
    """The watch tells of it before there is a session to end."""
    token = edge.auth.add("user_1")
    gate = edge.auth.hold(token)
    client = await edge.open()
    await client.send({"type": "auth", "token": token})
    await wait_until_async(lambda: token in edge.auth.asked)
    # The held answer is as of before; the next one knows.
    answer = edge.auth.tokens[token]
    edge.auth.revoke("user_1", DISABLED)
    bystander = await edge.open()
    await bystander.send({"type": "auth", "token": edge.auth.add("user_2")})
    await stream.expect("open")

    def refuse_from_now_on() -> None:
        edge.auth.tokens[token] = grpc.StatusCode.PERMISSION_DENIED

    edge.auth.after_answer = refuse_from_now_on
    assert answer is edge.auth.tokens[token]
    gate.set()
    assert await client.refused() == ("forbidden", 4403)
    assert edge.auth.asked.count(token) == 2
    assert stream.pending() == 0


async def test_what_happens_while_the_watch_is_broken_is_told_when_it_is_back(
    edge: Edge, events: TinyEventService
) -> None:
    del events
    client = await edge.sign_in("user_1")
    await edge.lose_watch()
    known = edge.auth.version
    edge.auth.revoke("user_1", DISABLED)
    assert await client.heartbeat()
    edge.auth.refuse = None
    assert await client.refused() == ("forbidden", 4403)
    assert edge.auth.since == [None, 0, known]


async def test_an_answer_of_before_the_watch_began_is_judged_by_what_happened_before(
    edge: Edge, events: TinyEventService
) -> None:
    """The auth-service keeps answers for seconds: an edge that just started must not doubt them all."""
    del events
    edge.auth.add("user_1", version=90)
    client = await edge.open()
    await client.auth("token-of-user_1")
    assert edge.auth.asked == ["token-of-user_1"]


async def test_a_session_of_after_the_change_stays(edge: Edge, events: TinyEventService) -> None:
    del events
    await edge.lose_watch()
    edge.auth.revoke("user_1", auth_pb.REVOCATION_REASON_ROLE_CHANGED)
    client = await edge.open()
    await client.send({"type": "auth", "token": edge.auth.add("user_1"), "user_role": "customer"})
    edge.auth.refuse = None
    await client.expect("authenticated")
    await wait_until_async(lambda: edge.metric("harkara_edge_watching") == 1)
    assert await client.heartbeat()


@pytest.mark.usefixtures("impatient")
async def test_while_the_watch_is_lost_nobody_comes_in_and_once_it_is_back_everybody_does(
    edge: Edge, events: TinyEventService
) -> None:
    """Whoever came in then could not be told for as long as it lasts that their user is disabled."""
    del events
    await edge.lose_watch()
    newcomer = await edge.open()
    await newcomer.send({"type": "auth", "token": edge.auth.add("user_1")})
    assert await newcomer.refused() == ("try_again_later", 1013)
    assert edge.auth.asked == []
    edge.auth.refuse = None
    await wait_until_async(lambda: edge.metric("harkara_edge_watching") == 1)
    await edge.sign_in("user_1")


async def test_a_newcomer_waits_while_the_watch_is_only_being_opened_again(
    edge: Edge, events: TinyEventService
) -> None:
    del events
    await edge.lose_watch()
    newcomer = await edge.open()
    await newcomer.send({"type": "auth", "token": edge.auth.add("user_1")})
    await wait_until_async(lambda: edge.metric("harkara_edge_messages_total") == 1)
    edge.auth.refuse = None
    await newcomer.expect("authenticated")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
async def test_while_our_own_credential_is_refused_no_client_is_told_that_its_token_is_bad(
    edge: Edge, stream: Attached, code: grpc.StatusCode
) -> None:
    del stream
    await edge.lose_watch(code)
    client = await edge.open()
    edge.auth.tokens["any"] = grpc.StatusCode.UNAUTHENTICATED
    await client.send({"type": "auth", "token": "any"})
    assert await client.refused() == ("try_again_later", 1013)


@pytest.mark.usefixtures("impatient")
async def test_connected_clients_stay_while_the_auth_service_is_away(
    edge: Edge, events: TinyEventService
) -> None:
    client = await edge.sign_in("user_1")
    await client.subscribe("*")
    await edge.lose_watch()
    edge.auth.tokens["new"] = grpc.StatusCode.UNAVAILABLE
    await client.send({"type": "auth", "token": "new"})
    assert (await client.expect("error"))["code"] == "try_again_later"
    await events.emit("user_1")
    assert await client.seqs(1) == [1]
