"""The session state machine: its table of moves, and its end."""

from __future__ import annotations

import pytest

from harkara_edge.domain.commands import CloseCursor
from harkara_edge.domain.errors import IllegalMoveError
from harkara_edge.domain.session import Session
from harkara_edge.domain.states import TABLE, Move, State, after
from tests.support.edge_sessions import START, connected, later, opened, reopened, said, text, verify


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("move", Move)
def test_a_move_that_the_table_lacks_raises_and_one_it_has_leads_where_it_says(
    state: State, move: Move
) -> None:
    if move in TABLE[state]:
        assert after(state, move) is TABLE[state][move]
    else:
        with pytest.raises(IllegalMoveError):
            after(state, move)


def test_every_state_but_the_last_can_end_and_the_last_cannot_move() -> None:
    for state in State:
        assert (Move.END in TABLE[state]) is (state is not State.CLOSED)
    assert not TABLE[State.CLOSED]


def test_an_illegal_move_changes_nothing() -> None:
    session = connected()
    before = {name: getattr(session, name) for name in Session.__slots__}
    for move in (session.clogged, session.drained, session.detached, session.attach, lambda: verify(session)):
        with pytest.raises(IllegalMoveError):
            move()
    assert {name: getattr(session, name) for name in Session.__slots__} == before


# The end.


def test_a_connection_that_is_gone_takes_its_cursor_along_and_says_nothing() -> None:
    session = opened()
    assert session.gone() == [CloseCursor()]
    assert session.gone() == []
    assert session.receive(text("heartbeat"), START) == []
    assert session.types_changed(1, START) == []
    assert reopened(session) == []
    assert session.due(later(9_999)) == []


def test_a_connection_without_a_stream_leaves_no_command_behind() -> None:
    session = opened()
    session.detached()
    assert session.gone() == []


def test_what_is_held_when_a_connection_ends_is_forgotten() -> None:
    session = connected()
    session.receive(text("auth", token="t"), START)
    session.receive(text("heartbeat"), START)
    effects = session.refused("unauthenticated", START)
    assert len(said(effects)) == 1
    assert not session.holding
