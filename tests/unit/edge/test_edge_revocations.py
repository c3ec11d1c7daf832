"""What is remembered of revocations."""

from __future__ import annotations

from harkara_edge.domain.commands import Principal, RevocationReason
from harkara_edge.domain.revocations import Revocation, RevocationMemory

DISABLED = RevocationReason.REMOVED_OR_DISABLED


def answer(version: int, user_id: str = "u") -> Principal:
    return Principal(user_id, "customer", 0.0, version)


def test_before_the_watch_has_said_anything_every_answer_is_doubtful() -> None:
    assert RevocationMemory().is_doubtful(answer(99))


def test_an_answer_older_than_the_watchs_beginning_is_doubtful() -> None:
    memory = RevocationMemory()
    memory.learn(10, [])
    assert memory.is_doubtful(answer(9))
    assert not memory.is_doubtful(answer(10))


def test_an_answer_that_does_not_know_of_its_users_change_is_doubtful() -> None:
    memory = RevocationMemory()
    memory.learn(10, [])
    memory.learn(11, [Revocation("u", DISABLED, 11)])
    assert memory.is_doubtful(answer(10))
    assert not memory.is_doubtful(answer(11))
    assert not memory.is_doubtful(answer(10, "somebody_else"))


def test_what_is_forgotten_makes_answers_of_its_age_doubtful() -> None:
    memory = RevocationMemory(capacity=2)
    memory.learn(10, [])
    for version, user_id in enumerate("abc", 11):
        memory.learn(version, [Revocation(user_id, DISABLED, version)])
    assert memory.is_doubtful(answer(10, "z"))
    assert not memory.is_doubtful(answer(11, "z"))
    assert memory.is_doubtful(answer(11, "b"))


def test_a_user_that_changes_again_counts_as_new() -> None:
    memory = RevocationMemory(capacity=2)
    memory.learn(10, [])
    for version, user_id in enumerate("abac", 11):
        memory.learn(version, [Revocation(user_id, DISABLED, version)])
    assert memory.is_doubtful(answer(12, "a"))
    assert not memory.is_doubtful(answer(13, "a"))


def test_after_a_restore_of_the_users_history_begins_anew() -> None:
    memory = RevocationMemory()
    assert not memory.learn(500, [])
    assert not memory.learn(501, [Revocation("u", DISABLED, 501)])
    assert memory.learn(300, [])
    assert not memory.is_doubtful(answer(300))
    assert memory.is_doubtful(answer(299))
    assert not memory.learn(301, [Revocation("u", DISABLED, 301)])
    assert memory.is_doubtful(answer(300))
