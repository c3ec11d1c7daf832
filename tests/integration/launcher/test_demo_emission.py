"""How the demo's events reach a mesh that is away, cannot store, or comes back at another address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import ExitStack
from threading import Event
from typing import Any

import grpc
import pytest

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2_grpc as pb_grpc
from harkara.event.v1 import event_pb2
from harkara_cli.demo import emission as emission_module
from harkara_cli.demo.emission import Emission
from harkara_cli.errors import CliError

UNAVAILABLE = 14
PERMISSION_DENIED = 7


class EventService(pb_grpc.EmitServiceServicer):
    """Notes who emits what, and answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self.codes: list[list[int]] = []
        """Of the next batches, an error for each event; 0 is none."""

    def EmitBatch(self, request: pb.EmitBatchRequest, context: Any) -> pb.EmitBatchResponse:  # noqa: N802
        credential = dict(context.invocation_metadata())["authorization"]
        self.asked.append((credential, [event.event_id for event in request.events]))
        codes = self.codes.pop(0) if self.codes else [0] * len(request.events)
        return pb.EmitBatchResponse(
            results=[
                pb.EmitResult(event_id=event.event_id, error=pb.EmitError(code=code) if code else None)
                for event, code in zip(request.events, codes, strict=True)
            ]
        )


@pytest.fixture
def services() -> Iterator[list[tuple[EventService, str, grpc.Server]]]:
    """Two of them, and where they answer."""
    with ExitStack() as stack:
        running = []
        for _ in range(2):
            service = EventService()  # type: ignore[abstract]  # What is not asked need not be there.
            server = grpc.server(futures.ThreadPoolExecutor(1))
            pb_grpc.add_EmitServiceServicer_to_server(service, server)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            stack.callback(lambda server: server.stop(None).wait(), server)
            running.append((service, f"127.0.0.1:{port}", server))
        yield running


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a server that this test has stopped."""
    monkeypatch.setattr(emission_module, "_CALL_SECONDS", 0.2)
    monkeypatch.setattr(emission_module, "_PAUSE_SECONDS", 0.01)


class Bringing:
    """An emission, where it finds the mesh, and what it told."""

    def __init__(self, *targets: str | CliError) -> None:
        self._targets = list(targets)
        self.stopping = Event()
        self.news: list[str] = []
        self.emission = Emission(
            find_targets=self._find, mint=self._mint, on_news=self.news.append, stopping=self.stopping
        )

    def _find(self) -> Sequence[str]:
        target = self._targets.pop(0) if len(self._targets) > 1 else self._targets[0]
        if isinstance(target, CliError):
            raise target
        return [target]

    def _mint(self, service: str, globs: Sequence[str]) -> str:
        return f"{service} {','.join(globs)}"

    def bring(self, *events: event_pb2.EventDraft) -> None:
        try:
            self.emission.bring(events)
        finally:
            self.emission.close()


def drafts(*sources: str) -> list[event_pb2.EventDraft]:
    return [
        event_pb2.EventDraft(user_id="anna", source=source, event_id=f"evt_{number}")
        for number, source in enumerate(sources, 1)
    ]


def test_each_service_emits_its_own_events_with_its_own_credential(services: list[Any]) -> None:
    (service, at, _), _ = services
    bringing = Bringing(at)
    bringing.bring(*drafts("order_service", "order_service", "payment_service"))
    assert service.asked == [
        ("Bearer order_service order_*", ["evt_1", "evt_2"]),
        ("Bearer payment_service payment_*", ["evt_3"]),
    ]
    assert (bringing.emission.stored, bringing.news) == (3, [])


def test_a_mesh_that_comes_back_elsewhere_gets_the_same_events(services: list[Any]) -> None:
    (first, at_first, server), (second, at_second, _) = services
    server.stop(None).wait()
    bringing = Bringing(at_first, CliError("no mesh runs"), at_second)
    bringing.bring(*drafts("order_service"))
    assert (first.asked, [ids for _, ids in second.asked]) == ([], [["evt_1"]])
    assert [news.partition(" (")[0] for news in bringing.news] == [
        "the mesh does not answer, so the city waits",
        "the mesh is back: the city goes on",
    ]


def test_only_what_was_not_stored_of_a_batch_is_emitted_again(services: list[Any]) -> None:
    (service, at, _), _ = services
    service.codes = [[0, UNAVAILABLE]]
    bringing = Bringing(at)
    bringing.bring(*drafts("order_service", "order_service"))
    assert [ids for _, ids in service.asked] == [["evt_1", "evt_2"], ["evt_2"]]
    assert bringing.emission.stored == 2


def test_an_event_that_is_refused_ends_it(services: list[Any]) -> None:
    (service, at, _), _ = services
    service.codes = [[PERMISSION_DENIED]]
    with pytest.raises(CliError, match="order_service may not emit"):
        Bringing(at).bring(*drafts("order_service"))


def test_whoever_stops_it_does_not_wait_for_the_mesh() -> None:
    bringing = Bringing(CliError("no mesh runs"))
    bringing.emission._on_news = lambda _: bringing.stopping.set()
    bringing.bring(*drafts("order_service"))
    assert bringing.emission.stored == 0
