"""What makes a deployment's secrets, and what makes its database ready for them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import sql

from deploy.make_secrets import make_secrets
from deploy.migrate.migrate import main, prepare
from harkara_cli.data_dir import DataDir
from harkara_schema.logins import LOGINS
from harkara_schema.version import require_current
from harkara_servicekit.settings import read_secret_file
from tests.support.postgres import Database

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def secrets_folder(tmp_path: Path) -> Path:
    make_secrets(tmp_path)
    return tmp_path / "secrets"


@pytest.fixture
def new_database(empty_database: Database) -> Iterator[Database]:
    """An empty database; the logins made for it go with it, since they belong to the whole server."""
    yield empty_database
    with psycopg.connect(empty_database.dsn, autocommit=True) as connection:
        for login in LOGINS:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(login)))


def dsn_with_passfile(database: Database, login: str, folder: Path) -> str:
    """The URL as docker-compose.yml gives it: with a file instead of a password."""
    host = database.server.embedded.dsn.rpartition("@")[2].partition("/")[0]
    return f"postgresql://{login}@{host}/{database.name}?passfile={folder / f'{login}.pgpass'}"


def test_every_secret_that_is_mounted_is_made_for_its_owner_alone(secrets_folder: Path) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    made = {path.name for path in secrets_folder.iterdir()}
    assert set(compose["secrets"]) <= made
    assert made - set(compose["secrets"]) == {"operator.token"}
    for path in secrets_folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert read_secret_file(path)


def test_making_secrets_again_keeps_them(secrets_folder: Path) -> None:
    before = {path.name: path.read_text() for path in secrets_folder.iterdir()}
    make_secrets(secrets_folder.parent)
    assert {path.name: path.read_text() for path in secrets_folder.iterdir()} == before


def test_tokens_can_be_made_with_a_deployments_key(secrets_folder: Path) -> None:
    minter = DataDir(secrets_folder.parent).minter()
    assert minter.is_ours(read_secret_file(secrets_folder / "edge.token"), 3_600, 400 * 86_400)


def test_no_secret_can_be_committed() -> None:
    asked = subprocess.run(
        ["git", "check-ignore", "deploy/secrets/hs256.key", "deploy/secrets/new"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode == 128:
        pytest.skip("not a git checkout")
    assert asked.stdout.split() == ["deploy/secrets/hs256.key", "deploy/secrets/new"]


def test_each_login_can_do_its_services_work_and_no_more(
    new_database: Database, secrets_folder: Path
) -> None:
    passwords = {login: read_secret_file(secrets_folder / f"postgres-{login}.password") for login in LOGINS}
    said: list[str] = []
    prepare(new_database.dsn, passwords, said.append)
    assert said[-4:] == ["tables at revision 0003", *(f"login {login}" for login in LOGINS)]
    prepare(new_database.dsn, passwords, said.append)  # Again: nothing is in its way.
    for login in LOGINS:
        require_current(dsn_with_passfile(new_database, login, secrets_folder))
    reader = dsn_with_passfile(new_database, "query_service", secrets_folder)
    with psycopg.connect(reader, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM event_log").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM event_log")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM app_user")


def test_a_new_password_replaces_the_old_one(new_database: Database, secrets_folder: Path) -> None:
    prepare(new_database.dsn, dict.fromkeys(LOGINS, "the old one"), lambda _: None)
    dsn = dsn_with_passfile(new_database, "auth_service", secrets_folder)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn)
    passwords = {login: read_secret_file(secrets_folder / f"postgres-{login}.password") for login in LOGINS}
    prepare(new_database.dsn, passwords, lambda _: None)
    psycopg.connect(dsn).close()


@pytest.mark.parametrize(
    ("missing", "status", "line"),
    [
        ("HARKARA_MIGRATE_DSN", 2, "HARKARA_MIGRATE_DSN is not set"),
        ("HARKARA_PASSWORD_FILES", 2, "HARKARA_PASSWORD_FILES is not set"),
        ("a file", 1, "{folder}/postgres-event_service.password: No such file or directory"),
        ("postgres", 1, 'connection failed: connection to server at "127.0.0.1", port 1 failed: '),
    ],
)
def test_a_migration_that_cannot_be_done_is_told_in_one_line(
    missing: str, status: int, line: str, secrets_folder: Path
) -> None:
    environment = {
        "HARKARA_MIGRATE_DSN": "postgresql://nobody@127.0.0.1:1/harkara",
        "HARKARA_PASSWORD_FILES": str(secrets_folder),
    }
    environment.pop(missing, None)
    if missing == "a file":
        (secrets_folder / "postgres-event_service.password").unlink()
    said: list[str] = []
    assert main(environment, said.append) == status
    assert len(said) == 1
    assert said[0].startswith(line.format(folder=secrets_folder))


def test_the_script_says_where_the_secrets_are_and_as_whom_to_run(tmp_path: Path) -> None:
    script = tmp_path / "make_secrets.py"
    script.write_text((ROOT / "deploy/make_secrets.py").read_text(encoding="utf-8"))
    done = subprocess.run(  # noqa: S603 - our own script.
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"secrets are in {tmp_path / 'secrets'}"
    if os.geteuid() == 0:
        assert lines[1:] == []
        assert {path.stat().st_uid for path in (tmp_path / "secrets").iterdir()} == {10001}
    else:
        assert lines[1:] == [f"export HARKARA_UID={os.geteuid()} HARKARA_GID={os.getegid()}"]
