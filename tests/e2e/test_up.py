"""`up` and the commands beside it, on the whole mesh: real processes, real ports, real signals."""

import contextlib
import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import psutil
import psycopg
import pytest

from harkara_cli.main import main
from harkara_cli.ports import free_port
from tests.support.processes import family_of, is_gone, wait_until_gone
from tests.support.waiting import wait_until

# Several starts of the whole mesh, on a machine that does other things too.
pytestmark = pytest.mark.timeout(180)

KEYS = [
    "websocket_url",
    "rest_url",
    "emit_target",
    "emit_targets",
    "auth_target",
    "postgres_dsn",
    "backplane_url",
    "data_dir",
    "ops_urls",
    "pids",
    "admin_token",
    "service_token",
    "users",
]
SERVICES = ["edge", "event-service", "auth-service", "query-service", "postgres"]
ORDER = '{"order_id":"ord_1"}'


@dataclass
class Up:
    """A running `./harkara up --json`."""

    process: "subprocess.Popen[bytes]"
    line: str
    said: dict[str, Any]
    log: Path

    @property
    def data_dir(self) -> str:
        return str(self.said["data_dir"])

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(harkara("status", "--json", "--data-dir", self.data_dir).stdout)
        return answer

    def log_has(self, words: str) -> bool:
        return words in self.log.read_text()


@dataclass
class Ran:
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


def harkara(*arguments: str) -> Ran:
    """A command, in this process: half a second less than in one of its own."""
    with (
        contextlib.redirect_stdout(io.StringIO()) as stdout,
        contextlib.redirect_stderr(io.StringIO()) as stderr,
    ):
        status = main(arguments)
    return Ran(status, stdout.getvalue(), stderr.getvalue())


def harkara_process(
    *arguments: str, environment: Mapping[str, str] | None = None, given: str | None = None
) -> Ran:
    """A command as a shell runs it."""
    run = subprocess.run(  # noqa: S603 - our own command.
        [sys.executable, "-P", "-m", "harkara_cli", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        input=given,
        env={**os.environ, **(environment or {})},
    )
    return Ran(run.returncode, run.stdout, run.stderr)


def shell(line: str, up: "Up", environment: Mapping[str, str] | None = None) -> Ran:
    """A shell's line, in which `harkara` is the command, on the mesh that runs."""
    run = subprocess.run(  # noqa: S603 - our own command.
        ["/bin/sh", "-c", line.replace("harkara ", f"{sys.executable} -P -m harkara_cli ")],
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
        env={**os.environ, "HARKARA_DATA_DIR": up.data_dir, **(environment or {})},
    )
    return Ran(run.returncode, run.stdout, run.stderr)


@contextmanager
def running(data_dir: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Up]:
    """`up --json`; killed at the end if the test has not ended it."""
    log = data_dir.with_name(f"{data_dir.name}.log")
    command = [sys.executable, "-P", "-m", "harkara_cli", "up", "--json", "--data-dir", str(data_dir)]
    with log.open("ab") as log_file:
        process = subprocess.Popen(  # noqa: S603 - our own command.
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=log_file,
            env={**os.environ, **(environment or {})},
        )
    with process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline().decode()
            assert line, log.read_text()
            yield Up(process, line, json.loads(line), log)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A new mesh with two edge workers, for all tests of this file that leave it running."""
    with running(
        tmp_path_factory.mktemp("up") / "my data", "--ports", "auto", "--edge-workers", "2"
    ) as running_up:
        yield running_up


def alive(pids: dict[str, list[int]]) -> bool:
    return all(not is_gone(pid) for of_service in pids.values() for pid in of_service)


def test_one_json_line_says_where_everything_is(up: Up) -> None:
    said = up.said
    assert list(said) == KEYS
    assert said["websocket_url"].startswith("ws://127.0.0.1:")
    assert said["websocket_url"].endswith("/api/websocket/ws")
    assert said["rest_url"].startswith("http://127.0.0.1:")
    assert said["data_dir"].endswith("/my data")
    assert {service: len(pids) for service, pids in said["pids"].items()} == {
        "edge": 2,
        "event-service": 1,
        "auth-service": 1,
        "query-service": 1,
        "postgres": 1,
    }
    assert {service: len(urls) for service, urls in said["ops_urls"].items()} == {
        "edge": 2,
        "event-service": 1,
        "auth-service": 1,
        "query-service": 1,
    }
    assert alive(said["pids"])
    assert [(user["user_id"], user["user_role"]) for user in said["users"]] == [
        ("demo_customer", "customer"),
        ("demo_rider", "delivery_boy"),
        ("demo_shop", "shop"),
        ("demo_admin", "admin"),
    ]
    assert said["admin_token"] == said["users"][3]["token"]
    claims = jwt.decode(said["service_token"], options={"verify_signature": False})
    assert (claims["user_id"], claims["user_role"]) == ("demo_service", "service")


def test_every_process_answers_at_its_ops_url(up: Up) -> None:
    for url in [url for urls in up.said["ops_urls"].values() for url in urls]:
        for path in ("/livez", "/readyz", "/metrics"):
            with urllib.request.urlopen(f"{url}{path}", timeout=5) as answer:  # noqa: S310 - loopback.
                assert answer.status == 200


def test_a_new_mesh_has_no_event(up: Up) -> None:
    with psycopg.connect(up.said["postgres_dsn"]) as connection:
        users = connection.execute("SELECT count(*) FROM user_stream WHERE user_id = 'demo_rider'").fetchone()
    assert users == (0,)


def test_status_says_the_same_as_up(up: Up) -> None:
    status = up.status()
    assert list(status) == KEYS
    assert {key: value for key, value in status.items() if key != "pids"} == {
        key: value for key, value in up.said.items() if key != "pids"
    }
    for_people = harkara("status", "--data-dir", up.data_dir).stdout
    assert all(service in for_people for service in SERVICES)
    assert up.said["websocket_url"] in for_people


def test_the_doctor_finds_a_mesh_that_runs_well(up: Up) -> None:
    run = harkara("doctor", "--json", "--data-dir", up.data_dir)
    found = {finding["name"]: finding for finding in json.loads(run.stdout)["findings"]}
    # The machine of a test may be short of something; the mesh is not.
    bad = {name for name, finding in found.items() if finding["verdict"] != "ok"}
    assert bad <= {"open files", "disk", "python", "packages", "connections"}, run.stdout
    assert set(found) >= {
        "mesh",
        "database",
        "tables",
        "clock of edge",
        "WebSocket",
        "auth-service gRPC",
        "code",
    }
    assert up.said["users"][0]["token"] not in run.stdout


def test_what_emit_emits_tail_prints(up: Up) -> None:
    about = ("--user", "demo_customer", "--data-dir", up.data_dir)
    emitted = harkara("emit", "--type", "order_created", "--data", ORDER, "--json", *about)
    assert emitted.returncode == 0, emitted.stderr
    event = json.loads(emitted.stdout)
    assert event["duplicate"] is False
    tailed = harkara("tail", "--since", str(event["seq"] - 1), "--count", "1", "--json", *about)
    assert tailed.returncode == 0, tailed.stderr
    frame = json.loads(tailed.stdout)
    assert (frame["event_id"], frame["source"], frame["data"]) == (
        event["event_id"],
        "demo_service",
        {"order_id": "ord_1"},
    )
    for_people = harkara("tail", "--since", str(event["seq"] - 1), "--count", "1", *about)
    assert "order_created" in for_people.stdout
    assert for_people.stdout.endswith("demo_service  order_id=ord_1\n")


def test_tail_of_several_users_shows_what_the_filters_let_through_and_whose_it_is(up: Up) -> None:
    where = ("--data-dir", up.data_dir)
    assert harkara("users", "add", "tail_a", "tail_b", *where).returncode == 0
    for user_id, kind in (
        ("tail_a", "payment_initiated"),
        ("tail_a", "eta_updated"),
        ("tail_b", "payment_completed"),
        ("tail_b", "order_ready"),
        ("tail_b", "payment_failed"),
    ):
        emit = ("emit", "--user", user_id, "--type", kind, "--data", '{"order_id":"find me"}')
        assert harkara(*emit, *where).returncode == 0
    tail = ("tail", "--user", "tail_a", "--user", "tail_b", "--since", "0", "--count", "3", *where)
    run = harkara(*tail, "--types", "payment_*,eta_updated", "--level", "high", "--grep", "FIND ME")
    assert run.returncode == 0, run.stderr
    lines = [line.split()[1:4] for line in run.stdout.splitlines()]
    assert [line for line in lines if line[1] == "tail_a"] == [["1", "tail_a", "payment_initiated"]]
    assert [line for line in lines if line[1] == "tail_b"] == [
        ["1", "tail_b", "payment_completed"],
        ["3", "tail_b", "payment_failed"],
    ]
    whole = harkara("tail", "--user", "tail_a", "--since", "0", "--count", "1", "--full", *where)
    assert whole.stdout.endswith('demo_service  {"order_id":"find me"}\n')


def test_stored_events_are_listed_newest_first_and_one_is_shown_in_full(up: Up) -> None:
    where = ("--data-dir", up.data_dir)
    emit = ("emit", "--user", "events_listed", "--type", "order_created", "--json", *where)
    ids = [json.loads(harkara(*emit, "--data", f'{{"x":{n}.10}}').stdout)["event_id"] for n in range(3)]
    listed = harkara("events", "list", "--user", "events_listed", "--limit", "2", *where)
    assert listed.returncode == 0, listed.stderr
    assert [line.split()[2:4] + line.split()[-1:] for line in listed.stdout.splitlines()] == [
        ["3", "order_created", "x=2.10"],
        ["2", "order_created", "x=1.10"],
    ]
    assert listed.stderr == "harkara: there may be older ones: --before-seq 2\n"
    older = harkara("events", "list", "--user", "events_listed", "--before-seq", "2", "--json", *where)
    assert [json.loads(line)["event_id"] for line in older.stdout.splitlines()] == ids[:1]
    shown = harkara("events", "show", ids[1], *where)
    assert shown.returncode == 0, shown.stderr
    assert [line.split() for line in shown.stdout.splitlines()[:3]] == [
        ["order_created", "high"],
        ["id", ids[1]],
        ["user", "events_listed"],
    ]
    assert '"x": 1.10' in shown.stdout
    assert '{"x":1.10}' in harkara("events", "show", ids[1], "--json", *where).stdout


def test_what_is_not_there_or_not_known_is_one_line(up: Up) -> None:
    where = ("--data-dir", up.data_dir)
    none = harkara("events", "show", "evt_01KG0000000000000000000000", *where)
    assert none == Ran(1, "", "harkara: query-service: There is no such event\n")
    nobody = harkara("events", "list", "--user", "events_of_nobody", *where)
    assert nobody == Ran(0, "", "harkara: no events of events_of_nobody\n")
    unknown = harkara("events", "list", "--user", "anna", "--type", "order_eaten", *where)
    assert (unknown.returncode, unknown.stdout, len(unknown.stderr.splitlines())) == (2, "", 1)


def seen_at_a_terminal(command: list[str], environment: Mapping[str, str]) -> tuple[str, str]:
    """What a command prints, and what stands on its standard error, a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen(  # noqa: S603 - our own command.
        [sys.executable, "-P", "-m", "harkara_cli", *command],
        stdout=subprocess.PIPE,
        stderr=slave,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", **environment},
    ) as process:
        os.close(slave)
        assert process.stdout is not None
        stdout = process.stdout.read().decode()
        said = b""
        with contextlib.suppress(OSError):  # EIO: its end is closed.
            while data := os.read(master, 65_536):
                said += data
        os.close(master)
        assert process.wait(30) == 0, said
    return stdout, said.decode()


def test_a_long_emit_shows_its_progress_at_a_terminal_and_nowhere_else(up: Up, tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_text(f'{{"event_type":"order_ready","data":{ORDER}}}\n' * 600)
    command = ["emit", "--user", "progress", "--from", str(file), "--data-dir", up.data_dir]
    stdout, said = seen_at_a_terminal(command, {"NO_COLOR": ""})
    assert [line.split()[1:] for line in stdout.splitlines()] == [["seq", str(n)] for n in range(1, 601)]
    assert "100%" in said
    assert "600 events in " in said.rpartition("\033[K")[2]
    stdout, said = seen_at_a_terminal(command, {"NO_COLOR": "1"})
    assert (len(stdout.splitlines()), said) == (600, "")


def test_many_events_come_from_standard_input_and_one_at_fault_fails_alone(up: Up) -> None:
    lines = [
        {"event_type": "order_ready", "data": {"order_id": "a"}},
        {"event_type": "no_such_type", "data": {}},
        {"event_type": "order_ready", "data": '{"order_id":"b"}', "event_level": "critical"},
    ]
    emitted = harkara_process(
        *("emit", "--from", "-", "--user", "many_events", "--data-dir", up.data_dir),
        given="\n".join(json.dumps(line) for line in lines),
    )
    assert emitted.returncode == 1
    assert [line.split()[1:] for line in emitted.stdout.splitlines()] == [["seq", "1"], ["seq", "2"]]
    assert emitted.stderr.splitlines()[0].startswith("harkara: event 2: INVALID_ARGUMENT")
    assert emitted.stderr.splitlines()[1:] == ["harkara: 1 of 3 events were refused"]


def test_users_are_added_listed_disabled_and_removed(up: Up) -> None:
    where = ("--data-dir", up.data_dir)

    def listed(*ids: str) -> list[dict[str, str]]:
        run = harkara("users", "list", "--json", *ids, *where)
        assert run.returncode == 0, run.stderr
        return [json.loads(line) for line in run.stdout.splitlines()]

    assert (
        harkara_process("users", "add", "-", "--role", "shop", *where, given="anna\nbert\n").returncode == 0
    )
    assert harkara("users", "disable", "anna", *where).returncode == 0
    assert listed("anna", "bert") == [
        {"user_id": "anna", "user_role": "shop", "status": "disabled"},
        {"user_id": "bert", "user_role": "shop", "status": "active"},
    ]
    assert harkara("users", "remove", "anna", "bert", *where).returncode == 0
    assert listed("anna", "bert") == []
    unknown = harkara("users", "disable", "anna", *where)
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (1, 1)
    assert "NOT_FOUND" in unknown.stderr


def test_following_somebody_who_is_no_user_ends_with_the_servers_reason(up: Up) -> None:
    run = harkara("tail", "--user", "no_such_user", "--data-dir", up.data_dir)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("harkara: the server closed the connection: 4403 forbidden: no such user")


def test_tail_ends_without_a_word_when_nobody_reads_what_it_prints(up: Up) -> None:
    command = ["tail", "--user", "demo_customer", "--data-dir", up.data_dir]
    with subprocess.Popen(  # noqa: S603 - our own command.
        [sys.executable, "-P", "-m", "harkara_cli", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as tailing:
        assert tailing.stdout
        assert tailing.stderr
        tailing.stdout.close()
        try:
            # As any command of which nobody reads the output.
            assert (tailing.wait(20), tailing.stderr.read()) == (1, b"")
        finally:
            tailing.kill()


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("users list", ""),
        ("status", ""),
        (f"emit --user demo_rider --type order_ready --data '{ORDER}'", "; the event is stored: evt_"),
        ("tail --user demo_shop --since 0 --count 1", ""),
    ],
)
def test_output_that_cannot_be_written_is_one_line(up: Up, command: str, more: str, redirection: str) -> None:
    if command.startswith("tail"):
        about = ("--user", "demo_shop", "--data-dir", up.data_dir)
        assert harkara("emit", "--type", "order_ready", "--data", ORDER, *about).returncode == 0
    run = shell(f"harkara {command} {redirection}", up)
    assert run.returncode == 1
    assert run.stderr.startswith("harkara: standard output cannot be written: ")
    assert more in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_emit_whose_reader_leaves_early_tells_how_many_events_are_stored(up: Up, tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_text(f'{{"event_type":"order_ready","data":{ORDER}}}\n' * 3)
    command = f"{{ harkara emit --user demo_rider --from {file}; echo $? >&2; }} | :"
    assert shell(command, up).stderr == (
        "harkara: nobody reads the output any more; 3 events were stored before that\n1\n"
    )


def test_emit_from_standard_input_that_is_closed_is_one_line(up: Up) -> None:
    run = shell("harkara emit --user demo_rider --from - <&-", up)
    said = "harkara: standard input: Bad file descriptor; 0 events were stored before that\n"
    assert run == Ran(2, "", said)


def test_an_events_data_is_kept_as_a_file_has_it(up: Up, tmp_path: Path) -> None:
    file = tmp_path / "events"
    data = '{"order_id":"हरकारा","total_amount":1.10, "x":12345678901234567.89}'
    file.write_text(f'{{"event_type":"order_created","data":{data}}}\n')
    emitted = harkara("emit", "--user", "demo_admin", "--from", str(file), "--data-dir", up.data_dir)
    assert emitted.returncode == 0, emitted.stderr
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    tail = "harkara tail --user demo_admin --since 0 --count 1"
    assert "हरकारा" in shell(tail, up, plain).stdout
    assert data in shell(f"{tail} --json", up, plain).stdout


def test_a_second_up_on_the_same_folder_is_refused_in_one_line(up: Up) -> None:
    run = harkara_process("up", "--ports", "auto", "--data-dir", up.data_dir)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"harkara: another ./harkara up (pid {up.process.pid}) runs on {up.data_dir}\n"


def test_migrating_a_running_mesh_changes_nothing(up: Up) -> None:
    run = harkara("migrate", "--data-dir", up.data_dir)
    assert (run.returncode, run.stdout.startswith("tables at revision ")) == (0, True), run.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_that_is_killed_is_started_again_on_its_old_port(up: Up, service: str) -> None:
    before = up.status()["pids"]
    os.kill(before[service][-1], signal.SIGKILL)

    def everything_runs_again() -> bool:
        now = up.status()["pids"]
        return bool(
            now[service] != before[service] and len(now[service]) == len(before[service]) and alive(now)
        )

    wait_until(everything_runs_again)
    assert up.log_has(f"pid {before[service][-1]} was ended by SIGKILL: starting it again")
    new_pid = (set(up.status()["pids"][service]) - set(before[service])).pop()
    wait_until(lambda: up.log_has(f"ready again (pid {new_pid}"), 60)
    # The same addresses serve: an event goes all the way once more.
    about = ("--user", "demo_shop", "--data-dir", up.data_dir)
    emitted = harkara("emit", "--type", "order_created", "--data", ORDER, "--json", *about)
    assert emitted.returncode == 0, emitted.stderr
    seq = json.loads(emitted.stdout)["seq"]
    tailed = harkara("tail", "--since", str(seq - 1), "--count", "1", "--json", *about)
    assert json.loads(tailed.stdout)["seq"] == seq


def test_data_survives_and_no_process_is_left_however_it_ends(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    where = ("--data-dir", str(data_dir))
    # The first time on ports that the settings name.
    listen, ops = free_port(), free_port()
    environment = {
        f"HARKARA_{service}_{setting}": f"127.0.0.1:{port}"
        for service, ports in {
            "EDGE": (listen, ops),
            "QUERY_SERVICE": (free_port({listen, ops}), free_port({listen, ops})),
            "EVENT_SERVICE": (free_port({listen, ops}), free_port({listen, ops})),
            "AUTH_SERVICE": (free_port({listen, ops}), free_port({listen, ops})),
        }.items()
        for setting, port in zip(("LISTEN_ADDRESS", "OPS_ADDRESS"), ports, strict=True)
    }
    with running(data_dir, environment=environment) as first:
        assert first.said["websocket_url"] == f"ws://127.0.0.1:{listen}/api/websocket/ws"
        assert first.said["ops_urls"]["edge"] == [f"http://127.0.0.1:{ops}"]
        emit = ("emit", "--user", "demo_customer", "--type", "order_created", "--data", ORDER, *where)
        assert harkara(*emit).returncode == 0
        family = family_of(first.process.pid)
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(60) == 0
        assert first.process.stdout is not None
        assert first.process.stdout.read() == b""
    wait_until_gone(family)
    stopped = harkara("status", *where)
    assert (stopped.returncode, stopped.stdout) == (1, "")
    assert stopped.stderr == f"harkara: no mesh runs on {data_dir}: start it with ./harkara up\n"
    # Tokens and migrations do not need it.
    assert harkara("token", "--user", "demo_customer", *where).returncode == 0
    migrated = harkara("migrate", "--new-epoch", *where)
    assert migrated.returncode == 0, migrated.stderr

    with running(data_dir, "--ports", "auto") as second:
        tail = ("tail", "--user", "demo_customer", "--since", "0", "--count", "1", "--json", *where)
        assert json.loads(harkara(*tail).stdout)["data"] == {"order_id": "ord_1"}
        family = family_of(second.process.pid)
        assert len(family) > len(SERVICES)
        second.process.kill()
        second.process.wait()
        wait_until_gone(family)
    stale = harkara("status", *where)
    assert stale.stderr == f"harkara: no mesh runs on {data_dir}: start it with ./harkara up\n"


def test_a_taken_port_is_named_with_its_setting_even_if_its_owner_would_share_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = harkara_process(
            *("up", "--data-dir", str(tmp_path / "data")),
            environment={"HARKARA_EDGE_LISTEN_ADDRESS": f"127.0.0.1:{port}"},
        )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (
        f"harkara: port {port} (edge's WebSocket) is taken: free it, set HARKARA_EDGE_LISTEN_ADDRESS,"
        " or use --ports auto\n"
    )


def test_wrong_settings_of_a_service_end_the_start_and_leave_nothing(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    run = harkara_process(
        *("up", "--ports", "auto", "--data-dir", str(data_dir)),
        environment={"HARKARA_QUERY_SERVICE_LOG_LEVEL": "loud"},
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert "query-service   │ HARKARA_QUERY_SERVICE_LOG_LEVEL: " in run.stderr
    assert run.stderr.splitlines()[-1] == "harkara: query-service: its settings are wrong, see its log"
    mine = [process for process in psutil.process_iter(["cmdline"]) if str(data_dir) in str(process.info)]
    assert mine == []
