"""The edge's half of what it has in common with its clients (tests/conformance/protocol.json)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest

from harkara_catalogue.codes import CLOSE_CODES, ERROR_CODES, ClientAction
from harkara_edge.domain import errors, messages
from harkara_edge.domain.commands import Effect, End
from harkara_edge.domain.session import Session
from harkara_edge.domain.states import State
from tests.support.edge_sessions import (
    START,
    connected,
    ends_with,
    later,
    opened,
    opening,
    said,
    text,
    verify,
)
from tests.support.shared_protocol import SharedClose, SharedError, load_shared_protocol

SHARED = load_shared_protocol()
BEFORE, AUTHENTICATED = SHARED.phases.before_authenticated, SHARED.phases.authenticated

FIELDS: dict[str, dict[str, Any]] = {
    "auth": {"token": "t"},
    "subscribe": {"events": ["a"]},
    "unsubscribe": {"events": ["a"]},
    "heartbeat": {},
    "ack": {"seq": 1},
}


def reopening() -> Session:
    session = opened()
    session.detached()
    return session


def paused() -> Session:
    session = opened()
    session.clogged()
    return session


def verifying() -> Session:
    session = connected()
    session.receive(text("auth", token="t"), START)
    return session


AUTHENTICATED_AT: dict[State, Callable[[], Session]] = {
    State.OPEN: opened,
    State.REOPENING: reopening,
    State.PAUSED: paused,
}
BEFORE_AT: dict[State, Callable[[], Session]] = {
    State.CONNECTED: connected,
    State.AUTHENTICATING: verifying,
    State.OPENING: opening,
}


def test_every_state_of_a_connection_belongs_to_a_phase() -> None:
    assert {*BEFORE_AT, *AUTHENTICATED_AT, State.CLOSED} == set(State)
    for state, session in {**BEFORE_AT, **AUTHENTICATED_AT}.items():
        assert session().state is state


def test_the_messages_of_a_client_are_those_that_the_edge_can_read() -> None:
    known = {kind.__struct_config__.tag for kind in get_args(messages.Message)}
    assert known == set(AUTHENTICATED.client) == set(FIELDS)


@pytest.mark.parametrize("kind", AUTHENTICATED.client)
def test_what_a_client_may_not_say_first_ends_the_connection(kind: str) -> None:
    effects = connected().receive(text(kind, **FIELDS[kind]), START)
    if kind in BEFORE.client:
        assert said(effects) == []
    else:
        assert ends_with(effects, SHARED.out_of_turn.error, SHARED.out_of_turn.close)


@pytest.mark.parametrize("kind", AUTHENTICATED.client)
@pytest.mark.parametrize("state", [State.AUTHENTICATING, State.OPENING])
def test_what_a_client_says_too_early_waits_until_it_is_authenticated(state: State, kind: str) -> None:
    session = BEFORE_AT[state]()
    assert session.receive(text(kind, **FIELDS[kind]), START) == []
    if state is State.AUTHENTICATING:
        verify(session)
    effects = session.opened(generation=1, epoch="e", seq=10, recovered=False, at=START)
    assert said(effects)[0]["type"] == "authenticated"
    assert not any(isinstance(effect, End) for effect in effects)


@pytest.mark.parametrize("kind", AUTHENTICATED.client)
@pytest.mark.parametrize("state", AUTHENTICATED_AT)
def test_an_authenticated_client_may_say_all_of_them(state: State, kind: str) -> None:
    session = AUTHENTICATED_AT[state]()
    effects = session.receive(text(kind, **FIELDS[kind]), START)
    assert session.state is state
    assert all(message["type"] != "error" for message in said(effects))


@pytest.mark.parametrize("kind", sorted({*AUTHENTICATED.server, "hello"} - set(AUTHENTICATED.client)))
def test_an_authenticated_client_may_say_nothing_else(kind: str) -> None:
    assert [told["code"] for told in said(opened().receive(text(kind), START))] == ["bad_message"]


def test_the_edge_says_before_authenticated_and_after_it_what_it_may() -> None:
    """Everything that makes a session speak; events are the service's to write (`EdgeService.deliver`)."""
    before: list[Effect] = connected().receive(text("heartbeat"), START)
    session = opening()
    answer = session.opened(generation=1, epoch="e", seq=10, recovered=False, at=START)
    assert {told["type"] for told in said([*before, *answer])} == set(BEFORE.server)

    after = [*answer, *session.receive(text("heartbeat"), START), *session.receive("nonsense", START)]
    session.receive(text("subscribe", events=["a"]), START)
    after += session.types_changed(1, START)
    session.receive(text("auth", token="t"), START)
    after += [*verify(session), *session.due(later(999_999))]
    assert {told["type"] for told in said(after)} == set(AUTHENTICATED.server) - {"event"}


def test_the_errors_are_those_of_the_catalogue_and_the_edge_has_no_others() -> None:
    assert SHARED.errors == {
        code: SharedError(stays_open=error.stays_open, close=error.close_code)
        for code, error in ERROR_CODES.items()
        if error.on_websocket
    }
    named = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, str)}
    assert named == set(SHARED.errors)


def test_the_closes_are_those_of_the_catalogue() -> None:
    assert SHARED.closes == {
        str(code): SharedClose(error=close.error_code, client=close.client.name.lower())
        for code, close in CLOSE_CODES.items()
    }
    assert set(SHARED.reactions) == {action.name.lower() for action in ClientAction}


@pytest.mark.parametrize("code", [code for code, error in SHARED.errors.items() if error.close])
def test_an_error_that_ends_a_connection_is_told_and_its_close_follows(code: str) -> None:
    close = SHARED.errors[code].close
    assert close is not None
    assert ends_with(opened().end(code), code, close)
    assert SHARED.closes[str(close)].error == code


@pytest.mark.parametrize("close", [errors.NOT_UTF8, errors.MESSAGE_TOO_BIG, errors.BINARY_FRAME])
def test_a_close_that_no_error_precedes_has_none(close: int) -> None:
    assert SHARED.closes[str(close)].error is None
