"""What the service needs of the world, each with its guarantee."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from harkara_auth_service.domain.token_rules import KeySource
from harkara_auth_service.domain.users import NewUser, Page, User, UserChange


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Users as they were at one moment.

    Args:
        version: the last change that had happened by then, neither more nor less.
        users: by id; one that is missing did not exist.
    """

    version: int
    users: Mapping[str, User]


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change of users left behind.

    Args:
        version: of its last change; that of before where nothing changed.
        users: as they now are, in the order asked for; empty where they were removed.
    """

    version: int
    users: Sequence[User]


@dataclass(frozen=True, slots=True)
class ChangePage:
    """A part of the history of changes.

    Args:
        last_version: of the last change there was when this was read.
        changes: in rising version, without a gap.
    """

    last_version: int
    changes: Sequence[UserChange]


class UserDirectory(Protocol):
    """The users and the history of their changes.

    Each call that changes users happens wholly or not at all, and gives each changed user a version in
    the same stroke: 1, 2, 3, … over all processes, without a gap, in the order in which the changes take
    effect. Whoever read version n has every change up to n before them.

    Each call ends within its own bounds, with `DirectoryUnavailableError` where the answer cannot be had; a
    call that changes users may then have happened, and is safe to ask for again. Cancelled, likewise.
    """

    async def find(self, user_ids: Sequence[str]) -> Snapshot:
        """These users, and the version that goes with them, read at one moment."""
        ...

    async def add(self, users: Sequence[NewUser], at: datetime) -> Changed:
        """Add users, or give them this role and enable them; at most 10,000, each id once."""
        ...

    async def disable(self, user_ids: Sequence[str], at: datetime) -> Changed:
        """Disable users.

        Raises:
            UnknownUsersError: some do not exist; nothing happened.
        """
        ...

    async def remove(self, user_ids: Sequence[str], at: datetime) -> Changed:
        """Remove users.

        Raises:
            UnknownUsersError: some do not exist; nothing happened.
        """
        ...

    async def list(self, page: Page) -> Sequence[User]:
        """Users by rising id, by code point: one more than `page.size` where more follow."""
        ...

    async def changes_after(self, version: int, limit: int) -> ChangePage:
        """The first `limit` changes with a greater version."""
        ...


class VerificationKey(Protocol):
    """A key that checks signatures of its one algorithm."""

    @property
    def source(self) -> KeySource:
        """Where it comes from."""
        ...

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        """Whether `signature` over `signing_input` was made with this key's other half."""
        ...


class KeyRing(Protocol):
    """The keys of now."""

    @property
    def generation(self) -> int:
        """Rises whenever a key comes or goes."""
        ...

    def find(self, algorithm: str, key_id: str | None) -> VerificationKey | None:
        """The one key of that algorithm and id.

        Without an id: the only key of that algorithm, and none where there are several.
        """
        ...

    async def look_again(self, algorithm: str) -> None:
        """A token names a key we do not have: read the key set again, but not often.

        Returns when that is done or was done lately. Cancelled, it changes nothing.

        Raises:
            KeysUnavailableError: a key set that may hold such a key was never read.
        """
        ...
