"""The order in which a worker tries the event-services."""

from __future__ import annotations

import itertools

from harkara_edge.domain.targets import AVOID_SECONDS, Targets

NAMES = ("a:1", "b:1", "c:1")


def no_chance() -> float:
    return 0.0


def test_workers_side_by_side_begin_with_different_ones() -> None:
    first = [Targets(NAMES, f"edge-{number}").in_order(0, no_chance)[0] for number in range(1, 7)]
    assert first == [*NAMES, *NAMES]


def test_a_worker_without_a_number_begins_with_one_of_its_own() -> None:
    begins = {Targets(NAMES, name).in_order(0, no_chance)[0] for name in ("north", "south", "east", "west")}
    assert len(begins) > 1
    again = [Targets(NAMES, "north").in_order(0, no_chance)[0] for _ in range(2)]
    assert again[0] == again[1]


def test_each_is_tried_in_every_round() -> None:
    targets = Targets(NAMES, "edge-2")
    assert sorted(targets.in_order(0, no_chance)) == sorted(NAMES)
    targets.leave("a:1", 0)
    assert sorted(targets.in_order(0, no_chance)) == sorted(NAMES)


def test_one_that_was_left_is_the_last_choice_for_a_few_seconds() -> None:
    targets = Targets(NAMES, "edge-1")
    targets.leave("a:1", 10)
    assert targets.in_order(10, no_chance)[-1] == "a:1"
    assert targets.in_order(10 + AVOID_SECONDS - 0.1, no_chance)[-1] == "a:1"
    assert targets.in_order(10 + AVOID_SECONDS, no_chance)[0] == "a:1"


def test_of_those_that_were_left_the_one_left_longest_ago_comes_first() -> None:
    targets = Targets(NAMES, "edge-1")
    for when, name in enumerate(("b:1", "c:1", "a:1")):
        targets.leave(name, when)
    assert targets.in_order(3, no_chance) == ["b:1", "c:1", "a:1"]


def test_workers_that_lose_the_same_one_go_to_different_ones() -> None:
    gone_to = set()
    for number in range(8):
        chances = itertools.cycle((number % 2, 0.5, 1 - number % 2))
        targets = Targets(NAMES, "edge-1")
        targets.leave("a:1", 0)
        gone_to.add(targets.in_order(1, lambda: next(chances))[0])  # noqa: B023 - used at once.
    assert gone_to == {"b:1", "c:1"}
