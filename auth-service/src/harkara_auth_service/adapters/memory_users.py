"""The users in memory: what the port promises, in its plainest form. For tests of whatever uses the port."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from harkara_auth_service.domain.users import (
    Change,
    NewUser,
    Page,
    User,
    UserChange,
    after_adding,
    after_disabling,
    plan_adding,
    plan_disabling,
    plan_removing,
)
from harkara_auth_service.ports import Changed, ChangePage, Snapshot


class MemoryUsers:
    """A `UserDirectory` that lives as long as the object. No method awaits, so each is atomic."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._changes: list[UserChange] = []

    async def find(self, user_ids: Sequence[str]) -> Snapshot:
        """As the port says."""
        return Snapshot(len(self._changes), {key: self._users[key] for key in user_ids if key in self._users})

    async def add(self, users: Sequence[NewUser], at: datetime) -> Changed:
        """As the port says."""
        added = after_adding(users, self._users, at)
        version = self._record(plan_adding(users, self._users))
        self._users.update({user.user_id: user for user in added})
        return Changed(version, added)

    async def disable(self, user_ids: Sequence[str], at: datetime) -> Changed:
        """As the port says."""
        version = self._record(plan_disabling(user_ids, self._users))
        disabled = after_disabling(user_ids, self._users, at)
        self._users.update({user.user_id: user for user in disabled})
        return Changed(version, disabled)

    async def remove(self, user_ids: Sequence[str], at: datetime) -> Changed:
        """As the port says."""
        del at  # The memory keeps no times of changes.
        changes = plan_removing(user_ids, self._users)
        for change in changes:
            del self._users[change.user_id]
        return Changed(self._record(changes), ())

    async def list(self, page: Page) -> Sequence[User]:
        """As the port says."""
        wanted = self._users if page.only is None else self._users.keys() & set(page.only)
        later = sorted(user_id for user_id in wanted if user_id > page.after)
        return [self._users[user_id] for user_id in later[: page.size + 1]]

    async def changes_after(self, version: int, limit: int) -> ChangePage:
        """As the port says."""
        return ChangePage(len(self._changes), self._changes[version : version + limit])

    def _record(self, changes: Sequence[Change]) -> int:
        for change in changes:
            self._changes.append(UserChange(len(self._changes) + 1, change.user_id, change.reason))
        return len(self._changes)
