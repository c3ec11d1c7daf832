"""The embedded Postgres against real PostgreSQL programs."""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from harkara_cli.child_process import as_user
from harkara_cli.data_dir import DataDir
from harkara_cli.embedded_postgres import EmbeddedPostgres
from harkara_cli.errors import PostgresError
from harkara_cli.mesh import postgres_server
from harkara_cli.postgres_binaries import PostgresBinaries, find_binaries
from tests.support.processes import family_of, wait_until_gone

QUICK = {"fsync": "off"}


@pytest.fixture(scope="module")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cluster in it that is not running; copied, never used itself."""
    folder = tmp_path_factory.mktemp("made") / "postgres"
    with EmbeddedPostgres(folder, settings=QUICK):
        pass
    return folder


@pytest.fixture
def folder(made_folder: Path, tmp_path: Path) -> Path:
    """A copy of one's own, in a folder whose name has a space."""
    return Path(shutil.copytree(made_folder, tmp_path / "my data" / "postgres"))


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(folder, settings=QUICK) as running:
        yield running


def ask(server: EmbeddedPostgres, sql: str) -> object:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        answer = connection.execute(sql)
        row = answer.fetchone() if answer.description else None
    return row[0] if row else None


def test_a_new_folder_becomes_a_server_that_wants_the_generated_password(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "new", settings=QUICK) as server:
        assert ask(server, "SELECT current_user") == "postgres"
        assert stat.S_IMODE((tmp_path / "new" / "superuser-password").stat().st_mode) == 0o600
        wrong = server.dsn_of("postgres", password="wrong")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
    assert server.poll() == 0


def test_it_listens_on_loopback_alone_and_takes_settings(server: EmbeddedPostgres) -> None:
    listening = {
        connection.laddr.ip
        for connection in psutil.Process(server.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    assert ask(server, "SHOW fsync") == "off"


def test_the_log_of_a_mesh_has_no_line_for_an_event_that_was_stored_already(folder: Path) -> None:
    with postgres_server(DataDir(folder.parent), 0, {}) as server:
        ask(server, "CREATE TABLE log (id int PRIMARY KEY)")
        ask(server, "INSERT INTO log VALUES (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            ask(server, "INSERT INTO log VALUES (1)")
    log = (folder / "postgres.log").read_text()
    assert "duplicate key" not in log
    assert "database system is ready to accept connections" in log


def test_data_and_port_survive_a_stop_and_a_start(server: EmbeddedPostgres) -> None:
    port = server.port
    ask(server, "CREATE TABLE kept AS SELECT 7 AS n")
    server.stop()
    server.start()
    assert (server.port, ask(server, "SELECT n FROM kept")) == (port, 7)


def test_a_killed_server_starts_again_on_its_port_with_what_was_committed(server: EmbeddedPostgres) -> None:
    port = server.port
    ask(server, "CREATE TABLE kept AS SELECT 7 AS n")
    busy = psycopg.connect(server.dsn)
    busy.execute("SELECT 1")  # An open transaction: its backend may outlive the postmaster a moment.
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait(10)
    server.start()
    busy.close()
    assert (server.port, ask(server, "SELECT n FROM kept")) == (port, 7)


def test_a_pid_file_that_names_a_stranger_does_not_stop_the_start(folder: Path) -> None:
    # After a power cut the old pid may be anybody's; Postgres itself would refuse to start.
    stranger = os.getpid()
    (folder / "cluster" / "postmaster.pid").write_text(f"{stranger}\n{folder}\n0\n0\n\n\n\n\n")
    with EmbeddedPostgres(folder, settings=QUICK) as server:
        assert ask(server, "SELECT 1") == 1


def test_a_cluster_whose_making_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path, settings=QUICK) as server:
        assert ask(server, "SELECT 1") == 1


def test_a_folder_of_another_postgres_version_is_refused_in_one_line(folder: Path) -> None:
    (folder / "cluster" / "PG_VERSION").write_text("9\n")
    with pytest.raises(
        PostgresError, match=r"was made by PostgreSQL 9, and here is only .*HARKARA_PG_BINDIR"
    ) as told:
        EmbeddedPostgres(folder).start()
    assert "\n" not in str(told.value)


def test_a_second_server_on_the_same_folder_is_refused(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harkara_cli.embedded_postgres._FOREIGN_SERVER_SECONDS", 0.05)
    with pytest.raises(PostgresError, match=rf"another Postgres \(pid {server.pid}\) runs on"):
        EmbeddedPostgres(server.data_dir).start()
    assert ask(server, "SELECT 1") == 1


def test_a_taken_port_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PostgresError, match=f"^port {port} on 127.0.0.1 .Postgres. is taken$"):
            EmbeddedPostgres(folder, port).start()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PostgresError, match=r"cannot write in .*/file/data: Not a directory"):
        EmbeddedPostgres(tmp_path / "file" / "data").start()


def test_a_wrong_setting_is_told_in_the_servers_own_words(folder: Path) -> None:
    with pytest.raises(
        PostgresError, match=r"ended with status 1 before it was ready: FATAL:.*no_such_setting"
    ):
        EmbeddedPostgres(folder, settings={"no_such_setting": "1"}).start()


def test_stopping_twice_or_before_the_start_is_no_error(folder: Path) -> None:
    server = EmbeddedPostgres(folder, settings=QUICK)
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_a_bindir_that_holds_no_postgres_is_named(tmp_path: Path) -> None:
    with pytest.raises(PostgresError, match=f"HARKARA_PG_BINDIR={tmp_path} holds no working postgres"):
        find_binaries({"HARKARA_PG_BINDIR": str(tmp_path)})


def test_the_bindir_of_the_environment_is_the_only_one() -> None:
    newest = find_binaries({})[0]
    assert find_binaries({"HARKARA_PG_BINDIR": str(newest.folder)}) == [newest]


def test_killing_the_parent_leaves_no_server_process(folder: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from harkara_cli.embedded_postgres import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(Path(sys.argv[1]), settings={'fsync': 'off'}); server.start()\n"
        "print(server.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(  # noqa: S603 - our own interpreter.
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout is not None
        family = family_of(int(parent.stdout.readline()))
        assert len(family) > 1
        parent.kill()
    wait_until_gone(family)
    # And the folder opens again at once.
    with EmbeddedPostgres(folder, settings=QUICK) as server:
        assert ask(server, "SELECT 1") == 1


def reachable(binaries: PostgresBinaries) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (binaries.folder, *binaries.folder.parents))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_where_namespaces_are_refused_root_runs_it_as_an_unprivileged_user() -> None:
    binaries = next((found for found in find_binaries() if reachable(found)), None)
    if binaries is None:
        pytest.skip("every PostgreSQL here lies in a folder that only root can enter")
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="harkara-") as open_to_all:
        Path(open_to_all).chmod(0o755)
        server = EmbeddedPostgres(
            Path(open_to_all) / "postgres",
            settings=QUICK,
            identities=(as_user(nobody),),
            environment={"HARKARA_PG_BINDIR": str(binaries.folder)},
        )
        with server:
            assert psutil.Process(server.pid).uids().real == nobody.pw_uid
        # Whoever comes as root later runs it as the owner again.
        with EmbeddedPostgres(
            server.data_dir, settings=QUICK, environment={"HARKARA_PG_BINDIR": str(binaries.folder)}
        ) as again:
            assert psutil.Process(again.pid).uids().real == nobody.pw_uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_the_unprivileged_user_cannot_reach_gives_one_clear_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    nobody = as_user(pwd.getpwnam("nobody"))
    with pytest.raises(PostgresError, match="does not run as root, and neither a user namespace nor") as told:
        EmbeddedPostgres(tmp_path / "postgres", identities=(nobody,)).start()
    assert "\n" not in str(told.value)
