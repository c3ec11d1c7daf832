"""The Python client's half of what it has in common with the edge (tests/support/shared_protocol.py)."""

from __future__ import annotations

import random

import pytest

from harkara_client import Backoff, Listener, StoppedError
from harkara_client.closing import AFTER_CLOSE
from harkara_client.tokens import Token
from tests.support.shared_protocol import SharedClose, load_shared_protocol

SHARED = load_shared_protocol()
LASTED = 20.0


class Half(random.Random):
    """Chance is a half."""

    def random(self) -> float:
        return 0.5


def wait_after(code: int, token: Token) -> float | None:
    """How long a listener whose connection had lasted waits; None where it comes back no more."""
    listener = Listener("ws://127.0.0.1:1", token=token, backoff=Backoff(rng=Half()))
    try:
        return listener._after(code, ("", ""), "token_1", LASTED)
    except StoppedError:
        return None


def test_the_closes_that_a_client_knows_are_those_of_the_server() -> None:
    assert {str(code): after.name.lower() for code, after in AFTER_CLOSE.items()} == {
        code: close.client for code, close in SHARED.closes.items()
    }


@pytest.mark.parametrize(("code", "close"), SHARED.closes.items())
def test_after_a_close_a_connection_that_had_lasted_is_followed_as_the_table_says(
    code: str, close: SharedClose
) -> None:
    reaction = SHARED.reactions[close.client]
    renewed = wait_after(int(code), lambda: "token_2")
    assert renewed == (reaction.waits_seconds if reaction.comes_back else None)
    # A token that is one for good cannot be replaced.
    for_good = wait_after(int(code), "token_1")
    assert for_good == (None if reaction.new_token else renewed)
