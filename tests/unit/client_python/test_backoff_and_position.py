from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_client import Backoff, Position


@given(st.integers())
def test_waits_are_chance_below_a_bound_that_doubles_up_to_the_longest(seed: int) -> None:
    backoff = Backoff(1, 60, random.Random(seed))  # noqa: S311 - no secret.
    for bound in (1, 2, 4, 8, 16, 32, 60, 60):
        assert 0 <= backoff.next_wait() <= bound
    backoff.reset()
    assert backoff.next_wait() <= 1


@given(st.text(min_size=1), st.integers(0, 2**63))
def test_a_position_is_read_back_from_its_text(epoch: str, seq: int) -> None:
    assert Position.parse(str(Position(epoch, seq))) == Position(epoch, seq)


@pytest.mark.parametrize("text", ["", "1", "@e", "1@", "-1@e", "x@e"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no position"):
        Position.parse(text)
