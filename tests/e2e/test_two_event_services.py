"""Two event-services on one Postgres number each user's stream together."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import psycopg
import pytest

from harkara.event.v1 import emit_service_pb2 as pb
from harkara.event.v1 import emit_service_pb2_grpc as pb_grpc
from harkara.event.v1 import event_pb2
from harkara_cli.data_dir import DataDir
from tests.support.mesh import Mesh, bearer

EMITTERS, USERS, EVENTS_EACH = 200, 20, 10


@pytest.fixture
def second_event_service(mesh: Mesh) -> Iterator[str]:
    """Another event-service process on the mesh's Postgres; where its gRPC answers."""
    environment = {
        **os.environ,
        "HARKARA_EVENT_SERVICE_LISTEN_ADDRESS": "127.0.0.1:0",
        "HARKARA_EVENT_SERVICE_OPS_ADDRESS": "127.0.0.1:0",
        "HARKARA_EVENT_SERVICE_AUTH_TARGET": mesh.auth_target,
        "HARKARA_EVENT_SERVICE_CREDENTIAL_FILE": str(
            DataDir(Path(mesh.data_dir)).credential_file("event-service")
        ),
        "HARKARA_EVENT_SERVICE_POSTGRES_DSN": mesh.postgres_dsn,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "harkara_event_service"], env=environment, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            record = json.loads(line)
            if record["event"] == "started":
                yield record["listen_address"]
                break
        else:
            pytest.fail("the second event-service did not start")
    finally:
        process.send_signal(signal.SIGTERM)
        # It may still be writing its log: read it to the end, so that it can finish.
        process.communicate(timeout=20)


async def test_200_emitters_to_20_users_through_two_processes_leave_no_gap(
    mesh: Mesh, second_event_service: str
) -> None:
    users = [f"gapless_{number}" for number in range(USERS)]
    metadata = bearer(mesh.service_token)

    async def emit_one_by_one(number: int, stub: pb_grpc.EmitServiceAsyncStub) -> list[tuple[str, int]]:
        answers = []
        for turn in range(EVENTS_EACH):
            user_id = users[(number + turn) % USERS]
            draft = event_pb2.EventDraft(user_id=user_id, event_type="order_ready", data="{}")
            answer = await stub.Emit(pb.EmitRequest(event=draft), metadata=metadata, timeout=30)
            answers.append((user_id, answer.seq))
        return answers

    async with (
        grpc.aio.insecure_channel(mesh.emit_target) as first,
        grpc.aio.insecure_channel(second_event_service) as second,
    ):
        stubs = [pb_grpc.EmitServiceStub(first), pb_grpc.EmitServiceStub(second)]
        told = await asyncio.gather(
            *(emit_one_by_one(number, stubs[number % 2]) for number in range(EMITTERS))
        )

    by_user: dict[str, list[int]] = {user_id: [] for user_id in users}
    for user_id, seq in (pair for answers in told for pair in answers):
        by_user[user_id].append(seq)
    expected = list(range(1, EMITTERS * EVENTS_EACH // USERS + 1))
    for user_id in users:
        assert sorted(by_user[user_id]) == expected, user_id
    with psycopg.connect(mesh.postgres_dsn) as connection:
        rows = connection.execute(
            "SELECT user_id, array_agg(seq ORDER BY seq) FROM event_log"
            " WHERE user_id = ANY(%s) GROUP BY user_id",
            [users],
        ).fetchall()
    assert dict(rows) == dict.fromkeys(users, expected)
