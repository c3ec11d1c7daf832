"""The edge's half of the conversations that the clients' tests read too."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from harkara_edge.domain.replies import iso_time
from tests.integration.edge.conftest import Edge, running_edge, running_events
from tests.support.conversations import Conversation, load_conversations
from tests.support.reference_client import ReferenceClient
from tests.support.scripted_mesh import Identity, TinyEventService

CONVERSATIONS = load_conversations()

FOR_A_CLIENT = {"application", "waits_seconds", "told", "silent"}
"""Steps that are for tests of a client alone."""


def bound(value: Any, values: dict[str, Any]) -> Any:
    """What a client says, with what the server said before in place of the names."""
    if isinstance(value, dict):
        return {name: bound(part, values) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        return [bound(part, values) for part in value]
    return values[value] if isinstance(value, str) and value.startswith("$") else value


def matches(told: Any, heard: Any, values: dict[str, Any]) -> bool:
    """Whether a message is as it is told, as far as it is told; takes the values of new names."""
    if isinstance(told, dict):
        return isinstance(heard, dict) and all(
            name not in heard if part is None else name in heard and matches(part, heard[name], values)
            for name, part in told.items()
        )
    if isinstance(told, str) and told.startswith("$"):
        return bool(values.setdefault(told, heard) == heard)
    return bool(told == heard)


class Told:
    """A conversation with an edge, as far as it got."""

    def __init__(self, edge: Edge, events: TinyEventService, conversation: Conversation) -> None:
        self._edge = edge
        self._events = events
        self._user_id = conversation.user_id
        self._client: ReferenceClient | None = None
        # Whole seconds: the text of a time has fewer digits than a float.
        began = int(time.time())
        self._values: dict[str, Any] = {"$time": "2026-01-27T10:30:00Z"}
        self._tokens: dict[str, Identity | grpc.StatusCode] = edge.auth.tokens
        for name, seconds in (("", conversation.token_seconds), ("next_", 3_600)):
            ends = began + seconds
            self._values[f"${name}token"] = edge.auth.add(self._user_id, f"{name}token", expires_at=ends)
            self._values[f"${name}expires_at"] = iso_time(ends)

    @property
    def client(self) -> ReferenceClient:
        assert self._client is not None
        return self._client

    async def step(self, kind: str, content: Any) -> None:
        if kind in {"client", "faulty"}:
            if self._client is None:
                self._client = await self._edge.open()
            await self._client.send(bound(content, self._values))
        elif kind == "server":
            heard = await self.client.receive()
            assert matches(content, heard, self._values), (content, heard)
        elif kind == "emit":
            await self._events.emit(self._user_id, content)
        elif kind == "emit_ephemeral":
            await self._events.emit_ephemeral(self._user_id, content)
        elif kind == "mesh":
            await self.mesh(content)
        elif kind in {"close", "leave", "cut", "restart"}:
            await self.end(kind, content)
        elif kind in {"at_seconds", "asleep_until_seconds"}:
            self._edge.clock.ahead = content
        else:
            assert kind in FOR_A_CLIENT

    async def end(self, kind: str, content: Any) -> None:
        if self._client is not None:
            if kind == "close":
                assert await self._client.closed() == content
            elif kind == "leave":
                await self._client.connection.close(content)
            else:
                self._client.connection.transport.abort()
        self._client = None

    async def mesh(self, what: str) -> None:
        edge = self._edge
        if what == "nobody can verify tokens":
            edge.auth.tokens = dict.fromkeys(edge.auth.tokens, grpc.StatusCode.UNAVAILABLE)
        elif what == "tokens can be verified":
            edge.auth.tokens = dict(self._tokens)
        elif what == "the user has too many connections":
            self._events.is_full = True
        elif what == "the user's other connections end":
            self._events.is_full = False
        elif what == "the last event is delivered again":
            await self._events.deliver_again(self._user_id)
        elif what == "the event-service lets the session go":
            await self._events.let_go(self._user_id)
        elif what == "the edge stops":
            edge.stop.set()
        else:
            assert what == "another edge is there"
            assert edge.task is not None
            await edge.task
            edge.stop, edge.registry = asyncio.Event(), CollectorRegistry()
            await edge.start()


@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_the_edge_answers_as_clients_are_tested_against(name: str, tmp_path: Path) -> None:
    conversation = CONVERSATIONS[name]
    async with running_edge(tmp_path, conversation.edge_settings) as edge, running_events(edge) as events:
        told = Told(edge, events, conversation)
        for step in conversation.steps:
            ((kind, content),) = step.items()
            await told.step(kind, content)
