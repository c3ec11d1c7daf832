"""Keeps the users: checks what is asked for, changes them, and makes the change felt here at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from harkara_auth_service.domain.users import (
    NewUser,
    Principal,
    User,
    check_new_users,
    check_user_ids,
    read_page,
)
from harkara_auth_service.ports import Changed, UserDirectory
from harkara_auth_service.service.changes import ChangeFeed
from harkara_auth_service.service.lookups import UserLookups

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class UserPage:
    """Users by rising id, and the token of the next page, empty on the last."""

    users: Sequence[User]
    next_page_token: str


class UserKeeping:
    """The users' keeper. Each method says in the log who changed how many users.

    A change that was made is made, also when the caller has gone by then; then its effect here comes with the
    history's reader.

    Args:
        directory: where the users are.
        lookups: what forgets users that changed.
        feed: what tells watchers of them.
        clock: the time, in seconds since the epoch.
    """

    def __init__(
        self,
        directory: UserDirectory,
        lookups: UserLookups,
        feed: ChangeFeed,
        clock: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._lookups = lookups
        self._feed = feed
        self._clock = clock

    async def add(self, users: Sequence[NewUser], caller: Principal) -> Sequence[User]:
        """Add users, or give them their role and enable them: all or none.

        Args:
            users: 1 to 10,000, each id once.
            caller: who asks.

        Returns:
            The users as they now are, in the order of `users`.

        Raises:
            InvalidRequestError: they cannot be added like this.
            DirectoryUnavailableError: perhaps they were added; asking again is right.
        """
        check_new_users(users)
        changed = await self._directory.add(users, self._now())
        self._took_effect("users_added", [user.user_id for user in users], changed, caller)
        return changed.users

    async def disable(self, user_ids: Sequence[str], caller: Principal) -> Sequence[User]:
        """Disable users: all or none.

        Args:
            user_ids: 1 to 10,000.
            caller: who asks.

        Returns:
            The users as they now are, in the order of `user_ids`.

        Raises:
            InvalidRequestError: too few, too many, or an odd id.
            UnknownUsersError: some do not exist; none was disabled.
            DirectoryUnavailableError: perhaps they were disabled; asking again is right.
        """
        check_user_ids(user_ids)
        changed = await self._directory.disable(user_ids, self._now())
        self._took_effect("users_disabled", user_ids, changed, caller)
        return changed.users

    async def remove(self, user_ids: Sequence[str], caller: Principal) -> None:
        """Remove users: all or none.

        Args:
            user_ids: 1 to 10,000.
            caller: who asks.

        Raises:
            InvalidRequestError: too few, too many, or an odd id.
            UnknownUsersError: some do not exist; none was removed.
            DirectoryUnavailableError: perhaps they were removed; asking again then calls them unknown.
        """
        check_user_ids(user_ids)
        changed = await self._directory.remove(user_ids, self._now())
        self._took_effect("users_removed", user_ids, changed, caller)

    async def list(self, page_size: int, page_token: str, user_ids: Sequence[str]) -> UserPage:
        """One page of users.

        Args:
            page_size: 1 to 10,000; 0 for 1,000.
            page_token: that of the page before; "" for the first.
            user_ids: only these, at most 10,000; none for all.

        Raises:
            InvalidRequestError: one of these is out of range.
            DirectoryUnavailableError: the users cannot be read now.
        """
        page = read_page(page_size, page_token, user_ids)
        users = await self._directory.list(page)
        shown = users[: page.size]
        return UserPage(shown, shown[-1].user_id if len(users) > page.size else "")

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _took_effect(self, what: str, user_ids: Sequence[str], changed: Changed, caller: Principal) -> None:
        self._lookups.forget(user_ids, changed.version)
        self._feed.wake()
        _log.info(what, caller=caller.user_id, users=len(user_ids), version=changed.version)
