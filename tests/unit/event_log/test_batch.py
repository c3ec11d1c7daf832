"""Who waits for which event, and what several events with one id mean to each other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from harkara_event_service.adapters.batch import Batch, Call, Share
from harkara_event_service.domain.event import Event, NumberedEvent
from harkara_event_service.ports import Chain, Failure, Refusal, Stored
from tests.support.events import make_event, make_events, stored_form, told

LATER = 100.0
NOW = 50.0


def call_of(
    events: Sequence[Event], *, deadline: float = LATER, chain: Chain | None = None
) -> tuple[Call, Share]:
    call = Call(len(events), deadline, chain, asyncio.get_running_loop().create_future())
    return call, call.add(range(len(events)), events, (), 0)


def changed(event: Event) -> Event:
    return msgspec.structs.replace(event, data='{"other":1}')


def seqs_of(events: Sequence[Event]) -> dict[str, int]:
    return {event.event_id: seq for seq, event in enumerate(events, 1)}


async def test_a_call_is_answered_when_its_last_share_is_done() -> None:
    events = make_events(4)
    call = Call(4, LATER, None, asyncio.get_running_loop().create_future())
    shares = [call.add([0, 2], events[0::2], (), 0), call.add([1, 3], events[1::2], (), 0)]

    for share in shares:
        assert not call.answered.done()
        batch = Batch([share])
        batch.stored(batch.firsts(), seqs_of(share.events))
        batch.finish()

    assert call.answered.done()
    assert [outcome.seq for outcome in call.outcomes if isinstance(outcome, Stored)] == [1, 1, 2, 2]


async def test_every_id_is_written_once() -> None:
    one, two = make_events(2)
    _, share = call_of([one, two, one, changed(two), two])

    assert Batch([share]).firsts() == [0, 1]


async def test_twins_share_the_outcome_or_are_in_conflict_with_it() -> None:
    one, two = make_events(2)
    call, share = call_of([one, two, one, changed(two), two])
    batch = Batch([share])

    announced = batch.stored(batch.firsts(), seqs_of([one, two]))
    batch.finish()

    assert told(announced) == [(one.event_id, 1), (two.event_id, 2)]
    first, second = Stored(1, one.accept_time, duplicate=False), Stored(2, two.accept_time, duplicate=False)
    assert call.outcomes == [first, second, first, Refusal.CONFLICT, second]


async def test_twins_of_a_duplicate_are_judged_by_what_is_stored() -> None:
    there = make_event()
    call, share = call_of([there, changed(there), there])
    batch = Batch([share])
    batch.firsts()

    assert batch.found(0, NumberedEvent(stored_form(there), 7)) is None
    batch.finish()

    duplicate = Stored(7, there.accept_time, duplicate=True)
    assert call.outcomes == [duplicate, Refusal.CONFLICT, duplicate]


async def test_the_twin_of_one_in_conflict_is_tried_in_its_place() -> None:
    there = make_event()
    call, share = call_of([changed(there), there, changed(there)])
    batch = Batch([share])
    batch.firsts()

    heir = batch.found(0, NumberedEvent(stored_form(there), 7))

    assert heir == 1
    assert batch.found(heir, NumberedEvent(stored_form(there), 7)) is None
    batch.finish()
    assert call.outcomes == [Refusal.CONFLICT, Stored(7, there.accept_time, duplicate=True), Refusal.CONFLICT]


async def test_the_twin_of_one_that_ran_out_of_time_takes_its_place() -> None:
    event = make_event()
    late, late_share = call_of([event], deadline=NOW)
    call, share = call_of([event])
    batch = Batch([late_share, share])

    assert batch.expire(batch.firsts(), NOW, may_be_stored=False) == [1]
    batch.stored([1], seqs_of([event]))
    batch.finish()

    assert late.outcomes == [Failure.DEADLINE]
    assert call.outcomes == [Stored(1, event.accept_time, duplicate=False)]


async def test_what_may_be_stored_is_looked_up_past_its_deadline_but_not_stored() -> None:
    late, late_share = call_of(make_events(2), deadline=NOW)
    batch = Batch([late_share])

    assert batch.expire(batch.firsts(), NOW, may_be_stored=True) == [0, 1]
    assert batch.lookups == {0, 1}
    batch.not_found(0, NOW)
    batch.finish()

    assert late.outcomes[0] is Failure.DEADLINE


async def test_a_failure_expires_what_follows_in_its_chain() -> None:
    chain = Chain()
    first, first_share = call_of(make_events(1), deadline=NOW, chain=chain)
    second, second_share = call_of(make_events(1), chain=chain)
    other, other_share = call_of(make_events(1))
    batch = Batch([first_share, second_share, other_share])

    assert batch.expire(batch.firsts(), NOW, may_be_stored=False) == [2]
    batch.finish()

    assert (first.outcomes, second.outcomes) == ([Failure.DEADLINE], [Failure.BROKEN_CHAIN])
    assert chain.broken
    assert other.outcomes == [Failure.UNAVAILABLE]


async def test_giving_up_answers_what_is_known_and_nothing_after_it_changes_that() -> None:
    events = make_events(3)
    call, share = call_of(events)
    batch = Batch([share])
    batch.stored([0], seqs_of(events))

    call.give_up(Failure.DEADLINE)
    batch.stored([1, 2], seqs_of(events))
    batch.finish()

    assert call.outcomes == [Stored(1, events[0].accept_time, duplicate=False), *[Failure.DEADLINE] * 2]
