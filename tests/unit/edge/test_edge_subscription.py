"""A subscription and its changes under way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harkara_edge.domain.commands import AddTypes, RemoveTypes
from harkara_edge.domain.subscription import Subscription, Types


def test_a_change_is_answered_when_it_is_in_force_with_what_was_wanted_then() -> None:
    subscription = Subscription()
    assert subscription.add(["a", "b"]) == (AddTypes(1, ("a", "b")), [])
    assert subscription.remove(["a"]) == (RemoveTypes(2, ("a",)), [])
    assert subscription.in_force(1) == [("a", "b")]
    assert subscription.in_force(2) == [("b",)]
    assert subscription.unanswered == 0


def test_types_keep_the_order_first_asked_and_only_new_ones_are_sent() -> None:
    subscription = Subscription()
    subscription.add(["b", "a", "b"])
    subscription.in_force(1)
    assert subscription.add(["c", "a"]) == (AddTypes(2, ("c",)), [])
    assert subscription.types == ("b", "a", "c")


def test_a_change_of_nothing_is_answered_at_once_where_nothing_waits() -> None:
    subscription = Subscription()
    assert subscription.add([]) == (None, [()])
    assert subscription.remove(["a"]) == (None, [()])


def test_a_change_of_nothing_waits_behind_one_that_waits() -> None:
    subscription = Subscription()
    subscription.add(["a"])
    assert subscription.add(["a"]) == (None, [])
    assert subscription.in_force(1) == [("a",), ("a",)]


def test_a_cursor_that_stands_answers_what_it_carried_and_nothing_later() -> None:
    subscription = Subscription()
    subscription.add(["a"])
    assert subscription.carry() == ("a",)
    subscription.add(["b"])
    assert subscription.carried() == [("a",)]
    assert subscription.unanswered == 1
    assert subscription.in_force(2) == [("a", "b")]


_types = st.lists(st.sampled_from("abcde*"), max_size=3)
_steps = st.lists(
    st.tuples(st.just("add"), _types)
    | st.tuples(st.just("remove"), _types)
    | st.tuples(st.just("confirm"), st.just([]))
    | st.tuples(st.just("reopen"), st.just([])),
    max_size=30,
)


@given(_steps)
def test_every_question_is_answered_once_in_order_with_its_own_result(
    steps: list[tuple[str, list[str]]],
) -> None:
    subscription = Subscription()
    wanted: dict[str, None] = {}
    expected: list[Types] = []
    answers: list[Types] = []
    sent: list[int] = []
    for step, types in steps:
        if step == "confirm":
            if sent:
                answers += subscription.in_force(sent.pop(0))
            continue
        if step == "reopen":
            assert subscription.carry() == tuple(wanted)
            sent.clear()
            answers += subscription.carried()
            continue
        if step == "add":
            wanted.update(dict.fromkeys(types))
            command, at_once = subscription.add(types)
        else:
            for name in types:
                wanted.pop(name, None)
            command, at_once = subscription.remove(types)  # type: ignore[assignment]
        answers += at_once
        expected.append(tuple(wanted))
        if command is not None:
            sent.append(command.change)
        assert subscription.types == tuple(wanted)
    for change in sent:
        answers += subscription.in_force(change)
    assert answers == expected
    assert subscription.unanswered == 0
