"""`SyncEmitter`: the same from code that is not async, and from several threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harkara_client import Draft, Emitted, EmitterClosedError, NotAnsweredError, RefusedError, SyncEmitter
from harkara_client.events import OrderReady
from tests.support.event_service import ORDERS, Running, assembled_event_service
from tests.support.held_log import HeldLog

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


async def test_closing_waits_no_longer_than_it_is_told(log: HeldLog, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    log.gate.clear()

    def run(target: str) -> None:
        with (
            SyncEmitter(target, token=ORDERS, timeout=None) as emitter,
            ThreadPoolExecutor(1) as threads,
        ):
            emitting = threads.submit(emitter.emit, "u", "order_created", {})
            try:
                asyncio.run_coroutine_threadsafe(log.has_got(1), loop).result(20)
                emitter.close(timeout=0.1)
                with pytest.raises(NotAnsweredError):
                    emitting.result(20)
                assert not log.gate.is_set()
            finally:
                loop.call_soon_threadsafe(log.gate.set)

    async with assembled_event_service(lambda _: log, tmp_path) as held:
        await asyncio.to_thread(run, held.calls.target)
