"""`doctor`: of a mesh that is down, of services that are not there, of real databases."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harkara_cli.data_dir import DataDir
from harkara_cli.doctor import mesh
from harkara_cli.doctor.database import database as look_at
from harkara_cli.doctor.findings import Finding
from harkara_cli.main import main
from harkara_cli.mesh_state import DemoUser, MeshState
from harkara_cli.ports import free_port
from tests.support.postgres import Database

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def nowhere() -> MeshState:
    """A mesh of which nothing is there."""
    ports = [free_port() for _ in range(6)]
    where = [f"127.0.0.1:{port}" for port in ports]
    return MeshState(
        websocket_url=f"ws://{where[0]}/api/websocket/ws",
        rest_url=f"http://{where[1]}",
        emit_target=where[2],
        emit_targets=[where[2]],
        auth_target=where[3],
        postgres_dsn=f"postgresql://postgres:secret@{where[4]}/harkara",
        backplane_url=f"nats://harkara:secret@{where[5]}",
        data_dir="",
        ops_urls={
            "edge": [f"http://{where[0]}", f"http://{where[1]}"],
            "auth-service": [f"http://{where[3]}"],
        },
        pids={"edge": [1, 2], "auth-service": [3]},
        admin_token="",
        service_token="",
        users=[DemoUser("demo_customer", "customer", "")],
    )


class LiveHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/livez" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep silent."""


@pytest.fixture
def live_but_not_ready() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), LiveHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_every_service_that_is_not_there_is_told_and_no_password(nowhere: MeshState) -> None:
    found: list[Finding] = [
        *mesh.processes(nowhere),
        *mesh.grpc_services(nowhere),
        *mesh.rest(nowhere),
        *mesh.websocket(nowhere, "a.token"),
        *mesh.backplane(nowhere),
        *look_at(nowhere.postgres_dsn),
    ]
    assert {finding.name: finding.verdict for finding in found} == dict.fromkeys(
        (
            "edge 1",
            "edge 2",
            "auth-service",
            "auth-service gRPC",
            "event-service gRPC",
            "REST",
            "WebSocket",
            "NATS",
            "database",
        ),
        "fail",
    )
    assert all(finding.remedy for finding in found)
    assert "secret" not in str(found)


def test_a_process_that_lives_and_is_not_ready_is_told(nowhere: MeshState, live_but_not_ready: str) -> None:
    nowhere.ops_urls["auth-service"] = [live_but_not_ready]
    (found,) = [finding for finding in mesh.processes(nowhere) if finding.name == "auth-service"]
    assert found.verdict == "fail"
    assert found.found == f"lives at {live_but_not_ready}, pid 3, but is not ready"


def test_a_server_that_says_no_word_of_nats_is_told(nowhere: MeshState) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        state = nowhere.__class__(
            **{
                **{name: getattr(nowhere, name) for name in nowhere.__struct_fields__},
                "backplane_url": f"nats://127.0.0.1:{listener.getsockname()[1]}",
            }
        )
        thread = threading.Thread(target=_greet, args=(listener,))
        thread.start()
        (found,) = mesh.backplane(state)
        thread.join()
    assert (found.verdict, "is no NATS server" in found.found) == ("fail", True)


def _greet(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 400\r\n")


def test_code_that_is_younger_than_a_process_is_told(nowhere: MeshState, tmp_path: Path) -> None:
    source = tmp_path / "service.py"
    source.touch()
    changed = source.stat().st_mtime
    (old,) = mesh.code(nowhere, [source], lambda pid: changed + (10 if pid == 3 else -10))
    assert (old.verdict, old.found) == ("warn", "changed since edge began")
    (current,) = mesh.code(nowhere, [source], lambda _: changed + 10)
    assert current.verdict == "ok"
    assert list(mesh.code(nowhere, [source], lambda _: None)) == []


def test_a_database_of_this_release_is_good(database: Database) -> None:
    found = {finding.name: finding for finding in look_at(database.dsn)}
    assert found["database"].verdict == "ok"
    assert (found["tables"].verdict, found["clock of Postgres"].verdict) == ("ok", "ok")


def test_a_database_without_tables_is_told_with_the_command_that_makes_them(empty_database: Database) -> None:
    found = {finding.name: finding for finding in look_at(empty_database.dsn)}
    assert (found["tables"].verdict, found["tables"].remedy) == ("fail", "./harkara migrate")


def test_of_a_mesh_that_is_down_it_says_so_and_how_to_start_it(tmp_path: Path, capsys: Captured) -> None:
    data = DataDir(tmp_path / "data")
    data.make()
    data.make_secrets()
    assert main(["doctor", "--data-dir", str(data.path)]) == 1
    shown = capsys.readouterr()
    assert shown.err == ""
    lines = shown.out.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("fail  mesh ")]
    assert lines[at].endswith(f"no mesh runs on {data.path}")
    assert lines[at + 1].strip() == f"→ start it: ./harkara up --data-dir {data.path}"
    assert lines[-1].startswith("1 failure")


def test_for_programs_it_is_one_json_object(tmp_path: Path, capsys: Captured) -> None:
    assert main(["doctor", "--json", "--data-dir", str(tmp_path / "none")]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert {finding["name"] for finding in said["findings"]} >= {"python", "packages", "mesh"}
    assert set(said["findings"][0]) == {"name", "verdict", "found", "remedy"}


def test_a_damaged_run_file_is_a_finding(tmp_path: Path, capsys: Captured) -> None:
    data = DataDir(tmp_path / "data")
    with data.locked():
        data.make_secrets()
        data.run_file.write_bytes(b"\xff{")
        assert main(["doctor", "--data-dir", str(data.path)]) == 1
    shown = capsys.readouterr()
    assert "run.json cannot be read" in shown.out
    assert "Traceback" not in shown.out + shown.err
