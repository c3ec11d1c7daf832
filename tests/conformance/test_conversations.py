"""The shared conversations keep to the shared protocol, and leave nothing of it out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.conversations import Conversation, load_conversations
from tests.support.shared_protocol import load_shared_protocol

SHARED = load_shared_protocol()
CONVERSATIONS = load_conversations()

FAULTS_OF_A_CLIENT = {"bad_message", "internal_error"}
"""Errors that no sound client brings about; the tests of each side have them."""


def messages(conversation: Conversation) -> Iterator[tuple[bool, str, dict[str, Any]]]:
    """Every message: whether the client had been authenticated before, who said it, and what."""
    authenticated = False
    for step in conversation.steps:
        ((kind, content),) = step.items()
        if kind in {"close", "leave", "cut", "restart"}:
            authenticated = False
        if kind in {"client", "server"}:
            yield authenticated, kind, content
            authenticated = authenticated or content.get("type") == "authenticated"


def kind_of(message: dict[str, Any]) -> str:
    return "event" if "event_type" in message else str(message["type"])


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_each_side_says_what_it_may_say_in_its_phase(name: str) -> None:
    for authenticated, who, message in messages(CONVERSATIONS[name]):
        phase = SHARED.phases.authenticated if authenticated else SHARED.phases.before_authenticated
        assert kind_of(message) in (phase.client if who == "client" else phase.server)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_an_error_is_followed_by_its_close(name: str) -> None:
    for step, next_step in zip(
        CONVERSATIONS[name].steps, [*CONVERSATIONS[name].steps[1:], {"end": None}], strict=True
    ):
        ((kind, content),) = step.items()
        if kind == "server" and content.get("type") == "error":
            error = SHARED.errors[content["code"]]
            assert next_step.get("close") == error.close if "close" in next_step else error.stays_open


def test_every_message_and_every_error_is_in_a_conversation() -> None:
    said = [message for told in CONVERSATIONS.values() for message in messages(told)]
    for authenticated, phase in (
        (False, SHARED.phases.before_authenticated),
        (True, SHARED.phases.authenticated),
    ):
        for who, kinds in (("client", phase.client), ("server", phase.server)):
            assert {kind_of(told) for then, by, told in said if (then, by) == (authenticated, who)} == set(
                kinds
            )
    told = {message["code"] for _, _, message in said if message.get("type") == "error"}
    assert told == set(SHARED.errors) - FAULTS_OF_A_CLIENT
