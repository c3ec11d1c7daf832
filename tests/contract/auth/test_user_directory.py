"""What `UserDirectory` promises, of the one in memory and the one in Postgres."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from harkara_auth_service.adapters.memory_users import MemoryUsers
from harkara_auth_service.adapters.postgres_session import PostgresSession, open_engine
from harkara_auth_service.adapters.postgres_users import PostgresUsers
from harkara_auth_service.domain.errors import UnknownUsersError
from harkara_auth_service.domain.users import (
    ChangeReason,
    NewUser,
    Page,
    Role,
    User,
    UserChange,
    UserStatus,
)
from harkara_auth_service.metrics import Metrics
from harkara_auth_service.ports import UserDirectory
from tests.support.postgres import Database

FIRST = datetime(2026, 1, 1, 10, 20, 30, 123456, tzinfo=UTC)
THEN = datetime(2026, 2, 1, tzinfo=UTC)
ALL = Page("", 10_000, None)


@pytest.fixture(params=["memory", "postgres"])
async def users(request: pytest.FixtureRequest) -> AsyncIterator[UserDirectory]:
    if request.param == "memory":
        yield MemoryUsers()
        return
    database: Database = request.getfixturevalue("database")
    engine = open_engine(database.dsn_for("harkara_auth_service"))
    yield PostgresUsers(PostgresSession(engine, Metrics(CollectorRegistry())))
    await engine.dispose()


def active(user_id: str, role: Role, created_at: datetime = FIRST, updated_at: datetime = FIRST) -> User:
    return User(user_id, role, UserStatus.ACTIVE, created_at, updated_at)


async def history(users: UserDirectory, after: int = 0) -> list[tuple[int, str, str]]:
    page = await users.changes_after(after, 1000)
    return [(change.version, change.user_id, change.reason.value) for change in page.changes]


async def test_an_empty_directory_is_at_version_0(users: UserDirectory) -> None:
    snapshot = await users.find(["a"])
    assert (snapshot.version, dict(snapshot.users)) == (0, {})
    page = await users.changes_after(0, 10)
    assert (page.last_version, list(page.changes)) == (0, [])
    assert list(await users.list(ALL)) == []


async def test_added_users_are_found_with_the_version_of_their_change(users: UserDirectory) -> None:
    changed = await users.add([NewUser("b", Role.SHOP), NewUser("a", Role.ADMIN)], FIRST)
    assert list(changed.users) == [active("b", Role.SHOP), active("a", Role.ADMIN)]
    assert changed.version == 2
    snapshot = await users.find(["a", "nobody", "b"])
    assert snapshot.version == 2
    assert dict(snapshot.users) == {"a": active("a", Role.ADMIN), "b": active("b", Role.SHOP)}
    assert await history(users) == [(1, "b", "added"), (2, "a", "added")]


async def test_adding_again_changes_role_and_enables(users: UserDirectory) -> None:
    await users.add([NewUser(name, Role.SHOP) for name in ("a", "b", "c", "d")], FIRST)
    await users.disable(["b", "c"], FIRST)
    changed = await users.add(
        [
            NewUser("a", Role.ADMIN),
            NewUser("b", Role.SHOP),
            NewUser("c", Role.ADMIN),
            NewUser("d", Role.SHOP),
        ],
        THEN,
    )
    expected = [
        active("a", Role.ADMIN, FIRST, THEN),
        active("b", Role.SHOP, FIRST, THEN),
        active("c", Role.ADMIN, FIRST, THEN),
        active("d", Role.SHOP, FIRST, FIRST),
    ]
    assert list(changed.users) == expected
    assert list(await users.list(ALL)) == expected
    assert await history(users, after=6) == [
        (7, "a", "role_changed"),
        (8, "b", "enabled"),
        (9, "c", "role_changed"),
        (10, "c", "enabled"),
    ]
    assert changed.version == 10


async def test_a_change_that_changes_nothing_has_no_version(users: UserDirectory) -> None:
    await users.add([NewUser("a", Role.SHOP)], FIRST)
    await users.disable(["a"], FIRST)
    assert (await users.disable(["a", "a"], THEN)).version == 2
    assert (await users.find(["a"])).users["a"].updated_at == FIRST
    await users.add([NewUser("a", Role.SHOP)], THEN)
    assert (await users.add([NewUser("a", Role.SHOP)], THEN)).version == 3


async def test_a_disabled_user_stays_and_a_removed_one_does_not(users: UserDirectory) -> None:
    await users.add([NewUser(name, Role.SHOP) for name in ("a", "b", "c")], FIRST)
    disabled = await users.disable(["c", "a"], THEN)
    assert [(user.user_id, user.status, user.updated_at) for user in disabled.users] == [
        ("c", UserStatus.DISABLED, THEN),
        ("a", UserStatus.DISABLED, THEN),
    ]
    assert (await users.find(["a"])).users["a"].status is UserStatus.DISABLED
    removed = await users.remove(["b", "a", "b"], THEN)
    assert (removed.version, list(removed.users)) == (7, [])
    assert [user.user_id for user in await users.list(ALL)] == ["c"]
    assert await history(users, after=3) == [
        (4, "c", "disabled"),
        (5, "a", "disabled"),
        (6, "b", "removed"),
        (7, "a", "removed"),
    ]


async def test_one_unknown_user_and_nothing_happens(users: UserDirectory) -> None:
    await users.add([NewUser("a", Role.SHOP)], FIRST)
    for change in (users.disable, users.remove):
        with pytest.raises(UnknownUsersError) as caught:
            await change(["a", "nobody"], THEN)
        assert caught.value.user_ids == ("nobody",)
    assert dict((await users.find(["a"])).users) == {"a": active("a", Role.SHOP)}
    assert (await users.changes_after(0, 10)).last_version == 1


async def test_users_are_listed_by_code_point_from_an_id_on(users: UserDirectory) -> None:
    ids = ["B", "_", "a", "-", "Z", "10", "9", "z"]
    await users.add([NewUser(user_id, Role.SHOP) for user_id in ids], FIRST)
    listed = [user.user_id for user in await users.list(ALL)]
    assert listed == sorted(ids)
    assert [user.user_id for user in await users.list(Page("9", 2, None))] == ["B", "Z", "_"]
    assert [user.user_id for user in await users.list(Page("9", 5, ("a", "B", "10", "x")))] == ["B", "a"]
    assert list(await users.list(Page("", 5, ()))) == []


async def test_history_is_read_in_pages_from_a_version_on(users: UserDirectory) -> None:
    await users.add([NewUser(f"u{n}", Role.SHOP) for n in range(5)], FIRST)
    page = await users.changes_after(1, 2)
    assert page.last_version == 5
    assert list(page.changes) == [
        UserChange(2, "u1", ChangeReason.ADDED),
        UserChange(3, "u2", ChangeReason.ADDED),
    ]
    beyond = await users.changes_after(9, 2)
    assert (beyond.last_version, list(beyond.changes)) == (5, [])


async def test_changes_made_at_the_same_time_have_versions_without_a_gap(users: UserDirectory) -> None:
    names = [f"u{n}" for n in range(8)]
    await users.add([NewUser(name, Role.SHOP) for name in names], FIRST)

    async def come_and_go(name: str) -> None:
        for _ in range(3):
            await users.disable([name, names[0]], THEN)
            await users.add([NewUser(name, Role.SHOP)], THEN)

    await asyncio.gather(*map(come_and_go, names))
    versions = [version for version, _, _ in await history(users)]
    assert versions == list(range(1, len(versions) + 1))
    assert len(versions) >= 8 + 2 * 3 * 7


async def test_10000_users_are_added_found_and_removed_at_once(users: UserDirectory) -> None:
    ids = [f"user_{n}" for n in range(10_000)]
    assert (await users.add([NewUser(user_id, Role.CUSTOMER) for user_id in ids], FIRST)).version == 10_000
    assert len((await users.find(ids)).users) == 10_000
    assert (await users.disable(ids, THEN)).version == 20_000
    assert (await users.remove(ids, THEN)).version == 30_000
    assert (await users.find(ids)).users == {}


async def test_a_role_that_this_release_does_not_know_lets_nobody_in_and_harms_no_other(
    database: Database,
) -> None:
    engine = open_engine(database.dsn_for("harkara_auth_service"))
    users = PostgresUsers(PostgresSession(engine, Metrics(CollectorRegistry())))
    await users.add([NewUser("a", Role.SHOP), NewUser("b", Role.SHOP)], FIRST)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("UPDATE app_user SET role = 'auditor' WHERE user_id = 'a'")
    assert (await users.find(["a", "b"])).users.keys() == {"b"}
    assert [user.role for user in (await users.add([NewUser("a", Role.ADMIN)], THEN)).users] == [Role.ADMIN]
    await engine.dispose()
