"""The session state machine: generations, pauses, lost streams, and positions."""

from __future__ import annotations

import pytest

from harkara_edge.domain.commands import (
    Acknowledge,
    AddTypes,
    CloseCursor,
    DisconnectReason,
    OpenCursor,
    Resume,
)
from harkara_edge.domain.states import State
from tests.support.edge_sessions import (
    START,
    asked,
    ends_with,
    later,
    opened,
    opening,
    reopened,
    said,
    stands,
    text,
)


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
    session = opened(seq=10, device_id="phone")
    assert session.receive(text("ack", seq=7), START) == [Acknowledge(7)]
    assert session.receive(text("ack", seq=7), START) == []
    assert session.receive(text("ack", seq=5), START) == []
    assert asked(session.receive(text("heartbeat", ack=99), START)) == [Acknowledge(10)]


@pytest.mark.parametrize("device_id", [None, "", "a b", "x" * 65, 7])
def test_without_a_device_an_ack_is_taken_and_nobody_is_told(device_id: object) -> None:
    session = opened(seq=10, device_id=device_id)

    assert session.receive(text("ack", seq=7), START) == []
    assert asked(session.receive(text("heartbeat", ack=7), START)) == []


def test_an_ack_while_the_event_service_is_away_is_told_when_it_is_back() -> None:
    session = opened(seq=10, device_id="phone")
    session.detached()
    assert session.receive(text("ack", seq=7), START) == []

    session.attach()
    assert asked(reopened(session)) == [Acknowledge(7)]


def test_what_was_told_on_a_lost_stream_is_told_again() -> None:
    """An event-service that was killed had not written it yet."""
    session = opened(seq=10, device_id="phone")
    session.receive(text("ack", seq=7), START)
    session.detached()

    session.attach()
    assert asked(reopened(session)) == [Acknowledge(7)]


def test_every_cursor_of_a_session_names_its_device() -> None:
    session = opened(seq=10, device_id="phone")
    session.detached()

    assert session.attach() == [OpenCursor(2, 10, "e", (), None, paused=False, device_id="phone")]
