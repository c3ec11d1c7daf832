"""Following a user, against a WebSocket server that plays what a test wrote."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from harkara_cli import tail as tail_module
from harkara_cli.errors import CliError, MisuseError, OutputError
from harkara_cli.event_lines import Event
from harkara_cli.tail import Tail, TailOptions, follow_all

Act = Callable[[ServerConnection, dict[str, Any]], Awaitable[None]]


def event(seq: int, kind: str = "order_ready") -> dict[str, Any]:
    return {"event_type": kind, "event_level": "high", "seq": seq, "data": {}}


async def send(socket: ServerConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def let_in(
    socket: ServerConnection, *, seq: int = 0, interval: float = 30, recovered: bool | None = None
) -> None:
    more = {} if recovered is None else {"recovered": recovered}
    await send(socket, type="authenticated", epoch="e1", seq=seq, heartbeat_interval=interval, **more)


async def next_of(socket: ServerConnection, kind: str) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.recv())
    assert message["type"] == kind
    return message


class Server:
    """Plays one act for each connection, in order; notes what each one said first."""

    def __init__(self, *acts: Act) -> None:
        self._acts = list(acts)
        self.auths: list[dict[str, Any]] = []
        self.url = ""

    async def handle(self, socket: ServerConnection) -> None:
        auth = await next_of(socket, "auth")
        self.auths.append(auth)
        await self._acts.pop(0)(socket, auth)


@asynccontextmanager
async def playing(*acts: Act) -> AsyncIterator[Server]:
    server = Server(*acts)
    async with serve(server.handle, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        server.url = f"ws://127.0.0.1:{port}/api/websocket/ws"
        yield server


class Follower:
    """A `Tail` and what it told."""

    def __init__(
        self, server: Server, options: TailOptions, count: int = 0, fault: Exception | None = None
    ) -> None:
        self._count = count
        self._fault = fault
        self.seqs: list[int | None] = []
        self.news: list[str] = []
        self._tokens = 0
        self.tail = Tail(
            options,
            find_url=lambda: server.url,
            mint_token=self._mint,
            on_event=self._print,
            on_news=self.news.append,
        )

    def _print(self, _: str, event: Event) -> bool:
        if self._fault is not None:
            raise self._fault
        self.seqs.append(event.seq)
        return len(self.seqs) == self._count

    def _mint(self) -> str:
        self._tokens += 1
        return f"token {self._tokens}"

    async def run(self) -> None:
        await asyncio.wait_for(self.tail.run(), 20)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are told, not waited."""
    monkeypatch.setattr(tail_module, "_FIRST_BACKOFF", 0.0)
    monkeypatch.setattr(tail_module, "_SPREAD_SECONDS", 0.0)
    monkeypatch.setattr(tail_module._Losses.__init__, "__defaults__", (0.0, 0))


async def test_it_subscribes_and_tells_events_until_it_has_enough() -> None:
    subscribed: list[list[str]] = []

    async def act(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket, seq=4)
        subscribed.append((await next_of(socket, "subscribe"))["events"])
        await send(socket, type="subscription_updated", subscribed_events=["a", "b"])
        for seq in (5, 7):
            await send(socket, **event(seq))
        await socket.wait_closed()

    async with playing(act) as server:
        follower = Follower(server, TailOptions("anna", ["a", "b"]), 2)
        await follower.run()
    assert (follower.seqs, subscribed) == ([5, 7], [["a", "b"]])
    assert server.auths == [{"type": "auth", "token": "token 1", "user_id": "anna"}]


async def test_an_event_without_seq_is_told_and_moves_no_position() -> None:
    async def lose(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket)
        await next_of(socket, "subscribe")
        await send(socket, **event(3))
        await send(socket, **{name: value for name, value in event(0).items() if name != "seq"})
        socket.transport.abort()

    async def go_on(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket, seq=3, recovered=True)
        await send(socket, **event(4))
        await socket.wait_closed()

    async with playing(lose, go_on) as server:
        follower = Follower(server, TailOptions("anna"), 3)
        await follower.run()
    assert follower.seqs == [3, None, 4]
    assert server.auths[1]["resume"]["seq"] == 3


async def test_an_event_that_cannot_be_printed_ends_it_and_is_no_loss_of_the_connection() -> None:
    async def act(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket)
        await next_of(socket, "subscribe")
        await send(socket, **event(1))
        await socket.wait_closed()

    async with playing(act) as server:
        follower = Follower(server, TailOptions("anna"), fault=OutputError("the disk is full"))
        with pytest.raises(OutputError, match=r"^the disk is full$"):
            await follower.run()
    assert follower.news == []


async def test_after_a_lost_connection_it_resumes_after_the_last_event_and_tells_none_twice() -> None:
    async def first(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket)
        await next_of(socket, "subscribe")
        await send(socket, **event(1))
        await send(socket, **event(2))
        socket.transport.abort()

    async def second(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket, seq=2, recovered=True)
        await send(socket, **event(2))
        await send(socket, **event(3))
        await socket.wait_closed()

    async with playing(first, second) as server:
        follower = Follower(server, TailOptions("anna", ["*"]), 3)
        await follower.run()
    assert follower.seqs == [1, 2, 3]
    assert server.auths[1]["resume"] == {"epoch": "e1", "seq": 2, "events": ["*"]}
    assert follower.news[0].startswith("the connection is lost: trying again in")


async def test_it_resumes_from_the_position_of_a_heartbeat_where_that_is_further() -> None:
    beats: list[dict[str, Any]] = []

    async def first(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket, interval=0.05)
        await next_of(socket, "subscribe")
        await send(socket, **event(1))
        beats.append(await next_of(socket, "heartbeat"))
        await send(socket, type="heartbeat_ack", seq=40)
        await socket.close(1012)

    async def second(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket, seq=40, recovered=True)
        await send(socket, **event(41))
        await socket.wait_closed()

    async with playing(first, second) as server:
        follower = Follower(server, TailOptions("anna"), 2)
        await follower.run()
    assert beats[0]["ack"] == 1
    assert beats[0]["timestamp"].endswith("Z")
    assert server.auths[1]["resume"]["seq"] == 40
    assert follower.news == ["closed by the server (1012 server_restarting): connecting again within 5 s"]


async def test_a_server_that_falls_silent_is_left() -> None:
    async def silent(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket, interval=0.02)
        await socket.wait_closed()

    async def speaking(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket, recovered=True)
        await send(socket, **event(1))
        await socket.wait_closed()

    async with playing(silent, speaking) as server:
        follower = Follower(server, TailOptions("anna"), 1)
        await follower.run()
    assert follower.seqs == [1]


async def test_since_learns_the_epoch_first_and_then_resumes_from_there() -> None:
    async def learn(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket, seq=9)
        await socket.wait_closed()

    async def resume(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket, seq=3, recovered=True)
        await send(socket, **event(4))
        await socket.wait_closed()

    async with playing(learn, resume) as server:
        follower = Follower(server, TailOptions("anna", ["*"], since=3), 1)
        await follower.run()
    assert follower.seqs == [4]
    assert "resume" not in server.auths[0]
    assert server.auths[1]["resume"] == {"epoch": "e1", "seq": 3, "events": ["*"]}


async def test_since_beyond_the_last_event_is_misuse() -> None:
    async def act(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket, seq=9)
        await socket.wait_closed()

    async with playing(act) as server:
        with pytest.raises(MisuseError, match="--since 10: anna is at 9"):
            await Follower(server, TailOptions("anna", since=10)).run()


async def test_what_the_log_no_longer_has_is_told_and_it_goes_on_from_now() -> None:
    async def learn(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket, seq=9)
        await socket.wait_closed()

    async def too_old(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket, seq=9, recovered=False)
        await send(socket, **event(10))
        await socket.wait_closed()

    async with playing(learn, too_old) as server:
        follower = Follower(server, TailOptions("anna", since=1), 1)
        await follower.run()
    assert (follower.seqs, follower.news) == ([10], ["the log cannot go back to 1: from now on"])


@pytest.mark.parametrize(("code", "name"), [(4403, "forbidden"), (4400, "bad_message")])
async def test_a_close_that_asks_to_stop_ends_it(code: int, name: str) -> None:
    async def act(socket: ServerConnection, _: dict[str, Any]) -> None:
        await send(socket, type="error", code=name, message="no")
        await socket.close(code)

    async with playing(act) as server:
        with pytest.raises(CliError, match=f"^the server closed the connection: {code} {name}"):
            await Follower(server, TailOptions("anna")).run()


async def test_an_ended_token_is_replaced_once() -> None:
    async def refuse(socket: ServerConnection, _: dict[str, Any]) -> None:
        await socket.close(4401)

    async with playing(refuse, refuse) as server:
        with pytest.raises(CliError, match="4401 unauthenticated"):
            await Follower(server, TailOptions("anna")).run()
    assert [auth["token"] for auth in server.auths] == ["token 1", "token 2"]


@pytest.mark.parametrize("code", [1000, 1011, 1013, 4429])
async def test_a_close_that_asks_for_patience_is_followed_by_another_try(code: int) -> None:
    async def busy(socket: ServerConnection, _: dict[str, Any]) -> None:
        await socket.close(code)

    async def good(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket)
        await next_of(socket, "subscribe")
        await send(socket, **event(1))
        await socket.wait_closed()

    async with playing(busy, good) as server:
        follower = Follower(server, TailOptions("anna"), 1)
        await follower.run()
    assert follower.seqs == [1]
    assert f"closed by the server ({code}" in follower.news[0]
    assert "trying again in" in follower.news[0]


async def test_an_unknown_event_type_is_misuse() -> None:
    async def act(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket)
        await send(socket, type="error", code="unknown_event_type", message="no such type", events=["x"])
        await socket.wait_closed()

    async with playing(act) as server:
        with pytest.raises(MisuseError, match=r"^no such type \(x\)$"):
            await Follower(server, TailOptions("anna", ["x"])).run()


async def test_a_message_that_cannot_be_read_is_passed_over_and_told() -> None:
    async def act(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket)
        await next_of(socket, "subscribe")
        await socket.send("[]")
        await send(socket, **event(1))
        await socket.wait_closed()

    async with playing(act) as server:
        follower = Follower(server, TailOptions("anna"), 1)
        await follower.run()
    assert (follower.seqs, follower.news) == (
        [1],
        ["a message of the server cannot be read: it is passed over"],
    )


async def test_an_integer_of_ten_thousand_digits_is_an_event_like_any_other() -> None:
    async def act(socket: ServerConnection, _: dict[str, Any]) -> None:
        await let_in(socket)
        await next_of(socket, "subscribe")
        await socket.send('{"event_type":"order_ready","seq":1,"data":{"a":' + "9" * 10_000 + "}}")
        await socket.wait_closed()

    async with playing(act) as server:
        follower = Follower(server, TailOptions("anna"), 1)
        await follower.run()
    assert follower.seqs == [1]


async def test_several_users_are_followed_until_one_has_enough() -> None:
    async def busy(socket: ServerConnection, auth: dict[str, Any]) -> None:
        await let_in(socket)
        await next_of(socket, "subscribe")
        if auth["user_id"] == "anna":
            for seq in (1, 2):
                await send(socket, **event(seq))
        await socket.wait_closed()

    async with playing(busy, busy) as server:
        anna, bert = Follower(server, TailOptions("anna"), 2), Follower(server, TailOptions("bert"), 2)
        await asyncio.wait_for(follow_all([bert.tail, anna.tail]), 20)
    assert (anna.seqs, bert.seqs) == ([1, 2], [])
    assert {auth["user_id"] for auth in server.auths} == {"anna", "bert"}


async def test_a_user_who_is_refused_ends_the_following_of_all() -> None:
    async def act(socket: ServerConnection, auth: dict[str, Any]) -> None:
        if auth["user_id"] == "bert":
            await socket.close(4403)
        else:
            await let_in(socket)
        await socket.wait_closed()

    async with playing(act, act) as server:
        tails = [Follower(server, TailOptions(user_id)).tail for user_id in ("anna", "bert")]
        with pytest.raises(CliError, match="4403 forbidden"):
            await asyncio.wait_for(follow_all(tails), 20)
