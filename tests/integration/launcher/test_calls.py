"""Calls to several servers that serve alike, of which some do not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent import futures
from contextlib import ExitStack
from typing import Any

import grpc
import pytest

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2_grpc as pb_grpc
from harkara.event.v1 import event_pb2
from harkara_cli import calls
from harkara_cli.calls import UncertainError, connected_to_all
from harkara_cli.emit import Emitter, Outcome
from harkara_cli.errors import CliError, MisuseError

Code = grpc.StatusCode


class Replica(pb_grpc.EmitServiceServicer):
    """Stores nothing, and answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failures: list[grpc.StatusCode] = []

    def Emit(self, request: pb.EmitRequest, context: Any) -> pb.EmitResponse:  # noqa: N802 - the contract's.
        self.asked.append(request.event.event_id)
        if self.failures:
            context.abort(self.failures.pop(0), "as the test says")
        # As for one that was stored by an attempt before.
        return pb.EmitResponse(event_id=request.event.event_id, seq=7, duplicate=True)


@pytest.fixture
def replicas() -> Iterator[list[tuple[Replica, str]]]:
    """Two of them, and where they answer."""
    with ExitStack() as stack:
        running = []
        for _ in range(2):
            replica = Replica()  # type: ignore[abstract]  # What is not asked need not be there.
            server = grpc.server(futures.ThreadPoolExecutor(1))
            pb_grpc.add_EmitServiceServicer_to_server(replica, server)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            stack.callback(lambda server: server.stop(None).wait(), server)
            running.append((replica, f"127.0.0.1:{port}"))
        yield running


def emit(targets: list[str], event_id: str = "", seconds: float = 20.0) -> Outcome:
    event = event_pb2.EventDraft(user_id="anna", event_type="order_ready", data="{}", event_id=event_id)
    with connected_to_all(targets, "event-service", "token", seconds=seconds) as callers:
        return Emitter(callers).one(event)


def test_what_one_cannot_answer_another_does_with_the_same_id(replicas: list[tuple[Replica, str]]) -> None:
    (first, at_first), (second, at_second) = replicas
    first.failures = [Code.UNAVAILABLE]
    outcome = emit([at_first, at_second])
    assert first.asked == second.asked == [outcome.event_id]
    # The first attempt was ours too: nobody is told that it had been there before.
    assert (outcome.seq, outcome.duplicate) == (7, False)


def test_an_event_whose_id_was_given_is_told_to_have_been_there_before(
    replicas: list[tuple[Replica, str]],
) -> None:
    outcome = emit([at for _, at in replicas], "evt_01KARH3J9G0000000000000000")
    assert (outcome.event_id, outcome.duplicate) == ("evt_01KARH3J9G0000000000000000", True)


def test_one_that_is_not_there_is_passed_over(replicas: list[tuple[Replica, str]]) -> None:
    (_, at_first), (second, _) = replicas
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        emit([f"127.0.0.1:{nobody.getsockname()[1]}", replicas[1][1]])
    assert len(second.asked) == 1
    del at_first


def test_one_that_is_frozen_is_passed_over(
    replicas: list[tuple[Replica, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_SECONDS_EACH", 0.2)
    with socket.socket() as frozen:
        frozen.bind(("127.0.0.1", 0))
        frozen.listen()
        emit([f"127.0.0.1:{frozen.getsockname()[1]}", replicas[1][1]])
    assert len(replicas[1][0].asked) == 1


def test_a_refusal_is_final(replicas: list[tuple[Replica, str]]) -> None:
    (first, at_first), (second, at_second) = replicas
    first.failures = [Code.INVALID_ARGUMENT]
    with pytest.raises(MisuseError, match="as the test says"):
        emit([at_first, at_second])
    first.failures = [Code.ALREADY_EXISTS]
    with pytest.raises(CliError, match="ALREADY_EXISTS"):
        emit([at_first, at_second])
    assert second.asked == []


def test_where_nobody_answers_it_is_told_in_the_end(
    replicas: list[tuple[Replica, str]],
) -> None:
    for replica, _ in replicas:
        replica.failures = [Code.UNAVAILABLE] * 1_000
    with pytest.raises(UncertainError, match="event-service: UNAVAILABLE: as the test says"):
        emit([at for _, at in replicas], seconds=0.5)
    assert len(replicas[0][0].asked) > 1


def test_the_only_one_is_asked_again_too(replicas: list[tuple[Replica, str]]) -> None:
    (first, at_first), _ = replicas
    first.failures = [Code.UNAVAILABLE, Code.INTERNAL]
    outcome = emit([at_first])
    assert first.asked == [outcome.event_id] * 3
