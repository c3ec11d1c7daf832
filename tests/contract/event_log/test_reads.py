"""What every log promises of `heads` and `read`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from harkara_event_service.ports import Head
from tests.contract.event_log.conftest import LogUnderTest
from tests.support.events import make_event, make_events, told

# Lanes are about writing only.
pytestmark = pytest.mark.parametrize("under_test", ["memory", "postgres"], indirect=True)


async def test_a_user_without_events_stands_at_0(under_test: LogUnderTest) -> None:
    heads = await under_test.log.heads(["nobody"])

    assert heads.by_user == {"nobody": Head(0, 0)}


async def test_heads_are_those_of_the_users_asked_for(under_test: LogUnderTest) -> None:
    await under_test.append(*make_events(3, "ada"), *make_events(2, "bob"), *make_events(1, "cai"))

    heads = await under_test.log.heads(["bob", "nobody", "ada"])

    assert heads.by_user == {"ada": Head(3, 0), "bob": Head(2, 0), "nobody": Head(0, 0)}


async def test_heads_of_no_user_tell_the_epoch(under_test: LogUnderTest) -> None:
    nobody = await under_test.log.heads([])
    somebody = await under_test.log.heads(["ada"])

    assert nobody.by_user == {}
    assert nobody.epoch == somebody.epoch != ""


async def test_callers_at_once_get_each_their_own_heads(under_test: LogUnderTest) -> None:
    await under_test.append(*(make_event(f"user_{number}") for number in range(50)))

    answers = await asyncio.gather(
        *(under_test.log.heads([f"user_{number}", f"user_{number + 1}"]) for number in range(49))
    )

    assert [sorted(heads.by_user) for heads in answers] == [
        sorted([f"user_{number}", f"user_{number + 1}"]) for number in range(49)
    ]
    assert all(head == Head(1, 0) for heads in answers for head in heads.by_user.values())


async def test_heads_know_of_every_append_that_returned_before(under_test: LogUnderTest) -> None:
    async def append_and_look() -> tuple[int, int]:
        (outcome,) = await under_test.append(make_event())
        heads = await under_test.log.heads(["user_1"])
        return getattr(outcome, "seq", 0), heads.by_user["user_1"].last_seq

    for seq, last_seq in await asyncio.gather(*(append_and_look() for _ in range(20))):
        assert last_seq >= seq > 0


async def test_a_page_begins_after_the_position_and_ends_at_the_limit(under_test: LogUnderTest) -> None:
    events = make_events(10)
    await under_test.append(*events)

    pages = await under_test.log.read({"user_1": 3}, 4)

    assert told(pages["user_1"]) == [(events[seq - 1].event_id, seq) for seq in (4, 5, 6, 7)]


async def test_a_page_ends_with_the_event_that_fills_it(under_test: LogUnderTest) -> None:
    # 1,000 bytes each, though some are fewer characters.
    data = ['{"a":"' + "x" * 992 + '"}', '{"a":"' + "é" * 496 + '"}'] * 3
    await under_test.append(*(make_event("ada", data=each) for each in data))

    pages = {
        size: (await under_test.log.read({"ada": 0}, 100, size))["ada"] for size in (1, 1000, 1001, 2500)
    }

    assert {size: len(page) for size, page in pages.items()} == {1: 1, 1000: 1, 1001: 2, 2500: 3}


async def test_pages_of_many_users_are_read_each_from_its_own_position(under_test: LogUnderTest) -> None:
    users = [f"user_{number}" for number in range(50)]
    await under_test.append(*(make_event(user_id) for user_id in users for _ in range(5)))

    pages = await under_test.log.read({user_id: number % 6 for number, user_id in enumerate(users)}, 3)

    assert {user_id: [each.seq for each in page] for user_id, page in pages.items()} == {
        user_id: list(range(number % 6 + 1, 6))[:3] for number, user_id in enumerate(users)
    }


async def test_a_page_at_the_head_or_beyond_is_empty(under_test: LogUnderTest) -> None:
    await under_test.append(*make_events(2))

    pages = await under_test.log.read({"user_1": 2, "nobody": 0, "user_2": 7}, 10)

    assert pages == {"user_1": [], "nobody": [], "user_2": []}


async def test_paging_through_a_stream_gives_every_event_once(under_test: LogUnderTest) -> None:
    events = make_events(23)
    await under_test.append(*events)

    seen: list[tuple[str, int]] = []
    while page := (await under_test.log.read({"user_1": len(seen)}, 5))["user_1"]:
        seen += told(page)

    assert seen == [(event.event_id, seq) for seq, event in enumerate(events, 1)]


async def test_a_read_event_is_the_one_that_was_stored(under_test: LogUnderTest) -> None:
    event = make_event(level="critical", collapse_key="a key", data='{"ä": [1.0, 5e3]}')
    await under_test.append(event)

    pages = await under_test.log.read({"user_1": 0}, 1)

    assert pages["user_1"][0].event == event


@pytest.mark.parametrize("count", [1, 2])
async def test_an_events_key_and_expiry_come_back(under_test: LogUnderTest, count: int) -> None:
    moment = datetime(2026, 1, 27, 10, 30, 0, 123456, tzinfo=UTC)
    await under_test.append(make_event(collapse_key="driver-7", expires_at=moment), *make_events(count - 1))

    event = (await under_test.log.read({"user_1": 0}, 1))["user_1"][0].event

    assert (event.collapse_key, event.expires_at) == ("driver-7", moment)


async def test_an_event_without_expiry_comes_back_without(under_test: LogUnderTest) -> None:
    await under_test.append(make_event())

    assert (await under_test.log.read({"user_1": 0}, 1))["user_1"][0].event.expires_at is None
