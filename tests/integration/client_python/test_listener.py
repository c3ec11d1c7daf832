"""`Listener` at a real edge: it comes back, goes on where it was, and says so where it cannot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path

import grpc
import pytest

from harkara.auth.v1 import auth_service_pb2 as auth_pb
from harkara_client import (
    Backoff,
    Event,
    Gap,
    GapError,
    Listener,
    Position,
    StoppedError,
    SubscriptionRefusedError,
)
from harkara_client import connection as connection_module
from harkara_client.events import OrderCreated
from tests.integration.edge.conftest import Edge, running_edge, running_events
from tests.support.scripted_mesh import EPOCH, TinyEventService
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until_async

SECONDS = 20


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with running_edge(tmp_path) as running:
        yield running


@pytest.fixture
async def events(edge: Edge) -> AsyncIterator[TinyEventService]:
    async with running_events(edge) as service:
        yield service


@pytest.fixture
async def network(edge: Edge) -> AsyncIterator[tuple[TcpProxy, str]]:
    """A network before the edge, and the edge's URL through it."""
    host, _, port = edge.address.rpartition(":")
    async with TcpProxy.running(host, int(port)) as (proxy, own_port):
        yield proxy, url_of(f"127.0.0.1:{own_port}")


def quick() -> Backoff:
    return Backoff(0.01, 0.05)


def url_of(address: str) -> str:
    return f"ws://{address}/api/websocket/ws"


async def take(listener: Listener, count: int) -> list[Event]:
    async with asyncio.timeout(SECONDS):
        return [await anext(listener) for _ in range(count)]


async def ask_and_give_up(change: Coroutine[None, None, None]) -> None:
    """Cancel a change once its question is out, where there is a connection."""
    asking = asyncio.create_task(change)
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_what_is_emitted_after_entering_comes_in_order(edge: Edge, events: TinyEventService) -> None:
    async with Listener(url_of(edge.address), token=edge.auth.add("user_1")) as listener:
        assert listener.position == Position(EPOCH, 0)
        for _ in range(3):
            await events.emit("user_1", order_id="o")
        first, second, third = await take(listener, 3)

    assert [first.seq, second.seq, third.seq] == [1, 2, 3]
    assert first.event_type == "order_created"
    assert first.data == {"n": 1, "order_id": "o"}
    assert first.data_as(OrderCreated).order_id == "o"
    assert first.timestamp.isoformat() == "2026-01-27T10:30:00+00:00"


async def test_only_what_was_asked_for_comes(edge: Edge, events: TinyEventService) -> None:
    token = edge.auth.add("user_1")
    async with Listener(url_of(edge.address), token=token, events=["order_ready"]) as listener:
        await events.emit("user_1", "order_created")
        await events.emit("user_1", "order_ready")
        (event,) = await take(listener, 1)
    assert event.event_type == "order_ready"


async def test_types_are_taken_on_and_off_while_it_runs(edge: Edge, events: TinyEventService) -> None:
    token = edge.auth.add("user_1")
    async with Listener(url_of(edge.address), token=token, events=["order_ready"]) as listener:
        await listener.subscribe("order_created", "order_ready")
        await events.emit("user_1", "order_created")
        await listener.unsubscribe("order_ready")
        await events.emit("user_1", "order_ready")
        await events.emit("user_1", "order_created")
        heard = await take(listener, 2)
        assert listener.events == ("order_created",)
    assert [(event.seq, event.event_type) for event in heard] == [(1, "order_created"), (3, "order_created")]


async def test_what_was_taken_on_is_kept_over_a_lost_connection_and_asked_again_where_it_got_lost(
    edge: Edge, events: TinyEventService, network: tuple[TcpProxy, str]
) -> None:
    token = edge.auth.add("user_1")
    proxy, url = network
    async with Listener(url, token=token, events=["order_ready"], backoff=quick()) as listener:
        proxy.stall()  # The question gets out, and its answer not back.
        asking = asyncio.create_task(listener.subscribe("order_created"))
        await asyncio.sleep(0)
        proxy.cut_all()
        proxy.flow()
        async with asyncio.timeout(SECONDS):
            await asking
        await events.emit("user_1", "order_created")
        assert len(await take(listener, 1)) == 1
        proxy.cut_all()
        await events.emit("user_1", "order_created")
        assert [event.seq for event in await take(listener, 1)] == [2]


async def test_a_type_that_the_catalogue_has_not_is_refused_to_who_asks_and_all_stays_as_it_is(
    edge: Edge, events: TinyEventService
) -> None:
    token = edge.auth.add("user_1")
    async with Listener(url_of(edge.address), token=token, events=["order_ready"]) as listener:
        with pytest.raises(SubscriptionRefusedError) as refused:
            await listener.subscribe("order_exploded")
        assert (refused.value.code, refused.value.events) == ("unknown_event_type", ("order_exploded",))
        await events.emit("user_1", "order_ready")
        assert len(await take(listener, 1)) == 1
        assert listener.events == ("order_ready",)


async def test_types_that_would_be_too_many_are_refused_and_named(tmp_path: Path) -> None:
    async with running_edge(tmp_path, {"max_subscriptions": 1}) as edge, running_events(edge):
        token = edge.auth.add("user_1")
        async with Listener(url_of(edge.address), token=token, events=["order_ready"]) as listener:
            with pytest.raises(SubscriptionRefusedError) as refused:
                await listener.subscribe("order_ready", "order_created")
            assert (refused.value.code, refused.value.events) == (
                "too_many_subscriptions",
                ("order_created",),
            )
            assert listener.events == ("order_ready",)


async def test_a_type_that_the_catalogue_has_not_is_refused_after_an_outage_too_and_all_stays_as_it_is(
    edge: Edge, events: TinyEventService, network: tuple[TcpProxy, str]
) -> None:
    """The new connection was made with the type already, which ended the listener; the call returned."""
    token = edge.auth.add("user_1")
    proxy, url = network
    async with Listener(url, token=token, events=["order_ready"], backoff=quick()) as listener:
        proxy.accepts = False
        proxy.cut_all()
        await wait_until_async(lambda: listener._connection is None)
        asking = asyncio.create_task(listener.subscribe("order_exploded"))
        await asyncio.sleep(0)
        proxy.accepts = True
        async with asyncio.timeout(SECONDS):
            with pytest.raises(SubscriptionRefusedError):
                await asking
        await events.emit("user_1", "order_ready")
        assert len(await take(listener, 1)) == 1
        assert listener.events == ("order_ready",)


async def test_changes_that_are_too_many_are_made_by_the_next_connection(tmp_path: Path) -> None:
    """The server does not say which message it did not take: whoever had sent it waited for ever."""
    async with running_edge(tmp_path, {"messages_per_second": 1}) as edge, running_events(edge) as events:
        token = edge.auth.add("user_1")
        url = url_of(edge.address)
        async with Listener(url, token=token, events=["order_ready"], backoff=quick()) as listener:
            async with asyncio.timeout(SECONDS):
                for _ in range(10):
                    await listener.subscribe("order_created")
                    await listener.unsubscribe("order_created")
            assert listener.events == ("order_ready",)
            await events.emit("user_1", "order_ready")
            assert len(await take(listener, 1)) == 1
        assert events.opens > 1


async def test_a_change_that_is_given_up_unsent_changes_nothing(
    edge: Edge, events: TinyEventService, network: tuple[TcpProxy, str]
) -> None:
    token = edge.auth.add("user_1")
    proxy, url = network
    async with Listener(url, token=token, events=["order_ready"], backoff=quick()) as listener:
        proxy.accepts = False
        proxy.cut_all()
        await wait_until_async(lambda: listener._connection is None)
        for change in (listener.unsubscribe("order_ready"), listener.subscribe("order_exploded")):
            await ask_and_give_up(change)
        assert listener.events == ("order_ready",)
        proxy.accepts = True
        async with asyncio.timeout(SECONDS):
            await listener.subscribe("order_created")
        await events.emit("user_1", "order_ready")
        assert len(await take(listener, 1)) == 1
        assert list(listener.events) == ["order_ready", "order_created"]


async def test_a_change_that_is_given_up_unanswered_spoils_neither_the_next_one_nor_the_next_connection(
    edge: Edge, events: TinyEventService, network: tuple[TcpProxy, str]
) -> None:
    token = edge.auth.add("user_1")
    proxy, url = network
    async with Listener(url, token=token, events=["order_ready"], backoff=quick()) as listener:
        await ask_and_give_up(listener.unsubscribe("order_ready"))
        async with asyncio.timeout(SECONDS):
            # This answer comes before the other's, which the event-service has to confirm.
            with pytest.raises(SubscriptionRefusedError):
                await listener.subscribe("order_exploded")
        await ask_and_give_up(listener.subscribe("order_vanished"))
        async with asyncio.timeout(SECONDS):
            await listener.subscribe("order_ready")
        assert listener.events == ("order_ready",)
        proxy.cut_all()
        await events.emit("user_1", "order_ready")
        assert [event.seq for event in await take(listener, 1)] == [1]


async def test_a_listener_that_has_ended_takes_nothing_on(edge: Edge, events: TinyEventService) -> None:
    async with Listener(url_of(edge.address), token=edge.auth.add("user_1")) as listener:
        await events.emit("user_1")
        edge.auth.revoke("user_1", auth_pb.REVOCATION_REASON_DISABLED)
        await take(listener, 1)
        with pytest.raises(StoppedError):
            await take(listener, 1)
        with pytest.raises(StoppedError):
            await listener.subscribe("order_ready")


async def test_without_any_type_it_hears_nothing_until_it_takes_one_on(
    edge: Edge, events: TinyEventService, network: tuple[TcpProxy, str]
) -> None:
    token = edge.auth.add("user_1")
    proxy, url = network
    async with Listener(url, token=token, events=["order_ready"], backoff=quick()) as listener:
        await listener.unsubscribe("order_ready")
        proxy.cut_all()
        await events.emit("user_1", "order_ready")
        await listener.subscribe("order_created")
        await events.emit("user_1", "order_created")
        assert [event.seq for event in await take(listener, 1)] == [2]


async def test_over_lost_connections_each_event_comes_once_and_in_order(
    edge: Edge, events: TinyEventService, network: tuple[TcpProxy, str]
) -> None:
    proxy, url = network
    async with Listener(url, token=edge.auth.add("user_1"), backoff=quick()) as listener:
        heard: list[int | None] = []
        for _ in range(5):
            for _ in range(20):
                await events.emit("user_1")
            heard += [event.seq for event in await take(listener, 10)]
            proxy.cut_all(reset=True)
            for _ in range(5):
                events.append("user_1")
        heard += [event.seq for event in await take(listener, 75)]
    assert heard == list(range(1, 126))


async def test_a_later_listener_goes_on_behind_what_was_dealt_with(
    edge: Edge, events: TinyEventService
) -> None:
    token = edge.auth.add("user_1")
    async with Listener(url_of(edge.address), token=token) as listener:
        for _ in range(5):
            await events.emit("user_1")
        await take(listener, 3)
        assert listener.position == Position(EPOCH, 2), "the third one may not be dealt with yet"
    kept = str(listener.position)
    assert kept == f"3@{EPOCH}"

    later = Listener(url_of(edge.address), token=token)
    later.position = Position.parse(kept)
    async with later:
        assert [event.seq for event in await take(later, 2)] == [4, 5]
        with pytest.raises(RuntimeError, match="set it before"):
            later.position = None


async def test_an_event_that_was_not_dealt_with_comes_again(edge: Edge, events: TinyEventService) -> None:
    listener = Listener(url_of(edge.address), token=edge.auth.add("user_1"))
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the one that is not dealt with raises.
        async with listener:
            for _ in range(2):
                await events.emit("user_1")
            async with asyncio.timeout(SECONDS):
                async for event in listener:
                    _ = 1 // (2 - (event.seq or 0))
    assert listener.position == Position(EPOCH, 1)


async def test_where_the_log_cannot_go_back_the_gap_is_told_in_its_place(
    edge: Edge, events: TinyEventService
) -> None:
    token = edge.auth.add("user_1")
    events.append("user_1")
    asked = Position("another life", 7)
    gaps: list[Gap] = []

    async def note(gap: Gap) -> None:
        gaps.append(gap)

    for on_gap in (gaps.append, note):
        async with Listener(url_of(edge.address), token=token, position=asked, on_gap=on_gap) as listener:
            last = len(events.log["user_1"])
            await events.emit("user_1")
            assert [event.seq for event in await take(listener, 1)] == [last + 1]
    assert gaps == [Gap(asked, Position(EPOCH, 1)), Gap(asked, Position(EPOCH, 2))]


async def test_a_gap_that_nobody_is_told_of_is_raised_once(edge: Edge, events: TinyEventService) -> None:
    token = edge.auth.add("user_1")
    events.append("user_1")
    async with Listener(url_of(edge.address), token=token, position=Position("x", 7)) as listener:
        await events.emit("user_1")
        with pytest.raises(GapError) as gap:
            await take(listener, 1)
        assert (gap.value.asked_seq, gap.value.seq) == (7, 1)
        assert [event.seq for event in await take(listener, 1)] == [2]


async def test_a_new_token_is_sent_before_the_old_one_ends(edge: Edge, events: TinyEventService) -> None:
    minted: list[str] = []

    def mint() -> str:
        lasts = 2.0 if not minted else 3_600
        minted.append(edge.auth.add("user_1", f"token-{len(minted)}", expires_at=time.time() + lasts))
        return minted[-1]

    async with Listener(url_of(edge.address), token=mint) as listener:
        await wait_until_async(lambda: "token-1" in edge.auth.asked)
        edge.clock.ahead += 3  # The first one is over now.
        await events.emit("user_1")
        assert len(await take(listener, 1)) == 1
    assert events.opens == 1, "the connection outlived its first token"


async def messages(edge: Edge, count: int) -> None:
    """Wait until the edge took so many messages more."""
    name = "harkara_edge_messages_total"
    before = edge.metric(name)
    await wait_until_async(lambda: edge.metric(name) >= before + count)


class Mint:
    """A function for tokens that last for an hour by the edge's clock."""

    def __init__(self, edge: Edge) -> None:
        self.count = 0
        self._edge = edge

    def __call__(self) -> str:
        self.count += 1
        ends = self._edge.clock().wall + 3_600
        return self._edge.auth.add("user_1", f"token-{self.count}", expires_at=ends)


@pytest.mark.usefixtures("events")
async def test_a_clock_that_is_hours_ahead_asks_for_one_token_more_and_no_others(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "heartbeat_seconds", lambda _: 0.02)
    monkeypatch.setattr(connection_module, "RENEW_GAP_SECONDS", 0.01)
    edge.clock.ahead = -5 * 3_600
    mint = Mint(edge)
    async with Listener(url_of(edge.address), token=mint) as listener:
        clock = listener._clock
        await wait_until_async(lambda: clock.ahead < -4 * 3_600)
        asked = mint.count
        await messages(edge, 20)
        assert mint.count - asked <= 1, "one may have been on its way"


@pytest.mark.usefixtures("events")
async def test_however_wrong_a_clock_is_there_is_time_between_two_requests_for_a_token(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "heartbeat_seconds", lambda _: 0.02)
    monkeypatch.setattr(connection_module, "RENEW_GAP_SECONDS", 3_600)
    monkeypatch.setattr(connection_module.ServerClock, "learn", lambda *_: False)
    edge.clock.ahead = -5 * 3_600
    mint = Mint(edge)
    async with Listener(url_of(edge.address), token=mint):
        await messages(edge, 20)
        assert mint.count == 2, "one to begin with, and one that seemed to be due"


async def test_a_token_is_renewed_by_the_servers_clock(
    edge: Edge, events: TinyEventService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "heartbeat_seconds", lambda _: 0.02)
    monkeypatch.setattr(connection_module, "RENEW_GAP_SECONDS", 0.0)
    mint = Mint(edge)
    async with Listener(url_of(edge.address), token=mint) as listener:
        edge.clock.ahead = 3_598
        await wait_until_async(lambda: "token-2" in edge.auth.asked)
        await events.emit("user_1")
        await take(listener, 1)
    assert events.opens == 1, "the connection outlived its first token"


@pytest.mark.usefixtures("events")
async def test_a_token_that_is_refused_is_replaced_once(edge: Edge) -> None:
    good = edge.auth.add("user_1")
    tokens = iter(["stale", good])
    async with Listener(url_of(edge.address), token=lambda: next(tokens)):
        pass
    with pytest.raises(StoppedError) as stopped:
        async with Listener(url_of(edge.address), token=lambda: "stale"):
            pass
    assert (stopped.value.close_code, stopped.value.code) == (4401, "unauthenticated")
    with pytest.raises(StoppedError):
        async with Listener(url_of(edge.address), token="stale"):
            pass
    assert edge.auth.asked.count("stale") == 4


async def test_a_user_who_is_disabled_is_told_to_stop(edge: Edge, events: TinyEventService) -> None:
    async with Listener(url_of(edge.address), token=edge.auth.add("user_1")) as listener:
        await events.emit("user_1")
        edge.auth.tokens.clear()
        edge.auth.revoke("user_1", auth_pb.REVOCATION_REASON_DISABLED)
        assert len(await take(listener, 1)) == 1
        for _ in range(2):
            with pytest.raises(StoppedError) as stopped:
                await take(listener, 1)
            assert (stopped.value.close_code, stopped.value.code) == (4403, "forbidden")


@pytest.mark.usefixtures("events")
async def test_a_type_that_the_catalogue_has_not_stops_it(edge: Edge) -> None:
    token = edge.auth.add("user_1")
    for position in (None, Position(EPOCH, 0)):
        listener = Listener(url_of(edge.address), token=token, events=["order_exploded"], position=position)
        with pytest.raises(StoppedError) as stopped:
            async with listener:
                await take(listener, 1)
        assert (stopped.value.code, stopped.value.events) == ("unknown_event_type", ("order_exploded",))


async def test_a_wrong_address_is_told_at_once(edge: Edge) -> None:
    with pytest.raises(StoppedError, match="404"):
        async with Listener(f"ws://{edge.address}/elsewhere", token="t"):
            pass


async def test_it_waits_for_a_server_that_is_away(
    edge: Edge, events: TinyEventService, network: tuple[TcpProxy, str]
) -> None:
    proxy, url = network
    proxy.accepts = False
    listener = Listener(url, token=edge.auth.add("user_1"), backoff=quick())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), listener:
            pass
    proxy.accepts = True
    async with listener:
        await events.emit("user_1")
        assert len(await take(listener, 1)) == 1


async def test_whoever_does_not_read_takes_no_more_and_loses_nothing(
    edge: Edge, events: TinyEventService
) -> None:
    async with Listener(url_of(edge.address), token=edge.auth.add("user_1"), max_ahead=5) as listener:
        for _ in range(40):
            await events.emit("user_1", text="x" * 20_000)
        assert len(listener._ahead) <= 5
        assert [event.seq for event in await take(listener, 40)] == list(range(1, 41))


async def test_heartbeats_say_what_was_dealt_with_and_the_answer_moves_the_position(
    edge: Edge, events: TinyEventService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "heartbeat_seconds", lambda _: 0.05)
    token = edge.auth.add("user_1")
    async with Listener(
        url_of(edge.address), token=token, events=["order_created"], device_id="phone"
    ) as listener:
        for _ in range(3):
            await events.emit("user_1")
        await take(listener, 3)
        await wait_until_async(lambda: acked(events) == 2)
        waiting = asyncio.create_task(anext(listener))
        await wait_until_async(lambda: acked(events) == 3)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


def acked(events: TinyEventService) -> int:
    return max((each.ack.seq for each in events.commands if each.WhichOneof("command") == "ack"), default=0)


async def test_what_was_dealt_with_in_another_life_of_the_log_is_not_acknowledged_in_this_one(
    edge: Edge, events: TinyEventService
) -> None:
    token = edge.auth.add("user_1")
    for _ in range(9):
        events.append("user_1")
    async with Listener(
        url_of(edge.address), token=token, device_id="phone", position=Position("another life", 7)
    ):
        pass  # It has not been told of the gap yet, and says what it dealt with as it closes.
    await wait_until_async(lambda: any(each.WhichOneof("command") == "close" for each in events.commands))
    assert acked(events) == 0


async def test_a_server_that_says_nothing_is_left(
    edge: Edge, events: TinyEventService, network: tuple[TcpProxy, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "heartbeat_seconds", lambda _: 0.2)
    proxy, url = network
    async with Listener(url, token=edge.auth.add("user_1"), backoff=quick()) as listener:
        proxy.stall()
        await events.emit("user_1")
        waiting = asyncio.create_task(take(listener, 1))
        await wait_until_async(lambda: listener._connection is None)
        proxy.flow()
        assert [event.seq for event in await waiting] == [1]


async def test_closing_ends_an_iteration_under_way(edge: Edge, events: TinyEventService) -> None:
    async def hear_all(listener: Listener) -> int:
        return len([event async for event in listener])

    async with Listener(url_of(edge.address), token=edge.auth.add("user_1")) as listener:
        await events.emit("user_1")
        hearing = asyncio.create_task(hear_all(listener))
        await wait_until_async(lambda: listener.position == Position(EPOCH, 1))
        await listener.close()
        assert await hearing == 1


@pytest.mark.usefixtures("events")
async def test_while_nobody_can_verify_tokens_it_tries_again(edge: Edge) -> None:
    token = edge.auth.add("user_1")
    edge.auth.tokens[token] = grpc.StatusCode.UNAVAILABLE
    listener = Listener(url_of(edge.address), token=token, backoff=quick())
    entering = asyncio.create_task(listener.__aenter__())
    await wait_until_async(lambda: edge.auth.asked.count(token) > 1)
    edge.auth.add("user_1", token)
    async with asyncio.timeout(SECONDS):
        await entering
    await listener.close()
