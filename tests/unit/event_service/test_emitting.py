"""`Emitting`: what is stored, what is only handed on, and the answers in order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from harkara_catalogue import Catalogue
from harkara_event_service.adapters.memory_log import MemoryLog
from harkara_event_service.domain.acceptance import Draft, Emitter, Fault
from harkara_event_service.domain.event import Announced
from harkara_event_service.ports import Chain, Failure, Stored
from harkara_event_service.service import Emitting, HandedOn
from tests.support.events import fresh_event_id

EMITTER = Emitter("maps", frozenset({"eta_updated"}))


class Bench:
    """`Emitting` over a log in memory; what it hands on is written down."""

    def __init__(self) -> None:
        self.log = MemoryLog(lambda _: None, clock=lambda: datetime.now(UTC))
        self.handed_on: list[Announced] = []
        self.emitting = Emitting(
            self.log,
            Catalogue.reference(),
            lambda: datetime.now(UTC),
            fresh_event_id,
            is_swamped=lambda: False,
            hand_on=self.handed_on.extend,
        )

    async def store(self, *drafts: Draft, chain: Chain | None = None) -> list[object]:
        deadline = asyncio.get_running_loop().time() + 5
        judged = self.emitting.judge(EMITTER, drafts)
        answers = await self.emitting.store(judged, deadline=deadline, chain=chain)
        return [answer.outcome for answer in answers]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def draft(user_id: str = "ada", **fields: object) -> Draft:
    made = Draft(user_id=user_id, event_type="eta_updated", data="{}")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


async def test_an_ephemeral_event_is_handed_on_and_not_stored(bench: Bench) -> None:
    (outcome,) = await bench.store(draft(is_ephemeral=True, level="low", collapse_key="eta"))

    assert isinstance(outcome, HandedOn)
    (told,) = bench.handed_on
    assert (told.user_id, told.seq, told.collapse_key) == ("ada", 0, "eta")
    assert b'"seq"' not in told.text
    assert (await bench.log.heads(["ada"])).by_user["ada"].last_seq == 0


async def test_answers_keep_the_order_of_a_mixture(bench: Bench) -> None:
    outcomes = await bench.store(
        draft(), draft(is_ephemeral=True), draft("no such form!"), draft(), draft(is_ephemeral=True)
    )

    assert [type(outcome) for outcome in outcomes] == [Stored, HandedOn, Fault, Stored, HandedOn]
    assert [outcome.seq for outcome in outcomes if isinstance(outcome, Stored)] == [1, 2]
    assert len(bench.handed_on) == 2


async def test_an_ephemeral_event_waits_for_no_log(bench: Bench) -> None:
    bench.log.is_available = False

    outcomes = await bench.store(draft(), draft(is_ephemeral=True))

    assert outcomes[0] is Failure.UNAVAILABLE
    assert isinstance(outcomes[1], HandedOn)


async def test_the_same_ephemeral_event_is_handed_on_again(bench: Bench) -> None:
    again = draft(is_ephemeral=True, event_id=fresh_event_id())

    await bench.store(again, again)

    assert len(bench.handed_on) == 2


async def test_after_a_failure_of_its_chain_nothing_is_handed_on(bench: Bench) -> None:
    chain = Chain()
    chain.broken = True

    assert await bench.store(draft(is_ephemeral=True), chain=chain) == [Failure.BROKEN_CHAIN]
    assert bench.handed_on == []
