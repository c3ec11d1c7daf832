"""What replicas tell each other, and what they make of anything else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_event_service.domain import hints
from harkara_event_service.domain.batches import WRITERS, BatchId
from harkara_event_service.domain.event import Announced, NumberedEvent, announced, client_text
from tests.support.events import make_event

BATCH = BatchId(3, 17)

EVENTS = st.lists(
    st.builds(
        Announced,
        user_id=st.text(min_size=1, max_size=64),
        seq=st.integers(1, 2**62),
        event_type=st.text(max_size=20),
        collapse_key=st.none() | st.text(max_size=64),
        expires_at=st.none() | st.datetimes(timezones=st.just(UTC)),
        made=st.binary(max_size=200),
    ),
    max_size=5,
)


def seen(events: Sequence[Announced]) -> list[tuple[object, ...]]:
    return [
        (event.user_id, event.seq, event.event_type, event.collapse_key, event.expires_at, event.text)
        for event in events
    ]


@given(writer=st.integers(0, WRITERS - 1), number=st.integers(1, 2**62), events=EVENTS)
def test_what_is_told_is_what_is_heard(writer: int, number: int, events: list[Announced]) -> None:
    hint = hints.decode(hints.encode(BatchId(writer, number), events))

    assert hint.batch == (writer, number)
    assert seen(hint.events) == seen(events)
    assert hint.last_seqs == {}


def test_an_event_that_was_stored_here_is_heard_as_clients_get_it() -> None:
    moment = datetime(2026, 1, 27, 10, 30, 0, 123456, tzinfo=UTC)
    stored = NumberedEvent(make_event("ada", '{"é":"\\u00e9"}', collapse_key="k", expires_at=moment), 9)

    (heard,) = hints.decode(hints.encode(BATCH, [announced(stored)])).events

    assert heard.text == client_text(stored)
    assert (heard.user_id, heard.seq, heard.collapse_key, heard.expires_at) == ("ada", 9, "k", moment)


def test_of_a_batch_past_256_kib_only_users_and_their_last_seqs_are_told() -> None:
    events = [Announced(f"user_{number % 3}", number, "t", made=bytes(50_000)) for number in range(1, 9)]

    told = hints.encode(BATCH, events)

    assert len(told) < 200
    hint = hints.decode(told)
    assert (hint.batch, list(hint.events)) == (BATCH, [])
    assert hint.last_seqs == {"user_0": 6, "user_1": 7, "user_2": 8}


def test_ephemeral_events_are_told_in_messages_of_256_kib_at_most() -> None:
    moment = datetime(2026, 1, 27, tzinfo=UTC)
    events = [
        Announced("ada", 0, f"t{number}", "k", moment, made=bytes([number]) * 60_000) for number in range(10)
    ]

    messages = hints.encode_ephemeral(events)

    assert [len(hints.decode_ephemeral(message)) for message in messages] == [4, 4, 2]
    assert seen([event for message in messages for event in hints.decode_ephemeral(message)]) == seen(events)


@given(st.binary(max_size=200))
def test_anything_else_is_refused_and_nothing_worse(payload: bytes) -> None:
    for decode in (hints.decode, hints.decode_ephemeral):
        with pytest.raises(hints.HintError):
            decode(payload)


@given(data=st.data())
def test_a_hint_that_was_damaged_is_refused_or_is_another_hint(data: st.DataObject) -> None:
    payload = bytearray(hints.encode(BATCH, [Announced("ada", 4, "t", made=b"{}")]))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    payload = payload[: data.draw(st.integers(0, len(payload)))]

    try:
        hint = hints.decode(bytes(payload))
    except hints.HintError:
        return
    assert 0 <= hint.batch.writer < WRITERS
    assert hint.batch.number >= 1
    assert all(event.seq >= 1 for event in hint.events)


@pytest.mark.parametrize(
    "message",
    [
        [2, 3, 17, [], {}],
        [1, WRITERS, 17, [], {}],
        [1, -1, 17, [], {}],
        [1, 3, 0, [], {}],
        [1, 3, 17, [["ada", 0, "t", None, None, b"{}"]], {}],
        [1, 3, 17, [["ada", 1, "t", None, "tomorrow", b"{}"]], {}],
        [1, 3, 17, [["ada", 1, "t", None, "2026-01-27T10:30:00", b"{}"]], {}],
        [1, 3, 17, [], {"ada": -1}],
        [1, 3, 2**63, [], {}],
        [1, 3, 17, [["ada", 2**63, "t", None, None, b"{}"]], {}],
        [1, 3, 17, [], {"ada": 2**63}],
        [1, 3, 17, []],
        {"version": 1},
    ],
)
def test_what_is_nearly_a_hint_is_refused(message: object) -> None:
    with pytest.raises(hints.HintError):
        hints.decode(msgspec.msgpack.encode(message))


@pytest.mark.parametrize(
    "payload",
    [
        b"\x95\x01\x03\x11\x91\x96\xa1\xff\x01\xa1t\xc0\xc0\xc4\x02{}\x80",
        b"\x96\x01\x03\x11\x90\x80" + b"\x91" * 100_000 + b"\xc0",
    ],
    ids=["a text that is no UTF-8", "nested without end"],
)
def test_what_is_no_sound_messagepack_is_refused(payload: bytes) -> None:
    with pytest.raises(hints.HintError):
        hints.decode(payload)
