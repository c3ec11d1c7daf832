"""The session state machine: authentication, and `resume`."""

from __future__ import annotations

from typing import Any

import pytest

from harkara_edge.domain.commands import AddTypes, CloseCursor, OpenCursor, Resume, RevocationReason, Verify
from harkara_edge.domain.limits import Limits
from harkara_edge.domain.session import Rules, Session
from harkara_edge.domain.states import State
from tests.support.edge_sessions import (
    HOUR,
    START,
    asked,
    connected,
    ends_with,
    opened,
    opening,
    said,
    text,
    verify,
)


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


@pytest.mark.parametrize("resume", [{"events": ["a"]}, {"events": ["a"], "seq": None, "epoch": "e"}])
def test_a_resume_without_seq_goes_on_where_the_device_is(resume: object) -> None:
    session = connected()
    session.receive(text("auth", token="t", device_id="phone-1_A", resume=resume), START)

    assert verify(session) == [
        OpenCursor(1, None, "", ("a",), None, paused=False, device_id="phone-1_A", from_device=True)
    ]
    (answer,) = said(session.opened(generation=1, epoch="e", seq=7, recovered=True, at=START))
    assert (answer["seq"], answer["recovered"]) == (7, True)


def test_a_resume_with_seq_goes_on_there_whatever_the_device() -> None:
    session = connected()
    resume = {"epoch": "e", "seq": 5, "events": ["a"]}
    session.receive(text("auth", token="t", device_id="phone", resume=resume), START)

    assert verify(session) == [
        OpenCursor(1, None, "", ("a",), Resume("e", 5), paused=False, device_id="phone")
    ]


def test_a_faulty_seq_is_not_the_devices_place() -> None:
    session = connected()
    session.receive(text("auth", token="t", device_id="phone", resume={"epoch": "e", "seq": "5"}), START)

    assert verify(session) == [OpenCursor(1, None, "", (), None, paused=False, device_id="phone")]


def test_a_device_without_resume_goes_on_nowhere() -> None:
    session = connected()
    session.receive(text("auth", token="t", device_id="phone"), START)

    assert verify(session) == [OpenCursor(1, None, "", (), None, paused=False, device_id="phone")]
    (answer,) = said(session.opened(generation=1, epoch="e", seq=7, recovered=False, at=START))
    assert "recovered" not in answer


@pytest.mark.parametrize("device_id", ["", "a b", "ü", "x" * 65, "phone\n", 7, [], {"a": 1}, True, None])
def test_a_faulty_device_is_none_and_a_resume_that_needs_it_is_not_recovered(device_id: object) -> None:
    session = connected()
    session.receive(text("auth", token="t", device_id=device_id, resume={"events": ["a"]}), START)

    assert verify(session) == [OpenCursor(1, None, "", ("a",), None, paused=False)]
    (answer,) = said(session.opened(generation=1, epoch="e", seq=7, recovered=False, at=START))
    assert answer["recovered"] is False


def test_a_session_that_waits_for_its_first_cursor_asks_the_next_stream_for_the_devices_place() -> None:
    session = opening(device_id="phone", resume={"events": ["a"]})
    session.detached()

    (again,) = session.attach()
    assert isinstance(again, OpenCursor)
    assert again.from_device


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
