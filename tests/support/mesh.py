"""The whole mesh, started as a newcomer starts it: `up --json`, real processes, free ports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import msgspec

from harkara.auth.v1 import user_service_pb2, user_service_pb2_grpc
from harkara.event.v1 import emit_service_pb2, emit_service_pb2_grpc, event_pb2
from harkara_cli.data_dir import DataDir

SECONDS_TO_START = 45
SECONDS_TO_STOP = 20

_ROLES = {
    "customer": user_service_pb2.ROLE_CUSTOMER,
    "delivery_boy": user_service_pb2.ROLE_DELIVERY_BOY,
    "shop": user_service_pb2.ROLE_SHOP,
    "support": user_service_pb2.ROLE_SUPPORT,
    "admin": user_service_pb2.ROLE_ADMIN,
}


class User(msgspec.Struct):
    user_id: str
    user_role: str
    token: str


class Mesh(msgspec.Struct):
    """What the JSON line says, and what a test does with it."""

    websocket_url: str
    rest_url: str
    emit_target: str
    emit_targets: list[str]
    auth_target: str
    postgres_dsn: str
    backplane_url: str | None
    data_dir: str
    ops_urls: dict[str, Any]
    pids: dict[str, list[int]]
    admin_token: str
    service_token: str
    users: list[User]

    def token_of(self, user_id: str, role: str | None = None, seconds: int = 3600) -> str:
        """A token of a user of this mesh."""
        return DataDir(Path(self.data_dir)).minter().for_user(user_id, role, seconds)

    def service_token_of(self, name: str, *types: str) -> str:
        """A token of a service that may emit these types."""
        return DataDir(Path(self.data_dir)).minter().for_service(name, types)

    def add_users(self, roles: Mapping[str, str]) -> None:
        """Add users by id and role."""
        with grpc.insecure_channel(self.auth_target) as channel:
            user_service_pb2_grpc.UserServiceStub(channel).AddUsers(
                user_service_pb2.AddUsersRequest(
                    users=[
                        user_service_pb2.User(user_id=user_id, role=_ROLES[role])
                        for user_id, role in roles.items()
                    ]
                ),
                metadata=bearer(self.admin_token),
                timeout=10,
            )

    def change_users(self, how: str, user_ids: Sequence[str]) -> None:
        """Disable or remove users."""
        with grpc.insecure_channel(self.auth_target) as channel:
            stub = user_service_pb2_grpc.UserServiceStub(channel)
            if how == "disable":
                disable = user_service_pb2.DisableUsersRequest(user_ids=user_ids)
                stub.DisableUsers(disable, metadata=bearer(self.admin_token), timeout=10)
            else:
                remove = user_service_pb2.RemoveUsersRequest(user_ids=user_ids)
                stub.RemoveUsers(remove, metadata=bearer(self.admin_token), timeout=10)

    def emit(
        self, *events: event_pb2.EventDraft, token: str | None = None
    ) -> list[emit_service_pb2.EmitResult]:
        """Emit in one batch, and return what became of each."""
        with grpc.insecure_channel(self.emit_target) as channel:
            answer = emit_service_pb2_grpc.EmitServiceStub(channel).EmitBatch(
                emit_service_pb2.EmitBatchRequest(events=events),
                metadata=bearer(token or self.service_token),
                timeout=10,
            )
            return list(answer.results)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a call with this credential."""
    return (("authorization", f"Bearer {token}"),)


@contextmanager
def running_mesh(
    data_dir: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    inside: Sequence[str] = (),
) -> Iterator[tuple[Mesh, subprocess.Popen[bytes]]]:
    """`up --json --ports auto` on a folder; stopped as Ctrl-C stops it, and then nothing is left.

    Args:
        data_dir: The folder.
        arguments: Further ones of `up`.
        environment: Variables beside our own.
        inside: A command that becomes the one that follows it.
    """
    command = [
        *inside,
        sys.executable,
        "-m",
        "harkara_cli",
        "up",
        "--json",
        "--ports",
        "auto",
        "--data-dir",
        str(data_dir),
    ]
    with (data_dir.parent / f"{data_dir.name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command.
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **(environment or {})},
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, f"up did not start: {Path(log.name).read_text()}"
            yield msgspec.convert(json.loads(line), Mesh), process
        finally:
            process.terminate()
            try:
                process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
            finally:
                process.stdout.close()
