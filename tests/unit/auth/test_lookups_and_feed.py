"""Look-ups that go together, what is remembered of them, and the feed of changes, over users in memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from harkara_auth_service.adapters.memory_users import MemoryUsers
from harkara_auth_service.domain.errors import DirectoryUnavailableError, StoppingError
from harkara_auth_service.domain.users import NewUser, Role
from harkara_auth_service.metrics import Metrics
from harkara_auth_service.ports import ChangePage, Snapshot
from harkara_auth_service.service import changes, lookups
from harkara_auth_service.service.changes import ChangeFeed, Revocations
from harkara_auth_service.service.lookups import Known, UserLookups
from tests.support.waiting import wait_until_async

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Directory(MemoryUsers):
    """Users in memory that can be made to wait, or to be away."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[str]] = []
        self.pages = 0
        self.is_away = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def find(self, user_ids: Sequence[str]) -> Snapshot:
        if self.is_away:
            raise DirectoryUnavailableError
        snapshot = await super().find(user_ids)
        if user_ids:
            self.asked.append(sorted(user_ids))
            # What was read before the wait is what is answered after it.
            await self.may_answer.wait()
        return snapshot

    async def changes_after(self, version: int, limit: int) -> ChangePage:
        if self.is_away:
            raise DirectoryUnavailableError
        self.pages += 1
        return await super().changes_after(version, limit)

    async def add_shops(self, *user_ids: str) -> None:
        await self.add([NewUser(user_id, Role.SHOP) for user_id in user_ids], NOW)

    async def come_and_go(self, user_id: str, times: int) -> None:
        """Two changes each time, the first of which revokes."""
        for _ in range(times):
            await self.disable([user_id], NOW)
            await self.add_shops(user_id)

    def lose_history(self, kept: int) -> None:
        """As a database that was restored from an older copy."""
        del self._changes[kept:]


@dataclass
class Mesh:
    """What is tested, with its time and its users."""

    directory: Directory = field(default_factory=Directory)
    now: float = 0.0

    def __post_init__(self) -> None:
        metrics = Metrics(CollectorRegistry())
        self.lookups = UserLookups(self.directory, lambda: self.now, metrics)
        self.feed = ChangeFeed(self.directory, self.lookups, lambda: self.now, metrics)

    async def role_of(self, user_id: str) -> Role | None:
        user = (await self.lookups.find(user_id)).user
        return user.role if user else None


@pytest.fixture
def mesh() -> Mesh:
    return Mesh()


@asynccontextmanager
async def running(feed: ChangeFeed) -> AsyncIterator[None]:
    reader = asyncio.create_task(feed.run())
    try:
        await wait_until_async(lambda: feed.in_step)
        yield
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def settle() -> None:
    """Let everything that can run now run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


# ---- look-ups


async def test_lookups_that_arrive_together_are_one_and_those_that_follow_the_next(mesh: Mesh) -> None:
    await mesh.directory.add_shops("a", "b", "c")
    mesh.directory.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(mesh.role_of("a"))
        await settle()
        later = [group.create_task(mesh.role_of(user_id)) for user_id in ("b", "c", "nobody", "b", "a")]
        await settle()
        mesh.directory.may_answer.set()
    assert first.result() is Role.SHOP
    assert [task.result() for task in later] == [Role.SHOP, Role.SHOP, None, Role.SHOP, Role.SHOP]
    assert mesh.directory.asked == [["a"], ["a", "b", "c", "nobody"]]


async def test_an_answer_is_remembered_for_2_seconds_also_that_there_is_no_such_user(mesh: Mesh) -> None:
    await mesh.directory.add_shops("a")
    for mesh.now in (0.0, 1.9):
        assert (await mesh.role_of("a"), await mesh.role_of("b")) == (Role.SHOP, None)
    assert mesh.directory.asked == [["a"], ["b"]]
    mesh.now = 2.0
    await mesh.role_of("a")
    assert mesh.directory.asked == [["a"], ["b"], ["a"]]


async def test_what_was_read_before_a_change_is_not_remembered_after_it(mesh: Mesh) -> None:
    await mesh.directory.add_shops("a")
    mesh.directory.may_answer.clear()
    slow = asyncio.create_task(mesh.lookups.find("a"))
    await settle()
    changed = await mesh.directory.disable(["a"], NOW)
    mesh.lookups.forget(["a"], changed.version)
    mesh.directory.may_answer.set()
    assert (await slow).version == 1  # It says itself how much it knows.
    known = await mesh.lookups.find("a")
    assert (known.version, known.user and known.user.status) == (2, "disabled")


async def test_a_lookup_after_a_change_does_not_join_one_from_before_it(mesh: Mesh) -> None:
    await mesh.directory.add_shops("a")
    mesh.directory.may_answer.clear()
    before = asyncio.create_task(mesh.lookups.find("a"))
    await settle()
    await mesh.directory.disable(["a"], NOW)
    after = asyncio.create_task(mesh.lookups.find("a"))
    await settle()
    mesh.directory.may_answer.set()
    assert ((await before).version, (await after).version) == (1, 2)


async def test_one_who_goes_away_does_not_spoil_the_lookup_of_others(mesh: Mesh) -> None:
    await mesh.directory.add_shops("a")
    mesh.directory.may_answer.clear()
    gone, stays = asyncio.create_task(mesh.role_of("a")), asyncio.create_task(mesh.role_of("a"))
    await settle()
    gone.cancel()
    await settle()
    mesh.directory.may_answer.set()
    assert await stays is Role.SHOP


async def test_a_directory_that_is_away_is_never_an_answer(mesh: Mesh) -> None:
    await mesh.directory.add_shops("a")
    mesh.directory.is_away = True
    for _ in range(2):
        with pytest.raises(DirectoryUnavailableError):
            await mesh.lookups.find("a")
    mesh.directory.is_away = False
    assert await mesh.role_of("a") is Role.SHOP


async def test_a_thousand_users_are_the_most_that_one_statement_asks_for(mesh: Mesh) -> None:
    async with asyncio.TaskGroup() as group:
        for n in range(1500):
            group.create_task(mesh.role_of(f"u{n}"))
    assert [len(asked) for asked in mesh.directory.asked] == [1000, 500]


async def test_one_user_too_many_is_turned_away_at_once_and_nobody_who_waits(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "MAX_WAITING", 3)
    await mesh.directory.add_shops("first", "a", "b", "c", "d")
    mesh.directory.may_answer.clear()
    under_way = asyncio.create_task(mesh.role_of("first"))
    await settle()
    asking = [asyncio.create_task(mesh.role_of(user_id)) for user_id in ("a", "b", "c", "d", "a")]
    await settle()
    done = [task.done() for task in asking]
    mesh.directory.may_answer.set()

    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert done == [False, False, False, True, False]
    assert isinstance(answers.pop(3), DirectoryUnavailableError)
    assert [await under_way, *answers, await mesh.role_of("d")] == [Role.SHOP] * 6


# ---- the feed


async def read(watch: AsyncGenerator[Revocations, None]) -> Revocations:
    async with asyncio.timeout(5):
        return await anext(watch)


def told(revocations: Revocations) -> list[tuple[int, str, str]]:
    return [(change.version, change.user_id, change.reason.value) for change in revocations.changes]


async def test_a_change_that_is_heard_of_voids_what_was_remembered(mesh: Mesh) -> None:
    await mesh.directory.add_shops("a")
    async with running(mesh.feed):
        assert (await mesh.role_of("a"), await mesh.role_of("b")) == (Role.SHOP, None)
        await mesh.directory.remove(["a"], NOW)
        await mesh.directory.add_shops("b")
        mesh.feed.wake()
        await settle()
        assert (await mesh.role_of("a"), await mesh.role_of("b")) == (None, Role.SHOP)


async def test_a_watch_without_a_version_starts_at_the_present_and_says_so_at_once(mesh: Mesh) -> None:
    await mesh.directory.add_shops("a")
    await mesh.directory.disable(["a"], NOW)
    async with running(mesh.feed), aclosing(mesh.feed.watch(None)) as watch:
        assert await read(watch) == Revocations((), (), 2)
        await mesh.directory.add_shops("a")
        await mesh.directory.remove(["a"], NOW)
        mesh.feed.wake()
        revocations = await read(watch)
        assert (told(revocations), revocations.version) == ([(4, "a", "removed")], 4)


@pytest.mark.parametrize("in_memory", [True, False], ids=["from memory", "from the directory"])
async def test_a_watch_replays_in_order_what_follows_its_version(mesh: Mesh, in_memory: bool) -> None:
    await mesh.directory.add_shops("a")
    if not in_memory:
        await mesh.directory.come_and_go("a", times=1200)
    async with running(mesh.feed):
        if in_memory:
            await mesh.directory.come_and_go("a", times=1200)
            mesh.feed.wake()
            await settle()
        pages_before = mesh.directory.pages
        versions: list[int] = []
        async with aclosing(mesh.feed.watch(1001)) as watch:
            position = 0
            while position < 2401:
                revocations = await read(watch)
                position = revocations.version
                versions += [change.version for change in revocations.changes]
        assert versions == list(range(1002, 2401, 2))
        assert (mesh.directory.pages == pages_before) is in_memory


async def test_a_watch_that_is_further_back_than_memory_reaches_reads_the_directory(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "KEPT", 4)
    mesh = Mesh()
    async with running(mesh.feed):
        await mesh.directory.add_shops("a")
        await mesh.directory.come_and_go("a", times=10)
        mesh.feed.wake()
        await settle()
        for since in range(22):
            async with aclosing(mesh.feed.watch(since)) as watch:
                revocations = await read(watch)
            assert [change.version for change in revocations.changes] == [
                version for version in range(2, 22, 2) if version > since
            ]
            assert revocations.version == 21


async def test_silence_brings_ticks(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "TICK_SECONDS", 0.01)
    await mesh.directory.add_shops("a")
    async with running(mesh.feed), aclosing(mesh.feed.watch(0)) as watch:
        assert [await read(watch) for _ in range(3)] == [Revocations((), (), 1)] * 3


async def test_a_watch_may_know_more_than_the_reader_but_not_more_than_there_is(mesh: Mesh) -> None:
    async with running(mesh.feed):
        await mesh.directory.add_shops("a", "b")
        await mesh.directory.disable(["b"], NOW)
        async with aclosing(mesh.feed.watch(2)) as watch:
            assert (await read(watch)).version == 2
        async with aclosing(mesh.feed.watch(1_000_000)) as watch:
            assert (await read(watch)).version == 3


async def test_revoked_names_are_told_anew_to_one_who_goes_on_and_else_as_they_come(mesh: Mesh) -> None:
    mesh.feed.revoke(frozenset({"orders"}))
    async with (
        running(mesh.feed),
        aclosing(mesh.feed.watch(0)) as going_on,
        aclosing(mesh.feed.watch(None)) as starting,
    ):
        assert (await read(going_on)).names == ("orders",)
        assert (await read(starting)).names == ()
        mesh.feed.revoke(frozenset({"orders", "payment", "edge"}))
        assert (await read(going_on)).names == (await read(starting)).names == ("edge", "payment")
        mesh.feed.revoke(frozenset({"edge"}))
        assert mesh.feed.is_revoked("edge")
        assert not mesh.feed.is_revoked("orders")
        assert (await read(going_on)).names == ()
        mesh.feed.revoke(frozenset({"edge", "orders"}))
        assert (await read(going_on)).names == ("orders",)


async def test_while_the_directory_is_away_there_are_ticks_and_then_what_was_missed(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(changes, "READ_SECONDS", 0.01)
    await mesh.directory.add_shops("a")
    async with running(mesh.feed), aclosing(mesh.feed.watch(1)) as watch:
        mesh.directory.is_away = True
        await mesh.directory.disable(["a"], NOW)
        assert {(await read(watch)).version for _ in range(5)} == {1}
        mesh.now += 5
        assert not mesh.feed.in_step
        mesh.directory.is_away = False
        while not (revocations := await read(watch)).changes:
            pass
        assert told(revocations) == [(2, "a", "disabled")]
        assert mesh.feed.in_step


async def test_nobody_can_watch_before_the_history_was_read(mesh: Mesh) -> None:
    with pytest.raises(DirectoryUnavailableError):
        await anext(mesh.feed.watch(0))


async def test_after_a_restore_watches_and_memory_follow_the_history_there_is(mesh: Mesh) -> None:
    await mesh.directory.add_shops("a", "b", "c")
    async with running(mesh.feed), aclosing(mesh.feed.watch(None)) as watch:
        assert (await read(watch)).version == 3
        assert await mesh.role_of("a") is Role.SHOP
        mesh.directory.lose_history(kept=1)
        mesh.feed.wake()
        assert (await read(watch)).version == 1
        await mesh.directory.disable(["a"], NOW)
        mesh.feed.wake()
        assert told(await read(watch)) == [(2, "a", "disabled")]
        known: Known = await mesh.lookups.find("a")
        assert (known.version, known.user and known.user.status) == (2, "disabled")


async def test_a_process_that_stops_ends_every_watch(mesh: Mesh) -> None:
    async with running(mesh.feed), aclosing(mesh.feed.watch(None)) as watch:
        await read(watch)
        mesh.feed.close()
        with pytest.raises(StoppingError):
            await read(watch)
        with pytest.raises(StoppingError):
            await anext(mesh.feed.watch(0))
