"""The edge's half of the conversations that the clients' tests read too."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.edge.conftest import Edge
from tests.support.conversations import Conversation, load_conversations
from tests.support.reference_client import ReferenceClient
from tests.support.scripted_mesh import TinyEventService

CONVERSATIONS = load_conversations()


def bound(value: Any, values: dict[str, Any]) -> Any:
    """What a client says, with what the server said before in place of the names."""
    if isinstance(value, dict):
        return {name: bound(part, values) for name, part in value.items()}
    if isinstance(value, list):
        return [bound(part, values) for part in value]
    return values[value] if isinstance(value, str) and value.startswith("$") else value


def matches(told: Any, heard: Any, values: dict[str, Any]) -> bool:
    """Whether a message is as it is told, as far as it is told; takes the values of new names."""
    if isinstance(told, dict):
        return isinstance(heard, dict) and all(
            name in heard and matches(part, heard[name], values) for name, part in told.items()
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
        self._values: dict[str, Any] = {
            "$token": edge.auth.add(conversation.user_id),
            "$time": "2026-01-27T10:30:00Z",
        }

    async def step(self, kind: str, content: Any) -> None:
        if kind == "client":
            if self._client is None:
                self._client = await self._edge.open()
            await self._client.send(bound(content, self._values))
        elif kind == "server":
            assert self._client is not None
            heard = await self._client.receive()
            assert matches(content, heard, self._values), (content, heard)
        elif kind == "emit":
            await self._events.emit(self._user_id, content)
        elif kind == "close":
            assert self._client is not None
            assert await self._client.closed() == content
        elif kind == "cut":
            assert self._client is not None
            self._client.connection.transport.abort()
            self._client = None
        else:  # For tests of a client.
            assert kind in {"application", "pass_seconds", "told", "silent"}


@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_the_edge_answers_as_clients_are_tested_against(
    name: str, edge: Edge, events: TinyEventService
) -> None:
    conversation = CONVERSATIONS[name]
    told = Told(edge, events, conversation)
    for step in conversation.steps:
        ((kind, content),) = step.items()
        await told.step(kind, content)
