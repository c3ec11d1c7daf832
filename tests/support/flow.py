"""Events of one user that go on and on beside a test, each emitted when the one before it is on disk."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from harkara.event.v1 import emit_service_pb2, emit_service_pb2_grpc, event_pb2
from tests.support.mesh import Mesh, bearer

_PAUSE_SECONDS = 0.01
_MOST = 20_000  # A test that forgets to stop it does not fill the disk.


class Flow:
    """See the module.

    Attributes:
        stored: `[seq, event_id]` of each event that was answered OK, in the order of the stream.
    """

    def __init__(self, mesh: Mesh, user_id: str, event_type: str) -> None:
        self._mesh = mesh
        self._user_id = user_id
        self._event_type = event_type
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.stored: list[list[object]] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the event that is under way."""
        self._stopped.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        with grpc.insecure_channel(self._mesh.emit_target) as channel:
            stub = emit_service_pb2_grpc.EmitServiceStub(channel)
            for number in range(_MOST):
                event = event_pb2.EventDraft(
                    user_id=self._user_id,
                    event_type=self._event_type,
                    data=json.dumps({"order_id": f"ord_{number}", "total_amount": number}),
                )
                answer = stub.Emit(
                    emit_service_pb2.EmitRequest(event=event),
                    metadata=bearer(self._mesh.service_token),
                    timeout=10,
                )
                self.stored.append([answer.seq, answer.event_id])
                if self._stopped.wait(_PAUSE_SECONDS):
                    return


@contextmanager
def flowing(mesh: Mesh, user_id: str, event_type: str = "order_created") -> Iterator[Flow]:
    """Events flow until the block ends, or `stop` is called."""
    flow = Flow(mesh, user_id, event_type)
    flow.start()
    try:
        yield flow
    finally:
        flow.stop()
