"""Which commits a replica has heard of, and which it must read."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from harkara_event_service.domain.batches import WRITERS, BatchId, CommitBatch, HeardBatches

NOTHING = [0] * WRITERS


def at(writer: int, number: int) -> CommitBatch:
    return CommitBatch(BatchId(writer, number), ["user_1"], [number])


def after(writer: int, number: int) -> list[int]:
    return [number if each == writer else 0 for each in range(WRITERS)]


def test_what_was_committed_before_the_start_is_not_asked_for() -> None:
    heard = HeardBatches(after(3, 17))

    assert heard.after() == after(3, 17)


def test_hints_in_order_leave_nothing_to_read() -> None:
    heard = HeardBatches(NOTHING)

    assert [heard.hear(BatchId(5, number)) for number in (1, 2, 3)] == [0, 0, 0]

    assert heard.after() == after(5, 3)
    assert heard.take([]) == ([], False)


def test_a_lost_hint_is_asked_for_and_what_was_heard_since_is_no_news() -> None:
    heard = HeardBatches(NOTHING)
    heard.hear(BatchId(5, 1))

    assert heard.hear(BatchId(5, 4)) == 2

    assert heard.after() == after(5, 1)
    assert heard.take([at(5, 2), at(5, 3), at(5, 4)]) == ([at(5, 2), at(5, 3)], False)
    assert heard.after() == after(5, 4)


def test_a_hint_that_comes_late_fills_its_gap() -> None:
    heard = HeardBatches(NOTHING)
    assert heard.hear(BatchId(5, 3)) == 2

    assert heard.hear(BatchId(5, 1)) == 0
    assert heard.after() == after(5, 1)
    assert heard.hear(BatchId(5, 2)) == 0
    assert heard.after() == after(5, 3)


def test_a_hint_that_comes_twice_changes_nothing() -> None:
    heard = HeardBatches(NOTHING)

    for number in (1, 1, 2, 1):
        assert heard.hear(BatchId(5, number)) == 0

    assert heard.after() == after(5, 2)


def test_a_lost_last_hint_is_found() -> None:
    heard = HeardBatches(after(5, 7))

    assert heard.take([at(5, 8)]) == ([at(5, 8)], False)
    assert heard.after() == after(5, 8)


def test_a_new_writer_is_found_from_its_first_commit() -> None:
    heard = HeardBatches(NOTHING)

    assert heard.take([at(63, 1), at(63, 2)]) == ([at(63, 1), at(63, 2)], False)


def test_rows_that_have_gone_are_told_once() -> None:
    heard = HeardBatches(after(5, 7))

    assert heard.take([at(5, 400), at(5, 401)]) == ([at(5, 400), at(5, 401)], True)
    assert heard.take([at(5, 402)]) == ([at(5, 402)], False)


def test_rows_that_have_gone_below_a_hint_are_told() -> None:
    heard = HeardBatches(after(5, 7))
    heard.hear(BatchId(5, 400))

    assert heard.take([at(5, 399), at(5, 400)]) == ([at(5, 399)], True)
    assert heard.after() == after(5, 400)


def test_rows_that_have_gone_though_all_that_is_left_was_heard_are_told() -> None:
    heard = HeardBatches(after(5, 7))
    heard.hear(BatchId(5, 400))

    assert heard.take([at(5, 400)]) == ([], True)
    assert heard.after() == after(5, 400)


def test_a_hint_that_lies_far_ahead_hides_no_commit() -> None:
    """Of a replica that errs, or of nobody: the numbers before it are asked for all the same."""
    heard = HeardBatches(NOTHING)
    heard.hear(BatchId(5, 10**15))

    assert heard.take([at(5, 1), at(5, 2)]) == ([at(5, 1), at(5, 2)], False)
    assert heard.hear(BatchId(5, 3)) == 0
    assert heard.take([at(5, 4)]) == ([at(5, 4)], False)


def test_thousands_of_gaps_take_no_more_than_their_room() -> None:
    heard = HeardBatches(NOTHING)
    for number in range(2, 10_001, 2):
        heard.hear(BatchId(5, number))

    assert len(heard._writers[5].missing) <= 1_000
    news, is_incomplete = heard.take([at(5, number) for number in range(1, 10_001)])
    assert not is_incomplete
    assert {batch.id.number for batch in news} >= set(range(1, 10_001, 2))
    assert heard.after() == after(5, 10_000)


@given(
    start=st.integers(0, 5),
    count=st.integers(1, 40),
    lost=st.sets(st.integers(1, 45)),
    seed=st.integers(),
    reads=st.lists(st.integers(1, 45), max_size=6),
)
def test_whatever_is_lost_doubled_or_late_every_commit_is_known_in_the_end(
    start: int, count: int, lost: set[int], seed: int, reads: list[int]
) -> None:
    """Readings come in between, each of what is committed up to then."""
    chance = random.Random(seed)  # noqa: S311 - to choose by.
    heard = HeardBatches([start] + [0] * (WRITERS - 1))
    everything = range(start + 1, start + count + 1)
    hints = [number for number in everything if number not in lost]
    hints += chance.sample(hints, len(hints) // 3)
    # Nearly in order, as from several writers' connections.
    hints.sort(key=lambda number: number + chance.uniform(0, 4))
    known: list[int] = []
    steps = [("hint", number) for number in hints] + [("read", number) for number in reads]
    steps.sort(key=lambda step: step[1])
    for kind, number in steps:
        if kind == "hint":
            heard.hear(BatchId(0, number))
            known.append(number)
        else:
            known += read(heard, range(start + 1, min(number, start + count) + 1))

    known += read(heard, everything)

    assert set(known) == set(everything)
    assert heard.after()[0] == start + count
    assert read(heard, everything) == []


def read(heard: HeardBatches, committed: range) -> list[int]:
    lower = heard.after()[0]
    news, is_incomplete = heard.take([at(0, number) for number in committed if number > lower])
    assert not is_incomplete
    return [batch.id.number for batch in news]
