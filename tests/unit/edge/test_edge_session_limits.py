"""The session state machine: deadlines, expiry, and rates."""

from __future__ import annotations

from tests.support.edge_sessions import (
    HOUR,
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
