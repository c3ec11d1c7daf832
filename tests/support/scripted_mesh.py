"""An event-service and an auth-service that do exactly what a test says, over real gRPC.

`ScriptedDelivery` hands each Attach stream to the test, which reads commands and sends answers one by
one: so races are driven, not waited for. `TinyEventService` sits on the same server where a test wants
a correct event-service rather than a script: a list per user, catch-up from it, live fan-out.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc import aio

from harkara.auth.v1 import auth_service_pb2 as auth_pb
from harkara.auth.v1 import auth_service_pb2_grpc as auth_grpc
from harkara.event.v1 import delivery_service_pb2 as pb
from harkara.event.v1 import delivery_service_pb2_grpc as delivery_grpc
from tests.support.waiting import wait_until_async

EPOCH = "epoch-1"
PATIENCE = 10.0


def opened(
    session: int, generation: int, seq: int = 0, *, epoch: str = EPOCH, recovered: bool = False
) -> pb.AttachItem:
    return pb.AttachItem(
        opened=pb.Opened(session=session, generation=generation, epoch=epoch, seq=seq, recovered=recovered)
    )


def event_text(seq: int, event_type: str = "order_created", user_id: str = "user_1", **data: Any) -> bytes:
    return json.dumps(
        {
            "event_type": event_type,
            "event_level": "high",
            "event_id": f"evt_{seq:026d}",
            "timestamp": "2026-01-27T10:30:00Z",
            "user_id": user_id,
            "data": {"n": seq, **data},
            "source": "orders",
            "seq": seq,
        },
        separators=(",", ":"),
    ).encode()


def delivery(sessions: int | list[int], seq: int, event: bytes | None = None) -> pb.AttachItem:
    numbers = [sessions] if isinstance(sessions, int) else sessions
    return pb.AttachItem(
        delivery=pb.Delivery(
            sessions=struct.pack(f"<{len(numbers)}I", *numbers),
            seq=seq,
            event=event_text(seq) if event is None else event,
        )
    )


def subscribed(session: int, change: int) -> pb.AttachItem:
    return pb.AttachItem(subscribed=pb.Subscribed(session=session, change=change))


def advanced(session: int, seq: int) -> pb.AttachItem:
    return pb.AttachItem(advanced=pb.Advanced(sessions=[session], seqs=[seq]))


def disconnect(session: int, generation: int, reason: pb.DisconnectReason.ValueType) -> pb.AttachItem:
    return pb.AttachItem(disconnect=pb.Disconnect(session=session, generation=generation, reason=reason))


class Attached:
    """One Attach stream, in the test's hands."""

    def __init__(
        self, context: aio.ServicerContext[pb.AttachRequest, pb.AttachResponse], *, ticking: bool = True
    ) -> None:
        self._context = context
        self.edge = ""
        self.requests = 0
        self.authorization = dict(context.invocation_metadata() or ()).get("authorization")
        self._commands: asyncio.Queue[pb.AttachCommand | None] = asyncio.Queue()
        self.ended: asyncio.Future[grpc.StatusCode | None] = asyncio.get_running_loop().create_future()
        self.ticking = ticking
        # One write at a time: grpc.aio refuses a second one under way.
        self._writing = asyncio.Lock()

    async def _write(self, response: pb.AttachResponse) -> None:
        async with self._writing:
            if not self.ended.done():
                await self._context.write(response)

    async def send(self, *items: pb.AttachItem) -> None:
        """Send all items in one message."""
        await self._write(pb.AttachResponse(items=items))

    async def command(self) -> pb.AttachCommand:
        """Return the next command, whatever it is."""
        command = await asyncio.wait_for(self._commands.get(), PATIENCE)
        assert command is not None, "the stream ended"
        return command

    async def expect(self, kind: str) -> Any:
        """Return the next command, which has to be of this kind."""
        command = await self.command()
        assert command.WhichOneof("command") == kind, command
        return getattr(command, kind)

    def pending(self) -> int:
        """Return how many commands arrived and were not read."""
        return self._commands.qsize()

    def end(self, code: grpc.StatusCode | None = grpc.StatusCode.UNAVAILABLE) -> None:
        """End the stream from the server's side; None for a clean end."""
        if not self.ended.done():
            self.ended.set_result(code)

    async def serve(self, requests: AsyncIterator[pb.AttachRequest]) -> None:
        async def read() -> None:
            async for request in requests:
                self.edge = self.edge or request.edge
                self.requests += 1
                for command in request.commands:
                    self._commands.put_nowait(command)
            self.end(None)

        async def tick() -> None:
            while True:
                if self.ticking:
                    await self._write(pb.AttachResponse())
                await asyncio.sleep(1)

        tasks = [asyncio.create_task(read()), asyncio.create_task(tick())]
        try:
            code = await self.ended
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._commands.put_nowait(None)
        if code is not None:
            await self._context.abort(code, "as the test says")


class ScriptedDelivery(delivery_grpc.DeliveryServiceServicer):
    """The event-service's Attach."""

    def __init__(self) -> None:
        self.streams: asyncio.Queue[Attached] = asyncio.Queue()
        self.current: Attached | None = None
        self.refuse: grpc.StatusCode | None = None
        self.refused = 0
        self.silent = False

    async def attached(self) -> Attached:
        """Return the next stream that an edge opens."""
        return await asyncio.wait_for(self.streams.get(), PATIENCE)

    async def Attach(  # type: ignore[override]  # noqa: N802 - writes by its context; the RPC's name.
        self, request_iterator: Any, context: Any
    ) -> None:
        if self.refuse is not None:
            self.refused += 1
            await context.abort(self.refuse, "as the test says")
        self.current = Attached(context, ticking=not self.silent)
        self.streams.put_nowait(self.current)
        await self.current.serve(request_iterator)

    async def GetStats(  # noqa: N802 - the RPC's name.
        self, request: pb.GetStatsRequest, context: Any
    ) -> pb.GetStatsResponse:
        del request
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not scripted")
        raise AssertionError


@dataclass
class Identity:
    """Whom a token of the test speaks for."""

    user_id: str
    role: str = "customer"
    expires_at: float = field(default_factory=lambda: time.time() + 3_600)
    kind: auth_pb.PrincipalKind.ValueType = auth_pb.PRINCIPAL_KIND_USER
    version: int | None = None


class ScriptedAuth(auth_grpc.AuthServiceServicer):
    """The auth-service: knows the tokens that a test gives it."""

    def __init__(self) -> None:
        self.version = 100
        self.tokens: dict[str, Identity | grpc.StatusCode] = {}
        self.asked: list[str] = []
        self.batches: list[int] = []
        self.held: dict[str, asyncio.Event] = {}
        self.since: list[int | None] = []
        self.silent = False
        self.refuse: grpc.StatusCode | None = None
        self.after_answer: Callable[[], None] | None = None
        self._history: list[tuple[int, list[auth_pb.Revocation]]] = []
        self._watchers: set[asyncio.Queue[auth_pb.WatchRevocationsResponse | None]] = set()

    def add(self, user_id: str, token: str | None = None, **fields: Any) -> str:
        """Add a user with a token, and return the token."""
        token = token or f"token-of-{user_id}"
        self.tokens[token] = Identity(user_id, **fields)
        return token

    def hold(self, token: str) -> asyncio.Event:
        """Answer about this token only when the event is set."""
        return self.held.setdefault(token, asyncio.Event())

    def revoke(self, user_id: str, reason: auth_pb.RevocationReason.ValueType) -> None:
        """Change a user, and tell it to whoever watches."""
        self.version += 1
        revocation = auth_pb.Revocation(user_id=user_id, reason=reason)
        self._history.append((self.version, [revocation]))
        for watcher in self._watchers:
            watcher.put_nowait(
                auth_pb.WatchRevocationsResponse(revocations=[revocation], version=self.version)
            )

    def end_watches(self) -> None:
        """Break every watch."""
        for watcher in self._watchers:
            watcher.put_nowait(None)

    async def AuthenticateBatch(  # noqa: N802 - the RPC's name.
        self, request: auth_pb.AuthenticateBatchRequest, context: Any
    ) -> auth_pb.AuthenticateBatchResponse:
        del context
        self.batches.append(len(request.tokens))
        results = await asyncio.gather(*map(self._judge, request.tokens))
        return auth_pb.AuthenticateBatchResponse(results=results)

    async def _judge(self, token: str) -> auth_pb.AuthenticateResult:
        self.asked.append(token)
        # As of now: what happens while the answer is held, it does not know.
        version = self.version
        if token in self.held:
            await self.held[token].wait()
        found = self.tokens.get(token, grpc.StatusCode.UNAUTHENTICATED)
        if isinstance(found, grpc.StatusCode):
            return auth_pb.AuthenticateResult(code=found.value[0])
        answer = auth_pb.AuthenticateResponse(
            kind=found.kind,
            user_id=found.user_id,
            role=found.role,
            version=version if found.version is None else found.version,
        )
        answer.expire_time.FromNanoseconds(int(found.expires_at * 1e9))
        if self.after_answer is not None:
            self.after_answer()
        return auth_pb.AuthenticateResult(principal=answer)

    async def Authenticate(  # noqa: N802 - the RPC's name.
        self, request: auth_pb.AuthenticateRequest, context: Any
    ) -> auth_pb.AuthenticateResponse:
        del request
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not what an edge asks")
        raise AssertionError

    async def WatchRevocations(  # noqa: N802 - the RPC's name.
        self, request: auth_pb.WatchRevocationsRequest, context: Any
    ) -> AsyncIterator[auth_pb.WatchRevocationsResponse]:
        if self.refuse is not None:
            await context.abort(self.refuse, "as the test says")
        since = request.since_version if request.HasField("since_version") else None
        self.since.append(since)
        queue: asyncio.Queue[auth_pb.WatchRevocationsResponse | None] = asyncio.Queue()
        for version, revocations in self._history:
            if since is not None and version > since:
                queue.put_nowait(auth_pb.WatchRevocationsResponse(revocations=revocations, version=version))
        queue.put_nowait(auth_pb.WatchRevocationsResponse(version=self.version))
        self._watchers.add(queue)
        try:
            while True:
                try:
                    response = await asyncio.wait_for(queue.get(), 1)
                except TimeoutError:
                    response = auth_pb.WatchRevocationsResponse(version=self.version)
                if response is None:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "as the test says")
                elif not self.silent:
                    yield response
        finally:
            self._watchers.discard(queue)


@dataclass
class _TinySession:
    user_id: str
    generation: int
    types: list[str]
    paused: bool
    sent: int
    device_id: str


class TinyEventService:
    """A correct event-service in memory, one over all its streams; a replica where it has another's log."""

    def __init__(
        self,
        delivery_service: ScriptedDelivery,
        log: dict[str, list[tuple[str, bytes]]] | None = None,
    ) -> None:
        self._delivery = delivery_service
        self.log = defaultdict(list) if log is None else log
        self._sessions: dict[int, _TinySession] = {}
        self._stream: Attached | None = None
        self.commands: deque[pb.AttachCommand] = deque(maxlen=10_000)
        self.opens = 0
        self.window = 128 * 1024
        self.is_full = False
        self._unreported: dict[int, int] = {}
        self._devices: dict[tuple[str, str], int] = {}

    async def run(self) -> None:
        """Serve every stream, one after the other, until cancelled."""
        while True:
            self._stream = await self._delivery.streams.get()
            self._sessions.clear()
            while True:
                command = await self._stream._commands.get()
                if command is None:
                    break
                self.commands.append(command)
                await self._obey(command)

    def append(self, user_id: str, event_type: str = "order_created", **data: Any) -> int:
        """Store an event without telling anybody; return its seq."""
        seq = len(self.log[user_id]) + 1
        self.log[user_id].append((event_type, event_text(seq, event_type, user_id, **data)))
        return seq

    async def emit(self, user_id: str, event_type: str = "order_created", **data: Any) -> int:
        """Store an event and send it to those who are live."""
        seq = self.append(user_id, event_type, **data)
        await self.catch_up()
        return seq

    async def emit_ephemeral(self, user_id: str, event_type: str) -> None:
        """Send an event that is stored nowhere to those who are live; one of a type is like another."""
        event = json.loads(event_text(0, event_type, user_id))
        del event["seq"]
        event["event_id"] = f"evt_{event_type}"
        await self._send_all(user_id, 0, event_type, json.dumps(event).encode())

    async def deliver_again(self, user_id: str) -> None:
        """Send the last stored event once more to those who are live."""
        event_type, text = self.log[user_id][-1]
        await self._send_all(user_id, len(self.log[user_id]), event_type, text)

    async def let_go(self, user_id: str) -> None:
        """End a user's sessions, as one does that cannot serve them."""
        assert self._stream is not None
        for number, session in list(self._sessions.items()):
            if session.user_id == user_id:
                del self._sessions[number]
                reason = pb.DISCONNECT_REASON_UNAVAILABLE
                await self._stream.send(disconnect(number, session.generation, reason))

    async def _send_all(self, user_id: str, seq: int, event_type: str, text: bytes) -> None:
        assert self._stream is not None
        for number, session in self._sessions.items():
            if session.user_id == user_id and {event_type, "*"} & set(session.types):
                await self._stream.send(delivery(number, seq, text))

    async def all_open(self, sessions: int) -> None:
        """Wait until so many sessions are open on the stream of now."""
        await wait_until_async(lambda: len(self._sessions) == sessions)

    async def catch_up(self) -> None:
        """Send everybody what they have not got, as far as their window allows."""
        items: list[pb.AttachItem] = []
        for number, session in self._sessions.items():
            if session.paused:
                continue
            events = self.log[session.user_id]
            while session.sent < len(events) and self._unreported.get(number, 0) < self.window:
                event_type, text = events[session.sent]
                session.sent += 1
                if event_type in session.types or "*" in session.types:
                    self._unreported[number] = self._unreported.get(number, 0) + len(text)
                    items.append(delivery(number, session.sent, text))
        if items and self._stream is not None:
            for start in range(0, len(items), 50):
                await self._stream.send(*items[start : start + 50])

    async def _obey(self, command: pb.AttachCommand) -> None:
        assert self._stream is not None
        match command.WhichOneof("command"):
            case "open":
                await self._open(command.open)
            case "subscribe":
                change = command.subscribe
                self._sessions[change.session].types += list(change.types)
                await self._stream.send(subscribed(change.session, change.change))
            case "unsubscribe":
                gone = command.unsubscribe
                session = self._sessions[gone.session]
                session.types = [name for name in session.types if name not in gone.types]
                await self._stream.send(subscribed(gone.session, gone.change))
            case "written":
                self._unreported[command.written.session] = 0
                await self.catch_up()
            case "ack":
                device = self._sessions[command.ack.session]
                key = (device.user_id, device.device_id)
                self._devices[key] = max(command.ack.seq, self._devices.get(key, 0))
            case "close":
                self._sessions.pop(command.close.session, None)

    async def _open(self, open_: pb.Open) -> None:
        assert self._stream is not None
        self.opens += 1
        if self.is_full:
            reason = pb.DISCONNECT_REASON_TOO_MANY_CONNECTIONS
            await self._stream.send(disconnect(open_.session, open_.generation, reason))
            return
        last = len(self.log[open_.user_id])
        start, recovered = last, False
        if open_.HasField("after_seq"):
            start = open_.after_seq
        elif open_.HasField("resume") and open_.resume.epoch == EPOCH and open_.resume.seq <= last:
            start, recovered = open_.resume.seq, True
        elif open_.from_device:
            acked = self._devices.get((open_.user_id, open_.device_id), -1)
            start, recovered = (acked, True) if 0 <= acked <= last else (last, False)
        self._sessions[open_.session] = _TinySession(
            open_.user_id, open_.generation, list(open_.types), open_.paused, start, open_.device_id
        )
        self._unreported[open_.session] = 0
        await self._stream.send(opened(open_.session, open_.generation, start, recovered=recovered))
        await self.catch_up()


@dataclass
class ScriptedMesh:
    """Both services on one server, on a port of its own."""

    delivery: ScriptedDelivery
    auth: ScriptedAuth
    server: aio.Server
    target: str

    @classmethod
    async def start(
        cls, delivery_service: ScriptedDelivery, auth: ScriptedAuth, port: int = 0
    ) -> ScriptedMesh:
        server = aio.server(options=[("grpc.so_reuseport", 0)])
        delivery_grpc.add_DeliveryServiceServicer_to_server(delivery_service, server)
        auth_grpc.add_AuthServiceServicer_to_server(auth, server)
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        return cls(delivery_service, auth, server, f"127.0.0.1:{bound}")

    async def stop(self) -> None:
        await self.server.stop(0)
