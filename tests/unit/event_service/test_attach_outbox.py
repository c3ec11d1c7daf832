"""What waits for an edge: in order, bounded, in messages of at most 1 MiB."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara.event.v1 import delivery_service_pb2 as pb
from harkara_event_service.adapters.attach_outbox import FULL_BYTES, MESSAGE_BYTES, AttachOutbox
from harkara_event_service.domain.cursor import pack
from harkara_event_service.ports import DisconnectReason

KIB = 1024


@pytest.fixture
def outbox() -> AttachOutbox:
    return AttachOutbox(lambda: None)


def filled(outbox: AttachOutbox, size: int = 64 * KIB) -> int:
    """Fill it with live events until it takes no more; how many it took."""
    count = 0
    while outbox.deliver(pack(1), count + 1, b"x" * size):
        count += 1
    return count


def all_of(outbox: AttachOutbox) -> list[pb.AttachItem]:
    """Take everything."""
    items: list[pb.AttachItem] = []
    while (message := outbox.take()).items:
        items += message.items
    return items


def test_a_message_holds_what_is_ready_in_order(outbox: AttachOutbox) -> None:
    outbox.opened(7, 2, "epoch", 10, recovered=True)
    outbox.deliver(pack(7) + pack(8), 11, b'{"seq":11}')
    outbox.subscribed(7, 3)
    outbox.catch_up(pack(9), 5, b'{"seq":5}')
    outbox.advanced([(7, 12), (8, 13)])
    outbox.disconnect(9, 4, DisconnectReason.RESUME_LOST)
    outbox.drain()

    assert list(outbox.take().items) == [
        pb.AttachItem(opened=pb.Opened(session=7, generation=2, epoch="epoch", seq=10, recovered=True)),
        pb.AttachItem(delivery=pb.Delivery(sessions=b"\x07\0\0\0\x08\0\0\0", seq=11, event=b'{"seq":11}')),
        pb.AttachItem(subscribed=pb.Subscribed(session=7, change=3)),
        pb.AttachItem(delivery=pb.Delivery(sessions=b"\x09\0\0\0", seq=5, event=b'{"seq":5}')),
        pb.AttachItem(advanced=pb.Advanced(sessions=[7, 8], seqs=[12, 13])),
        pb.AttachItem(
            disconnect=pb.Disconnect(session=9, generation=4, reason=pb.DISCONNECT_REASON_RESUME_LOST)
        ),
        pb.AttachItem(drain=pb.Drain()),
    ]
    assert not outbox.take().items


@pytest.mark.parametrize("reason", DisconnectReason)
def test_every_reason_to_disconnect_has_its_name_on_the_wire(
    outbox: AttachOutbox, reason: DisconnectReason
) -> None:
    outbox.disconnect(1, 1, reason)

    (item,) = outbox.take().items
    assert pb.DisconnectReason.Name(item.disconnect.reason) == f"DISCONNECT_REASON_{reason.name}"


@given(sizes=st.lists(st.integers(0, 200 * KIB), max_size=40), extra=st.integers(0, 3))
def test_no_message_is_over_1_mib_and_none_is_needlessly_small(sizes: list[int], extra: int) -> None:
    outbox = AttachOutbox(lambda: None)
    for seq, size in enumerate(sizes, 1):
        outbox.catch_up(pack(seq), seq, b"x" * size)
        for _ in range(extra):
            outbox.subscribed(seq, seq)

    messages = []
    while (message := outbox.take()).items:
        messages.append(message)

    assert all(message.ByteSize() <= MESSAGE_BYTES for message in messages)
    seqs = [item.delivery.seq for message in messages for item in message.items if item.HasField("delivery")]
    assert seqs == list(range(1, len(sizes) + 1))
    for message, following in itertools.pairwise(messages):
        assert message.ByteSize() + following.items[0].ByteSize() > MESSAGE_BYTES * 9 // 10


def test_many_positions_go_in_several_messages(outbox: AttachOutbox) -> None:
    positions = [(2**32 - 1 - number, 2**62 + number) for number in range(150_000)]
    outbox.advanced(positions)

    got: list[tuple[int, int]] = []
    while (message := outbox.take()).items:
        assert message.ByteSize() <= MESSAGE_BYTES
        for item in message.items:
            got += zip(item.advanced.sessions, item.advanced.seqs, strict=True)

    assert got == positions


def test_live_events_are_refused_past_8_mib(outbox: AttachOutbox) -> None:
    count = filled(outbox)

    assert FULL_BYTES - 64 * KIB <= count * 64 * KIB <= FULL_BYTES
    assert outbox.refused_count == 1
    outbox.take()
    assert outbox.deliver(pack(1), 1, b"x")


def test_events_read_from_the_log_are_taken_past_that_and_say_that_it_is_full(outbox: AttachOutbox) -> None:
    assert outbox.catch_up(pack(1), 1, b"x")
    filled(outbox)

    assert not outbox.catch_up(pack(1), 2, b"last")

    items = all_of(outbox)
    assert items[-1].delivery.event == b"last"


def test_what_is_no_event_is_taken_whatever_is_queued(outbox: AttachOutbox) -> None:
    filled(outbox)
    outbox.opened(1, 1, "epoch", 0, recovered=False)
    outbox.drain()

    items = all_of(outbox)
    assert [item.WhichOneof("item") for item in items[-2:]] == ["opened", "drain"]


@pytest.mark.parametrize("how", ["live", "catch-up"])
def test_room_is_told_once_when_a_queue_that_was_full_is_half_empty(how: str) -> None:
    told: list[int] = []
    taken = 0
    outbox = AttachOutbox(lambda: told.append(taken))
    if how == "live":
        filled(outbox)
    else:
        while outbox.catch_up(pack(1), 1, b"x" * 64 * KIB):
            pass

    while (message := outbox.take()).items:
        taken += message.ByteSize()

    (at,) = told
    # The message in hand was not counted yet.
    assert FULL_BYTES // 2 - 2 * MESSAGE_BYTES <= at <= FULL_BYTES // 2


def test_room_is_not_told_of_a_queue_that_refused_nothing() -> None:
    told: list[str] = []
    outbox = AttachOutbox(lambda: told.append("room"))
    for seq in range(60):
        assert outbox.deliver(pack(1), seq, b"x" * 128 * KIB)

    while outbox.take().items:
        pass

    assert told == []


def test_its_size_is_nothing_again_when_all_is_taken(outbox: AttachOutbox) -> None:
    for number in range(3):
        outbox.opened(number, 1, "epoch", 0, recovered=False)
        outbox.deliver(pack(1), 1, b"x" * 100)
        outbox.catch_up(pack(1), 1, b"")
        outbox.advanced([(1, 1)] * 20_001)
        outbox.subscribed(1, 1)
        outbox.drain()

    while outbox.take().items:
        pass

    assert outbox._bytes == 0


async def test_waiting_ends_when_there_is_something_and_a_cancel_loses_nothing(outbox: AttachOutbox) -> None:
    waiting = asyncio.create_task(outbox.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    outbox.deliver(pack(1), 1, b"x")

    await outbox.wait()

    assert len(outbox.take().items) == 1
    again = asyncio.create_task(outbox.wait())
    await asyncio.sleep(0)
    assert not again.done()
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
