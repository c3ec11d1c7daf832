"""`users` against a real auth-service."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harkara_cli import mesh_state, users
from harkara_cli.calls import connected
from harkara_cli.data_dir import DataDir
from harkara_cli.main import main
from harkara_cli.mesh_state import MeshState
from harkara_cli.users import Users
from tests.support.auth_service import auth_settings, running_auth_service
from tests.support.auth_tokens import OWN_KEY, write_own_key
from tests.support.postgres import Database


@pytest.fixture
async def data(tmp_path: Path, database: Database) -> AsyncIterator[DataDir]:
    """The folder of a running mesh, which has an auth-service and nothing else."""
    data = DataDir(tmp_path / "data")
    settings = auth_settings(tmp_path, database.dsn_for("harkara_auth_service"))
    async with running_auth_service(settings) as service:
        with data.locked():
            write_own_key(data.secrets, OWN_KEY)
            data.make_secrets()
            target = service.bound.listen_address
            mesh_state.save(
                data, MeshState("", "", "", [], target, "", None, str(data.path), {}, {}, "", "", [])
            )
            yield data


async def told(data: DataDir, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What the command, which must succeed, says to people."""
    assert await asyncio.to_thread(main, ["users", *arguments, "--data-dir", str(data.path)]) == 0
    return [line.removeprefix("harkara: ") for line in capsys.readouterr().err.splitlines()]


async def listed(data: DataDir) -> list[tuple[str, str, str]]:
    """Everybody."""

    def ask() -> list[tuple[str, str, str]]:
        state = mesh_state.load(data)
        with connected(state.auth_target, "auth-service", data.credential("operator")) as caller:
            return list(Users(caller).listed())

    return await asyncio.to_thread(ask)


async def test_adding_without_a_role_makes_customers_and_demotes_nobody(
    data: DataDir, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await told(data, capsys, "add", "anna", "--role", "admin") == ["anna: added as admin"]
    assert await told(data, capsys, "add", "bert", "anna") == ["bert: added as customer", "anna: unchanged"]
    assert await listed(data) == [("anna", "admin", "active"), ("bert", "customer", "active")]


async def test_a_role_that_is_named_is_given_to_everybody_and_the_old_one_is_told(
    data: DataDir, capsys: pytest.CaptureFixture[str]
) -> None:
    await told(data, capsys, "add", "anna", "--role", "admin")
    assert await told(data, capsys, "add", "anna", "bert", "--role", "customer") == [
        "anna: is customer now (was admin)",
        "bert: added as customer",
    ]
    assert await listed(data) == [("anna", "customer", "active"), ("bert", "customer", "active")]


async def test_a_disabled_user_is_told_to_be_enabled_again_and_keeps_the_role(
    data: DataDir, capsys: pytest.CaptureFixture[str]
) -> None:
    await told(data, capsys, "add", "anna", "bert", "--role", "shop")
    await told(data, capsys, "disable", "anna", "bert")
    assert await told(data, capsys, "add", "anna") == ["anna: enabled again"]
    assert await told(data, capsys, "add", "bert", "--role", "support") == [
        "bert: is support now (was shop), enabled again"
    ]
    assert await listed(data) == [("anna", "shop", "active"), ("bert", "support", "active")]


async def test_more_users_than_a_request_may_hold_are_told_in_the_order_given(
    data: DataDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "PAGE", 2)
    await told(data, capsys, "add", "c", "--role", "shop")
    assert await told(data, capsys, "add", "e", "c", "a", "d", "b") == [
        "e: added as customer",
        "c: unchanged",
        "a: added as customer",
        "d: added as customer",
        "b: added as customer",
    ]
