"""The plan of a random mixture of faults depends on the seed, and on nothing else."""

from __future__ import annotations

import random

from tests.support.faults.mesh import KINDS
from tests.support.faults.mixture import ACTIONS, Step, plan


def drawn(seed: int, seconds: float = 90) -> list[Step]:
    return plan(random.Random(seed), KINDS, 100, seconds)  # noqa: S311


def test_a_seed_draws_the_same_faults() -> None:
    assert drawn(1) == drawn(1) != drawn(2)


def test_a_plan_fills_its_time_and_names_every_kind_of_fault_sooner_or_later() -> None:
    assert 90 <= sum(step.seconds + step.pause for step in drawn(1)) < 100
    assert {step.action for step in drawn(1, 1_000)} == set(ACTIONS)


def test_each_step_says_in_words_what_is_done() -> None:
    assert str(Step("freeze", 2.0, 1.0, "edge", 1)) == "freeze edge 2 for 2.0 s, then 1.0 s"
    assert str(Step("cut", 0.0, 1.0, users=(1, 2))) == "cut 2 users, then 1.0 s"
