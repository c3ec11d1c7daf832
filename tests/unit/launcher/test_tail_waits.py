"""How long `tail` waits before it connects again."""

import random

import pytest

from harkara_cli.tail import _Losses


def test_a_wait_is_chance_up_to_a_bound_that_doubles_as_the_protocol_tells_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    monkeypatch.setattr(random, "uniform", uniform)
    losses = _Losses()
    for _ in range(8):
        losses.next_wait()
    losses.forget()
    losses.next_wait()
    assert asked == [(0, bound) for bound in (1, 2, 4, 8, 16, 32, 60, 60, 1)]
