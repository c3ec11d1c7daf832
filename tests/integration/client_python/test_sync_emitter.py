"""`SyncEmitter`: the same from code that is not async, and from several threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from harkara_client import Draft, Emitted, EmitterClosedError, RefusedError, SyncEmitter
from harkara_client.events import OrderReady
from tests.support.event_service import ORDERS, Running

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_threads_share_one(running: Running, user: str) -> None:
    def emit_all() -> list[int]:
        with SyncEmitter(running.calls.target, token=ORDERS) as emitter, ThreadPoolExecutor(4) as threads:
            emits = [threads.submit(emitter.emit, user, "order_created", {"n": n}) for n in range(40)]
            return [emit.result().seq for emit in emits]

    assert sorted(await asyncio.to_thread(emit_all)) == list(range(1, 41))


async def test_it_emits_raises_and_closes_as_the_other_one(running: Running, user: str) -> None:
    def run() -> None:
        emitter = SyncEmitter(running.calls.target, token=ORDERS)
        with emitter:
            assert emitter.emit_event(user, OrderReady(order_id="o")).seq == 1
            stored, refused = emitter.emit_many(
                [
                    Draft(user_id=user, event_type="order_created", data={}),
                    Draft(user_id=user, event_type="order_created", data={"order_id": 1}),
                ]
            )
            assert isinstance(stored, Emitted)
            assert isinstance(refused, RefusedError)
            with pytest.raises(RefusedError):
                emitter.emit(user, "no_such_type", {})
        with pytest.raises(EmitterClosedError):
            emitter.emit(user, "order_created", {})
        with emitter:
            assert emitter.emit(user, "order_created", {}).seq == 3

    await asyncio.to_thread(run)
