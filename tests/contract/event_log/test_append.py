"""What every log promises of `append`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harkara_event_service.ports import Chain, Failure, Refusal, Stored
from tests.contract.event_log.conftest import LogUnderTest
from tests.support.events import JSON_OBJECTS, fresh_event_id, make_event, make_events, stored_form, told
from tests.support.logs import seqs

A_WEEK = timedelta(days=7)


async def test_each_users_events_are_numbered_from_1_without_a_gap(under_test: LogUnderTest) -> None:
    events = [make_event(user) for user in ("ada", "bob", "ada", "cai", "bob", "ada")]

    outcomes = await under_test.append(*events)

    assert seqs(outcomes) == [1, 1, 2, 1, 2, 3]


async def test_numbering_goes_on_where_the_last_call_ended(under_test: LogUnderTest) -> None:
    await under_test.append(*make_events(3))

    assert seqs(await under_test.append(*make_events(2))) == [4, 5]


async def test_calls_at_once_keep_the_order_in_which_they_were_made(under_test: LogUnderTest) -> None:
    calls = [make_events(count) for count in (1, 3, 2, 1, 5)]

    outcomes = await asyncio.gather(*(under_test.append(*events) for events in calls))

    assert [seqs(each) for each in outcomes] == [[1], [2, 3, 4], [5, 6], [7], [8, 9, 10, 11, 12]]


async def test_an_event_is_stored_with_the_time_at_which_it_was_accepted(under_test: LogUnderTest) -> None:
    moment = datetime(2026, 1, 27, 10, 30, 0, 123456, tzinfo=UTC)

    (outcome,) = await under_test.append(make_event(accept_time=moment))

    assert outcome == Stored(1, moment, duplicate=False)


async def test_the_same_event_again_answers_as_the_first_time(under_test: LogUnderTest) -> None:
    event = make_event()
    (first,) = await under_test.append(event)
    await under_test.append(make_event())

    again = msgspec.structs.replace(event, accept_time=event.accept_time + timedelta(seconds=5))

    assert isinstance(first, Stored)
    assert await under_test.append(again) == [Stored(1, first.accept_time, duplicate=True)]


async def test_the_same_event_with_another_expiry_is_the_same_event(under_test: LogUnderTest) -> None:
    event = make_event(expires_at=datetime(2026, 1, 27, tzinfo=UTC))
    await under_test.append(event)

    again = msgspec.structs.replace(event, expires_at=datetime(2026, 1, 28, tzinfo=UTC))
    (outcome,) = await under_test.append(again)

    assert isinstance(outcome, Stored)
    assert outcome.duplicate
    assert under_test.announced[-1].event.expires_at == event.expires_at


async def test_a_duplicate_among_new_events_takes_no_number(under_test: LogUnderTest) -> None:
    event = make_event()
    await under_test.append(event)

    assert seqs(await under_test.append(make_event(), event, make_event())) == [2, 1, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "somebody_else"},
        {"event_type": "order_ready"},
        {"source": "another_service"},
        {"data": "{ }"},
        {"level": "low", "level_given": True},
        {"timestamp": datetime(2026, 1, 1, tzinfo=UTC), "timestamp_given": True},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_other_content_under_a_stored_id_is_a_conflict(
    under_test: LogUnderTest, change: dict[str, object]
) -> None:
    event = make_event()
    await under_test.append(event)

    other = msgspec.structs.replace(event, **change)

    assert await under_test.append(other) == [Refusal.CONFLICT]
    heads = await under_test.log.heads([event.user_id, other.user_id])
    assert heads.by_user["user_1"].last_seq == 1
    assert heads.by_user[other.user_id].last_seq == (1 if other.user_id == "user_1" else 0)


async def test_a_level_or_time_that_the_emitter_did_not_name_makes_no_conflict(
    under_test: LogUnderTest,
) -> None:
    event = make_event(level_given=True, timestamp_given=True)
    await under_test.append(event)

    again = msgspec.structs.replace(
        event,
        level="low",
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        level_given=False,
        timestamp_given=False,
    )

    assert seqs(await under_test.append(again)) == [1]


async def test_equal_ids_in_one_call_share_one_outcome(under_test: LogUnderTest) -> None:
    event = make_event()

    outcomes = await under_test.append(event, make_event(), event)

    assert seqs(outcomes) == [1, 2, 1]
    assert outcomes[0] == outcomes[2]


async def test_of_two_contents_with_one_id_in_one_call_the_first_is_stored(under_test: LogUnderTest) -> None:
    event = make_event()

    outcomes = await under_test.append(event, msgspec.structs.replace(event, data='{"other":1}'))

    assert seqs(outcomes) == [1, Refusal.CONFLICT]


async def test_a_conflict_does_not_stand_in_the_way_of_the_stored_event_itself(
    under_test: LogUnderTest,
) -> None:
    event = make_event()
    await under_test.append(event)

    other = msgspec.structs.replace(event, data='{"other":1}')

    assert seqs(await under_test.append(other, event, other)) == [Refusal.CONFLICT, 1, Refusal.CONFLICT]


async def test_one_id_in_many_calls_at_once_is_stored_once(under_test: LogUnderTest) -> None:
    event = make_event()

    outcomes = await asyncio.gather(*(under_test.append(make_event(), event) for _ in range(10)))

    shared = outcomes[0][1]
    assert isinstance(shared, Stored)
    assert [seqs([each[1]]) for each in outcomes] == [[shared.seq]] * 10
    heads = await under_test.log.heads(["user_1"])
    assert heads.by_user["user_1"].last_seq == 11


async def test_one_id_for_two_users_at_once_is_stored_for_one_of_them(under_test: LogUnderTest) -> None:
    event = make_event("ada")
    other = msgspec.structs.replace(event, user_id="bob")

    first, second = await asyncio.gather(under_test.append(event), under_test.append(other))

    assert sorted([str(outcome) for outcome in seqs(first + second)]) == ["1", str(Refusal.CONFLICT)]


async def test_an_event_that_cannot_be_stored_fails_alone(under_test: LogUnderTest) -> None:
    bad = make_event(data='{"a":"\0"}')
    worse = make_event(data='{"a":"\ud800"}')
    good = make_events(6)

    outcomes = await under_test.append(*good[:2], bad, *good[2:5], worse, good[5])

    assert seqs(outcomes) == [1, 2, Refusal.UNSTORABLE, 3, 4, 5, Refusal.UNSTORABLE, 6]
    assert await under_test.append(bad) == [Refusal.UNSTORABLE]


async def test_what_is_announced_is_what_is_stored_in_order(under_test: LogUnderTest) -> None:
    calls = [
        [make_event("ada"), make_event("bob"), make_event("ada")],
        [make_event("bob", data='{"a":"\0"}'), make_event("bob")],
        [make_event("ada")],
    ]

    await asyncio.gather(*(under_test.append(*events) for events in calls))

    for user_id in ("ada", "bob"):
        pages = await under_test.log.read({user_id: 0}, 100)
        announced = [each for each in under_test.announced if each.event.user_id == user_id]
        assert told(announced) == told(pages[user_id])
    assert len(under_test.announced) == 5


async def test_an_event_is_announced_before_its_append_returns(under_test: LogUnderTest) -> None:
    event = make_event()

    await under_test.append(event)

    assert told(under_test.announced) == [(event.event_id, 1)]
    assert stored_form(under_test.announced[0].event) == event


async def test_a_duplicate_is_announced_again_as_it_was_stored(under_test: LogUnderTest) -> None:
    event = make_event(level="high")
    await under_test.append(event)
    under_test.announced.clear()

    await under_test.append(msgspec.structs.replace(event, level="low"))

    assert told(under_test.announced) == [(event.event_id, 1)]
    assert under_test.announced[0].event == event


async def test_a_conflict_does_not_announce_what_was_refused(under_test: LogUnderTest) -> None:
    event = make_event()
    await under_test.append(event)
    under_test.announced.clear()

    await under_test.append(msgspec.structs.replace(event, data='{"other":1}'))

    assert all(numbered.event == event for numbered in under_test.announced)


async def test_an_id_older_than_7_days_is_refused(under_test: LogUnderTest) -> None:
    old = make_event(event_id=fresh_event_id(datetime.now(UTC) - A_WEEK - timedelta(seconds=1)))

    assert seqs(await under_test.append(make_event(), old, make_event())) == [1, Refusal.TOO_OLD, 2]


async def test_an_id_of_almost_7_days_is_taken(under_test: LogUnderTest) -> None:
    old = make_event(event_id=fresh_event_id(datetime.now(UTC) - A_WEEK + timedelta(minutes=1)))

    assert seqs(await under_test.append(old)) == [1]


async def test_a_stored_event_is_a_duplicate_however_old_it_became(under_test: LogUnderTest) -> None:
    event = make_event()
    await under_test.append(event)
    under_test.clock.ahead = A_WEEK + timedelta(minutes=1)

    other = msgspec.structs.replace(event, data='{"other":1}')

    assert seqs(await under_test.append(event, other)) == [1, Refusal.CONFLICT]


async def test_past_its_deadline_nothing_is_stored(under_test: LogUnderTest) -> None:
    assert await under_test.append(*make_events(2), seconds=-0.001) == [Failure.DEADLINE] * 2

    assert seqs(await under_test.append(make_event())) == [1]
    assert len(under_test.announced) == 1


async def test_after_a_failure_nothing_more_of_its_chain_is_stored(under_test: LogUnderTest) -> None:
    chain = Chain()
    assert seqs(await under_test.append(make_event(), chain=chain)) == [1]
    await under_test.append(make_event(), chain=chain, seconds=-0.001)

    assert chain.broken
    assert await under_test.append(*make_events(2), chain=chain) == [Failure.BROKEN_CHAIN] * 2
    assert seqs(await under_test.append(make_event(), chain=Chain())) == [2]


async def test_a_refusal_does_not_break_a_chain(under_test: LogUnderTest) -> None:
    chain = Chain()

    await under_test.append(make_event(data='{"a":"\0"}'), chain=chain)

    assert seqs(await under_test.append(make_event(), chain=chain)) == [1]


async def test_a_cancelled_append_is_stored_and_announced_or_neither(under_test: LogUnderTest) -> None:
    tasks = []
    for steps in range(30):
        tasks.append(asyncio.create_task(under_test.append(*make_events(2))))
        for _ in range(steps % 4):
            await asyncio.sleep(0)
        if steps % 2:
            tasks[-1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # Of one user and begun later: when it is there, so is all that was being written.
    await under_test.append(make_event())

    pages = await under_test.log.read({"user_1": 0}, 1000)
    assert told(under_test.announced) == told(pages["user_1"])
    assert [numbered.seq for numbered in pages["user_1"]] == list(range(1, len(pages["user_1"]) + 1))
    kept = {
        outcome.seq
        for task in tasks
        if not task.cancelled()
        for outcome in task.result()
        if isinstance(outcome, Stored)
    }
    assert len(kept) >= 30
    assert kept <= set(range(1, len(pages["user_1"]) + 1))


@given(
    texts=st.lists(JSON_OBJECTS, min_size=1, max_size=8),
    key=st.none() | st.text('ab\\\t\n"{},é😀', max_size=5),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
async def test_data_comes_back_byte_for_byte(
    under_test: LogUnderTest, texts: list[str], key: str | None
) -> None:
    user_id = fresh_event_id()
    events = [make_event(user_id, text, collapse_key=key) for text in texts]

    await under_test.append(*events)

    pages = await under_test.log.read({user_id: 0}, len(texts))
    assert [numbered.event for numbered in pages[user_id]] == events


async def test_data_that_means_something_to_postgres_comes_back_byte_for_byte(
    under_test: LogUnderTest,
) -> None:
    texts = [
        '{"a":"x\\ny","b":"\\u00e9","c":"\\\\."}',
        '{"a":1}\n\\.\n{"b":2}',
        '{\t"a"\r\n:\t"NULL"}',
        "\\N",
        '{"a":"{1,\\"2\\"}"}',
        '{"a":"\x7f\x80\u2028\U0010ffff"}',
        "NULL",
    ]

    await under_test.append(*(make_event(data=text) for text in texts))
    await under_test.append(make_event(data=texts[0]))

    pages = await under_test.log.read({"user_1": 0}, 100)
    assert [numbered.event.data for numbered in pages["user_1"]] == [*texts, texts[0]]


@pytest.mark.parametrize("user_id", ["NULL", "null", "-", "_", "0", "A" * 64, "a", "Z"])
async def test_any_user_id_is_only_a_user_id(under_test: LogUnderTest, user_id: str) -> None:
    await under_test.append(make_event(user_id), make_event("other"), make_event(user_id))

    heads = await under_test.log.heads([user_id])
    assert heads.by_user[user_id].last_seq == 2
