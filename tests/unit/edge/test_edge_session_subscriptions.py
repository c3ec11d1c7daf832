"""The session state machine: subscriptions."""

from __future__ import annotations

from harkara_edge.domain.commands import AddTypes, RemoveTypes
from harkara_edge.domain.limits import MAX_UNANSWERED, Limits
from harkara_edge.domain.session import Rules, Session
from tests.support.edge_sessions import START, ends_with, later, opened, said, text, verify


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


def test_too_many_entries_refuse_the_whole_message_and_name_what_it_would_have_added() -> None:
    session = Session(Rules(Limits(max_subscriptions=2), frozenset("abc")), START)
    session.receive(text("auth", token="t"), START)
    verify(session)
    session.opened(generation=1, epoch="e", seq=0, recovered=False, at=START)
    session.receive(text("subscribe", events=["a", "*"]), START)
    (error,) = said(session.receive(text("subscribe", events=["a", "b", "c", "b"]), START))
    assert (error["code"], error["events"]) == ("too_many_subscriptions", ["b", "c"])
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
