"""The session state machine: messages and answers in, replies and commands out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harkara_edge.domain.commands import (
    Acknowledge,
    AddTypes,
    CloseCursor,
    DisconnectReason,
    Effect,
    End,
    Moment,
    OpenCursor,
    Principal,
    RemoveTypes,
    Reply,
    Resume,
    RevocationReason,
    Verify,
)
from harkara_edge.domain.errors import IllegalMoveError
from harkara_edge.domain.limits import MAX_UNANSWERED, Limits
from harkara_edge.domain.session import Rules, Session
from harkara_edge.domain.states import TABLE, Move, State, after

RULES = Rules(Limits(), frozenset({"a", "b", "c"}))
START = Moment(1_000.0, 1_769_509_800.0)
HOUR = 3_600.0


def later(seconds: float) -> Moment:
    return Moment(START.monotonic + seconds, START.wall + seconds)


def said(effects: list[Effect]) -> list[dict[str, Any]]:
    """What the client is told by these effects."""
    return [json.loads(effect.text) for effect in effects if isinstance(effect, Reply)]


def asked(effects: list[Effect]) -> list[Effect]:
    """What else they ask for."""
    return [effect for effect in effects if not isinstance(effect, Reply)]


def text(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


def principal(user_id: str = "u", role: str = "customer", *, expires_in: float = HOUR) -> Principal:
    return Principal(user_id, role, START.wall + expires_in, 7)


def verify(session: Session, at: Moment = START, *, attached: bool = True, **fields: Any) -> list[Effect]:
    return session.verified(principal(**fields), number=1, connection_id="conn_1", attached=attached, at=at)


def connected() -> Session:
    return Session(RULES, START)


def opening(**auth: Any) -> Session:
    session = connected()
    session.receive(text("auth", token="t", **auth), START)
    verify(session)
    return session


def opened(seq: int = 10, **auth: Any) -> Session:
    session = opening(**auth)
    session.opened(generation=1, epoch="e", seq=seq, recovered=False, at=START)
    return session


def reopened(session: Session, at: Moment = START, seq: int | None = None, epoch: str = "e") -> list[Effect]:
    return session.opened(
        generation=session.generation,
        epoch=epoch,
        seq=session.position if seq is None else seq,
        recovered=False,
        at=at,
    )


def stands(session: Session) -> str:
    return session.state.name


def ends_with(effects: list[Effect], error: str, close_code: int) -> bool:
    return said(effects)[-1]["code"] == error and effects[-1] == End(close_code)


# The table.


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


# Authentication.


def test_auth_asks_who_the_token_speaks_for_and_holds_what_follows() -> None:
    session = connected()
    assert session.receive(text("auth", token="t"), START) == [Verify("t")]
    assert session.holding
    assert session.receive(text("heartbeat"), START) == []


def test_a_verified_client_gets_a_cursor_and_is_told_so_when_it_stands() -> None:
    session = connected()
    session.receive(text("auth", token="t", user_id="u", user_role="customer"), START)
    assert verify(session) == [OpenCursor(1, None, "", (), None, paused=False)]
    effects = session.opened(generation=1, epoch="e", seq=10, recovered=False, at=START)
    assert said(effects) == [
        {
            "type": "authenticated",
            "user_id": "u",
            "user_role": "customer",
            "connection_id": "conn_1",
            "epoch": "e",
            "seq": 10,
            "heartbeat_interval": 30,
            "expires_at": "2026-01-27T11:30:00.000Z",
        }
    ]
    assert session.state is State.OPEN
    assert not session.holding


def test_held_messages_are_handled_in_order_after_the_answer() -> None:
    session = connected()
    session.receive(text("auth", token="t"), START)
    session.receive(text("heartbeat"), START)
    session.receive(text("subscribe", events=["a"]), START)
    session.receive("nonsense", START)
    verify(session)
    effects = session.opened(generation=1, epoch="e", seq=10, recovered=False, at=START)
    assert [message["type"] for message in said(effects)] == ["authenticated", "heartbeat_ack", "error"]
    assert asked(effects) == [AddTypes(1, ("a",))]


@pytest.mark.parametrize("token", [{}, {"token": None}, {"token": ""}, {"token": "x" * 8_193}])
def test_a_missing_or_enormous_token_is_refused_unasked(token: dict[str, Any]) -> None:
    assert ends_with(connected().receive(text("auth", **token), START), "unauthenticated", 4401)


@pytest.mark.parametrize("kind", ["heartbeat", "subscribe", "unsubscribe", "ack"])
def test_a_message_before_any_auth_is_unauthenticated(kind: str) -> None:
    effects = connected().receive(text(kind, events=[], seq=0), START)
    assert ends_with(effects, "unauthenticated", 4401)


@pytest.mark.parametrize("fields", [{"user_id": "somebody"}, {"user_role": "admin"}])
def test_a_message_that_names_another_user_or_role_is_forbidden(fields: dict[str, str]) -> None:
    session = connected()
    session.receive(text("auth", token="t", **fields), START)
    assert ends_with(verify(session), "forbidden", 4403)


@pytest.mark.parametrize(
    ("error", "close_code"), [("unauthenticated", 4401), ("forbidden", 4403), ("try_again_later", 1013)]
)
def test_a_first_auth_that_is_refused_ends_the_connection(error: str, close_code: int) -> None:
    session = connected()
    session.receive(text("auth", token="t"), START)
    assert ends_with(session.refused(error, START), error, close_code)


def test_a_second_auth_renews_the_end_of_the_token_and_leaves_the_cursor() -> None:
    session = opened(seq=10)
    session.position = 12
    assert session.receive(text("auth", token="t2"), START) == [Verify("t2")]
    session.receive(text("heartbeat"), START)
    effects = verify(session, expires_in=2 * HOUR)
    first, second = said(effects)
    assert first["expires_at"] == "2026-01-27T12:30:00.000Z"
    assert (first["seq"], first["connection_id"]) == (12, "conn_1")
    assert "recovered" not in first
    assert second["type"] == "heartbeat_ack"
    assert asked(effects) == []
    assert session.state is State.OPEN


def test_a_second_auth_of_another_user_is_forbidden() -> None:
    session = opened()
    session.receive(text("auth", token="t2"), START)
    assert ends_with(verify(session, user_id="somebody"), "forbidden", 4403)


@pytest.mark.parametrize(("error", "close_code"), [("unauthenticated", 4401), ("forbidden", 4403)])
def test_a_refused_second_auth_closes_as_the_first_would(error: str, close_code: int) -> None:
    session = opened()
    session.receive(text("auth", token="t2"), START)
    assert ends_with(session.refused(error, START), error, close_code)


def test_a_second_auth_that_nobody_can_judge_leaves_the_connection() -> None:
    session = opened()
    session.receive(text("auth", token="t2"), START)
    session.receive(text("heartbeat"), START)
    effects = session.refused("try_again_later", START)
    assert [message.get("code") for message in said(effects)] == ["try_again_later", None]
    assert session.state is State.OPEN


def test_a_resume_in_a_second_auth_moves_nothing() -> None:
    session = opened(seq=10)
    session.receive(text("auth", token="t2", resume={"epoch": "e", "seq": 1, "events": ["a"]}), START)
    (answer,) = said(verify(session))
    assert answer["seq"] == 10
    assert "recovered" not in answer
    assert session.subscription.types == ()


@pytest.mark.parametrize(
    ("reason", "error", "close_code"),
    [
        (RevocationReason.REMOVED_OR_DISABLED, "forbidden", 4403),
        (RevocationReason.ROLE_CHANGED, "unauthenticated", 4401),
    ],
)
def test_a_revoked_session_ends_with_its_cursor(
    reason: RevocationReason, error: str, close_code: int
) -> None:
    effects = opened().revoked(reason)
    assert ends_with(effects, error, close_code)
    assert CloseCursor() in effects


# Resume.


def test_a_resume_opens_the_cursor_there_with_its_types() -> None:
    session = connected()
    session.receive(
        text("auth", token="t", resume={"epoch": "e", "seq": 5, "events": ["b", "a", "b"]}), START
    )
    assert verify(session) == [OpenCursor(1, None, "", ("b", "a"), Resume("e", 5), paused=False)]
    (answer,) = said(session.opened(generation=1, epoch="e", seq=5, recovered=True, at=START))
    assert (answer["seq"], answer["recovered"]) == (5, True)


def test_unknown_types_in_a_resume_bring_one_error_and_the_known_ones_are_subscribed() -> None:
    session = opening(resume={"epoch": "e", "seq": 5, "events": ["x", "a", "y", "x"]})
    effects = session.opened(generation=1, epoch="e", seq=5, recovered=True, at=START)
    answer, error = said(effects)
    assert answer["recovered"] is True
    assert (error["code"], error["events"]) == ("unknown_event_type", ["x", "y"])
    assert session.subscription.types == ("a",)


@pytest.mark.parametrize("resume", ["nonsense", 5, [], {}, {"epoch": 5, "seq": "x", "events": 7}])
def test_a_faulty_resume_is_answered_not_recovered(resume: object) -> None:
    session = connected()
    session.receive(text("auth", token="t", resume=resume), START)
    (command,) = verify(session)
    assert isinstance(command, OpenCursor)
    assert command.resume is None
    (answer,) = said(session.opened(generation=1, epoch="e", seq=9, recovered=False, at=START))
    assert (answer["seq"], answer["recovered"]) == (9, False)


def test_a_resume_of_too_many_types_keeps_as_many_as_one_may_have() -> None:
    names = [f"type_{number}" for number in range(205)]
    session = Session(Rules(Limits(), frozenset(names)), START)
    session.receive(text("auth", token="t", resume={"epoch": "e", "seq": 5, "events": names}), START)
    verify(session)
    effects = session.opened(generation=1, epoch="e", seq=5, recovered=True, at=START)
    assert said(effects)[1]["code"] == "too_many_subscriptions"
    assert session.subscription.types == tuple(names[:200])


# Subscriptions.


def test_a_subscription_is_answered_when_the_event_service_confirms_it() -> None:
    session = opened()
    assert session.receive(text("subscribe", events=["b", "a"]), START) == [AddTypes(1, ("b", "a"))]
    assert said(session.types_changed(1, START)) == [
        {"type": "subscription_updated", "subscribed_events": ["b", "a"]}
    ]
    assert session.receive(text("unsubscribe", events=["b"]), START) == [RemoveTypes(2, ("b",))]
    assert said(session.types_changed(2, START)) == [
        {"type": "subscription_updated", "subscribed_events": ["a"]}
    ]


def test_an_unknown_type_refuses_the_whole_message() -> None:
    session = opened()
    (error,) = said(session.receive(text("subscribe", events=["a", "x", "b", "y"]), START))
    assert (error["code"], error["events"]) == ("unknown_event_type", ["x", "y"])
    assert session.subscription.types == ()


def test_too_many_entries_refuse_the_whole_message() -> None:
    session = Session(Rules(Limits(max_subscriptions=2), frozenset("abc")), START)
    session.receive(text("auth", token="t"), START)
    verify(session)
    session.opened(generation=1, epoch="e", seq=0, recovered=False, at=START)
    session.receive(text("subscribe", events=["a", "*"]), START)
    (error,) = said(session.receive(text("subscribe", events=["b"]), START))
    assert error["code"] == "too_many_subscriptions"
    assert session.subscription.types == ("a", "*")


def test_the_star_is_an_entry_of_its_own() -> None:
    session = opened()
    session.receive(text("subscribe", events=["a", "*"]), START)
    assert said(session.types_changed(1, START))[0]["subscribed_events"] == ["a", "*"]
    session.receive(text("unsubscribe", events=["a"]), START)
    assert said(session.types_changed(2, START))[0]["subscribed_events"] == ["*"]
    session.receive(text("unsubscribe", events=["*"]), START)
    assert said(session.types_changed(3, START))[0]["subscribed_events"] == []


def test_unsubscribing_what_is_not_subscribed_is_no_error() -> None:
    session = opened()
    assert said(session.receive(text("unsubscribe", events=["a", "no_such_type"]), START)) == [
        {"type": "subscription_updated", "subscribed_events": []}
    ]


def test_a_client_that_asks_faster_than_it_is_answered_is_read_no_more_until_then() -> None:
    session = opened()
    for number in range(MAX_UNANSWERED):
        kind = "subscribe" if number % 2 == 0 else "unsubscribe"
        session.receive(text(kind, events=["a"]), START)
    assert session.holding
    assert session.receive(text("heartbeat"), START) == []
    # Held, it cannot be heard, so its silence does not count.
    assert session.due(later(200)) == []
    effects = session.types_changed(1, later(200))
    assert [message["type"] for message in said(effects)] == ["subscription_updated", "heartbeat_ack"]
    assert session.due(later(201)) == []
    assert ends_with(session.due(later(276)), "timeout", 4408)


# The fence.


def test_an_opened_of_an_older_generation_changes_nothing() -> None:
    session = opened(seq=10)
    session.clogged()
    session.drained()
    assert session.generation == 3
    assert session.opened(generation=2, epoch="e", seq=10, recovered=False, at=START) == []
    assert stands(session) == "REOPENING"
    assert reopened(session) == []
    assert stands(session) == "OPEN"


def test_a_second_opened_of_one_generation_changes_nothing() -> None:
    session = opened(seq=10)
    session.position = 12
    assert session.opened(generation=1, epoch="e", seq=10, recovered=False, at=START) == []
    assert (session.state, session.position) == (State.OPEN, 12)


def test_a_pause_stops_the_cursor_where_it_stands_and_its_end_goes_on_from_there() -> None:
    session = opened(seq=10)
    session.position = 12
    assert session.clogged() == [OpenCursor(2, 12, "e", (), None, paused=True)]
    session.advanced(99)
    assert session.position == 12
    assert reopened(session) == []
    assert session.state is State.PAUSED
    assert session.drained() == [OpenCursor(3, 12, "e", (), None, paused=False)]


def test_without_a_stream_nothing_is_sent_and_the_next_open_says_everything() -> None:
    session = opened(seq=10)
    session.detached()
    assert session.receive(text("subscribe", events=["a"]), START) == []
    assert session.receive(text("subscribe", events=["b"]), START) == []
    assert session.receive(text("unsubscribe", events=["a"]), START) == []
    assert said(session.receive(text("heartbeat"), START))[0]["seq"] == 10
    assert session.attach() == [OpenCursor(2, 10, "e", ("b",), None, paused=False)]
    assert [message["subscribed_events"] for message in said(reopened(session))] == [["a"], ["a", "b"], ["b"]]


def test_a_change_after_the_open_waits_for_its_own_confirmation() -> None:
    session = opened(seq=10)
    session.detached()
    session.receive(text("subscribe", events=["a"]), START)
    session.attach()
    assert session.receive(text("subscribe", events=["b"]), START) == [AddTypes(2, ("b",))]
    assert [message["subscribed_events"] for message in said(reopened(session))] == [["a"]]
    assert [message["subscribed_events"] for message in said(session.types_changed(2, START))] == [["a", "b"]]


def test_a_change_confirmed_by_the_stream_is_not_answered_again_by_the_open_that_carried_it() -> None:
    session = opened(seq=10)
    session.receive(text("subscribe", events=["a"]), START)
    session.clogged()
    assert len(said(session.types_changed(1, START))) == 1
    assert reopened(session) == []


def test_a_connection_that_was_not_told_yet_opens_again_as_for_the_first_time() -> None:
    session = opening(resume={"epoch": "e", "seq": 5, "events": ["a"]})
    session.detached()
    assert session.attach() == [OpenCursor(2, None, "", ("a",), Resume("e", 5), paused=False)]
    assert session.opened(generation=1, epoch="e", seq=5, recovered=True, at=START) == []
    (answer,) = said(session.opened(generation=2, epoch="e", seq=5, recovered=True, at=START))
    assert answer["recovered"] is True


@pytest.mark.parametrize(("seq", "epoch"), [(11, "e"), (9, "e"), (10, "another")])
def test_a_cursor_that_stands_elsewhere_than_asked_ends_the_session(seq: int, epoch: str) -> None:
    session = opened(seq=10)
    session.detached()
    session.attach()
    effects = reopened(session, seq=seq, epoch=epoch)
    assert ends_with(effects, "server_restarting", 1012)


def test_a_paused_session_stays_paused_on_a_new_stream() -> None:
    session = opened(seq=10)
    session.clogged()
    session.detached()
    assert session.state is State.PAUSED
    assert session.attach() == [OpenCursor(3, 10, "e", (), None, paused=True)]
    session.detached()
    assert session.drained() == []
    assert session.attach() == [OpenCursor(4, 10, "e", (), None, paused=False)]


@pytest.mark.parametrize(
    ("reason", "error", "close_code"),
    [
        (DisconnectReason.TOO_MANY_CONNECTIONS, "rate_limited", 4429),
        (DisconnectReason.RESUME_LOST, "server_restarting", 1012),
        (DisconnectReason.UNAVAILABLE, "try_again_later", 1013),
    ],
)
def test_a_disconnect_ends_the_session_it_concerns(
    reason: DisconnectReason, error: str, close_code: int
) -> None:
    session = opening()
    assert session.disconnected(0, reason) == []
    effects = session.disconnected(1, reason)
    assert ends_with(effects, error, close_code)
    # The event-service ended the cursor itself.
    assert CloseCursor() not in effects


# Positions.


def test_a_heartbeat_is_answered_with_the_time_and_the_position() -> None:
    session = opened(seq=10)
    session.position = 12
    assert said(session.receive(text("heartbeat", timestamp="whenever"), later(1))) == [
        {"type": "heartbeat_ack", "timestamp": "2026-01-27T10:30:01.000Z", "seq": 12}
    ]


def test_a_position_rises_past_events_of_other_types() -> None:
    session = opened(seq=10)
    session.advanced(15)
    session.advanced(14)
    assert said(session.receive(text("heartbeat"), START))[0]["seq"] == 15


def test_what_is_acknowledged_is_forwarded_once_and_never_beyond_what_was_written() -> None:
    session = opened(seq=10)
    assert session.receive(text("ack", seq=7), START) == [Acknowledge(7)]
    assert session.receive(text("ack", seq=7), START) == []
    assert session.receive(text("ack", seq=5), START) == []
    assert asked(session.receive(text("heartbeat", ack=99), START)) == [Acknowledge(10)]


def test_an_ack_while_the_event_service_is_away_counts_the_next_time() -> None:
    session = opened(seq=10)
    session.detached()
    assert session.receive(text("ack", seq=7), START) == []
    session.attach()
    assert session.receive(text("ack", seq=7), START) == [Acknowledge(7)]


# Limits.


def test_without_auth_a_connection_ends_after_ten_seconds() -> None:
    session = connected()
    assert session.next_deadline(START) == START.monotonic + 10
    assert session.due(later(9.9)) == []
    assert ends_with(session.due(later(10)), "timeout", 4408)


def test_a_new_connection_waits_three_seconds_for_a_stream() -> None:
    session = connected()
    session.receive(text("auth", token="t"), START)
    assert verify(session, attached=False) == []
    assert session.next_deadline(START) == START.monotonic + 3
    assert session.due(later(2.9)) == []
    assert ends_with(session.due(later(3)), "try_again_later", 1013)


def test_a_new_connection_waits_longer_where_a_stream_is_there() -> None:
    session = opening()
    assert session.due(later(9.9)) == []
    assert ends_with(session.due(later(10)), "try_again_later", 1013)


def test_silence_of_75_seconds_ends_a_connection() -> None:
    session = opened()
    session.last_heard = START.monotonic + 20
    assert session.next_deadline(later(20)) == START.monotonic + 95
    assert session.due(later(94.9)) == []
    assert ends_with(session.due(later(95)), "timeout", 4408)


def test_a_token_that_runs_out_ends_its_connection() -> None:
    session = connected()
    session.receive(text("auth", token="t"), START)
    verify(session, expires_in=30)
    session.opened(generation=1, epoch="e", seq=0, recovered=False, at=START)
    assert session.next_deadline(START) == START.monotonic + 30
    assert session.due(later(29.9)) == []
    assert ends_with(session.due(later(30)), "token_expired", 4402)


def test_a_token_that_runs_out_while_the_next_is_verified_does_not() -> None:
    session = connected()
    session.receive(text("auth", token="t"), START)
    verify(session, expires_in=30)
    session.opened(generation=1, epoch="e", seq=0, recovered=False, at=START)
    session.receive(text("auth", token="t2"), later(29))
    assert session.due(later(31)) == []
    verify(session, later(31), expires_in=HOUR)
    assert session.due(later(32)) == []


def test_no_answer_to_new_auths_keeps_a_session_5_seconds_past_its_tokens_end() -> None:
    # With an auth-service that hangs, each held `auth` once bought the session three seconds more.
    session = connected()
    session.receive(text("auth", token="t"), START)
    verify(session, expires_in=30)
    session.opened(generation=1, epoch="e", seq=0, recovered=False, at=START)
    for number in range(20):
        session.receive(text("auth", token=f"t{number}"), later(29))
    assert session.due(later(32)) == []
    session.refused("try_again_later", later(32))
    assert session.next_deadline(later(32)) == START.monotonic + 33
    assert ends_with(session.due(later(33)), "token_expired", 4402)


def test_the_third_bad_message_within_a_minute_ends_the_connection() -> None:
    session = opened()
    assert said(session.receive("nonsense", START))[0]["code"] == "bad_message"
    assert said(session.receive('{"type":"hello"}', later(1)))[0]["code"] == "bad_message"
    assert said(session.receive("[]", later(61)))[0]["code"] == "bad_message"
    assert ends_with(session.receive("5", later(62)), "bad_message", 4400) is False
    assert ends_with(session.receive("5", later(63)), "bad_message", 4400)


def test_bad_messages_before_auth_count_too() -> None:
    session = connected()
    session.receive("nonsense", START)
    session.receive("nonsense", START)
    assert ends_with(session.receive("nonsense", START), "bad_message", 4400)


def test_the_first_message_too_many_is_refused_and_the_second_ends_the_connection() -> None:
    session = opened()
    for _ in range(199):
        assert said(session.receive(text("heartbeat"), START))[0]["type"] == "heartbeat_ack"
    (error,) = said(session.receive(text("subscribe", events=["a"]), START))
    assert error["code"] == "rate_limited"
    assert session.subscription.types == ()
    assert ends_with(session.receive(text("heartbeat"), START), "rate_limited", 4429)


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
