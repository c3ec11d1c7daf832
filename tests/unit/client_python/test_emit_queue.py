"""The line before an EmitStream keeps its promises whatever is emitted, sent, answered, broken, given up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import event_pb2
from harkara_client import Emitted, RefusedError
from harkara_client import emit_queue as queue_module
from harkara_client.emit_queue import MAX_REQUESTS_UNDER_WAY, EmitQueue, Item, StreamBrokenError


@pytest.fixture
def loop() -> Any:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def item(loop: asyncio.AbstractEventLoop, number: int, data: str = "{}") -> Item:
    draft = event_pb2.EventDraft(user_id="u", event_type="t", data=data, event_id=f"evt_{number}")
    return Item(draft, loop.create_future())


def ids(batch: Any) -> list[str]:
    return [draft.event_id for draft in batch]


def stored(number: int) -> pb.EmitResult:
    return pb.EmitResult(event_id=f"evt_{number}", seq=number)


class Server:
    """Stores as EmitStream promises: in order, and each id once."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.unanswered: list[str] = []

    def take(self, batch: list[str], how_many: int) -> None:
        """Get a request; store no more of it than so many, if nothing before it was left out."""
        self.unanswered += batch
        for event_id in batch[:how_many]:
            if event_id not in self.log:
                self.log.append(event_id)

    def answers(self, how_many: int) -> list[pb.EmitResult]:
        """Answer the next ones, which are stored by now."""
        answered, self.unanswered = self.unanswered[:how_many], self.unanswered[how_many:]
        for event_id in answered:
            if event_id not in self.log:
                self.log.append(event_id)
        return [pb.EmitResult(event_id=each, seq=self.log.index(each) + 1) for each in answered]


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("emit"), st.integers(1, 5)),
        st.tuples(st.just("send"), st.integers(0, 5)),
        st.tuples(st.just("answer"), st.integers(1, 5)),
        st.tuples(st.just("break_off"), st.integers(0, 0)),
        st.tuples(st.just("give_up"), st.integers(0, 20)),
    ),
    max_size=60,
)


class Scene:
    """A line, and a server that answers it."""

    def __init__(self, most: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.queue = EmitQueue(most, 10_000)
        self.server = Server()
        self.items: list[Item] = []

    def emit(self, count: int) -> None:
        for _ in range(count):
            self.items.append(item(self.loop, len(self.items)))
            self.queue.add(self.items[-1])

    def send(self, stores: int) -> None:
        batch = ids(self.queue.next_batch())
        whole = all(each in self.server.log for each in self.server.unanswered)
        self.server.take(batch, stores if whole else 0)

    def answer(self, count: int) -> None:
        self.queue.answered(self.server.answers(count))

    def break_off(self, _: int = 0) -> None:
        self.server.unanswered.clear()
        self.queue.broken()

    def give_up(self, which: int) -> None:
        if which < len(self.items):
            self.items[which].future.cancel()


@given(_STEPS, st.integers(1, 8))
def test_whatever_happens_events_are_stored_once_in_order_and_answered_with_their_own(
    steps: list[tuple[str, int]], most: int
) -> None:
    scene = Scene(most)
    for step, number in steps:
        getattr(scene, step)(number)
        assert 0 <= scene.queue.taken_in <= most
    scene.break_off()
    while len(scene.queue):
        scene.send(1)
        scene.answer(1_000)
    scene.loop.close()
    assert scene.queue.taken_in == 0

    log = scene.server.log
    assert all(each.future.done() for each in scene.items)
    assert log == sorted(log, key=lambda event_id: int(event_id[4:]))
    assert len(log) == len(set(log))
    for each in scene.items:
        if not each.future.cancelled():
            event_id = each.draft.event_id
            assert each.future.result() == Emitted(event_id, log.index(event_id) + 1, duplicate=False)


def test_a_batch_ends_before_it_grows_beyond_its_bounds(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "MAX_BATCH_EVENTS", 3)
    monkeypatch.setattr(queue_module, "MAX_BATCH_BYTES", 500)
    queue = EmitQueue(100, 100_000)
    for number, size in enumerate([1, 1, 1, 1, 300, 300, 900, 1]):
        queue.add(item(loop, number, "x" * size))
    batches = [ids(queue.next_batch()) for _ in range(6)]
    assert batches == [
        ["evt_0", "evt_1", "evt_2"],
        ["evt_3", "evt_4"],
        ["evt_5"],
        ["evt_6"],
        ["evt_7"],
        [],
    ]


def test_while_enough_requests_are_under_way_the_next_one_grows(loop: asyncio.AbstractEventLoop) -> None:
    queue = EmitQueue(100, 100_000)
    for number in range(MAX_REQUESTS_UNDER_WAY + 3):
        queue.add(item(loop, number))
        assert len(queue.next_batch()) == (number < MAX_REQUESTS_UNDER_WAY)
    queue.answered([stored(0)])
    assert ids(queue.next_batch()) == ["evt_8", "evt_9", "evt_10"]


def test_what_is_refused_after_a_stream_that_broke_may_be_stored(loop: asyncio.AbstractEventLoop) -> None:
    queue = EmitQueue(100, 100_000)
    twice, once = item(loop, 1), item(loop, 2)
    queue.add(twice)
    queue.next_batch()
    queue.broken()
    queue.add(once)
    queue.next_batch()
    refusal = pb.EmitError(code=3, message="no", field="data")
    queue.answered([pb.EmitResult(event_id=f"evt_{number}", error=refusal) for number in (1, 2)])
    errors = [each.future.exception() for each in (twice, once)]
    assert all(isinstance(error, RefusedError) for error in errors)
    assert [error.may_be_stored for error in errors if isinstance(error, RefusedError)] == [True, False]


@pytest.mark.parametrize(
    "result",
    [
        pb.EmitResult(event_id="evt_2", seq=1),
        pb.EmitResult(event_id="evt_1", error=pb.EmitError(code=14, message="away")),
    ],
)
def test_an_answer_out_of_order_or_one_to_be_retried_breaks_the_stream_and_the_event_goes_again(
    loop: asyncio.AbstractEventLoop, result: pb.EmitResult
) -> None:
    queue = EmitQueue(100, 100_000)
    for number in (1, 2):
        queue.add(item(loop, number))
    queue.next_batch()
    with pytest.raises(StreamBrokenError):
        queue.answered([result])
    assert queue.broken()
    assert ids(queue.next_batch()) == ["evt_1", "evt_2"]
