"""The users and how they change: forms and limits of requests, and what each change means for tokens.

Every change of a user is a row with a version, gap-free. Some end what a token was good for (they are
revocations, and watchers hear of them); others only say that an answer given before is out of date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import Final

from harkara_auth_service.domain.errors import (
    InvalidRequestError,
    TokenFault,
    TokenRefusedError,
    UnknownUsersError,
    UserFault,
    UserRefusedError,
)
from harkara_auth_service.domain.token_rules import Claims, PrincipalKind, is_user_id

MAX_USERS: Final = 10_000
"""In one request, and in one page."""
DEFAULT_PAGE_SIZE: Final = 1_000
USER_ID_RULE: Final = "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -"


@unique
class Role(StrEnum):
    """What a user may do."""

    CUSTOMER = "customer"
    DELIVERY_BOY = "delivery_boy"
    SHOP = "shop"
    SUPPORT = "support"
    ADMIN = "admin"


@unique
class UserStatus(StrEnum):
    """Whether a user may come in."""

    ACTIVE = "active"
    DISABLED = "disabled"


@unique
class ChangeReason(StrEnum):
    """What happened to a user."""

    ADDED = "added"
    ENABLED = "enabled"
    DISABLED = "disabled"
    REMOVED = "removed"
    ROLE_CHANGED = "role_changed"


REVOKING: Final = frozenset({ChangeReason.DISABLED, ChangeReason.REMOVED, ChangeReason.ROLE_CHANGED})
"""The changes that end what a token was good for."""


@dataclass(frozen=True, slots=True)
class User:
    """A user as the directory has it. `updated_at`: when role or status last changed."""

    user_id: str
    role: Role
    status: UserStatus
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to add, or to give this role and enable."""

    user_id: str
    role: Role


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is to happen to a user."""

    user_id: str
    reason: ChangeReason


@dataclass(frozen=True, slots=True)
class UserChange:
    """Something that happened, and as the how-manieth change of all."""

    version: int
    user_id: str
    reason: ChangeReason


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a token speaks for, as `Authenticate` answers.

    Args:
        kind: what it is.
        user_id: its id or name.
        role: of a user as the directory has it; else "service" or "internal".
        event_types: of a service, the globs of what it may emit.
        expires_at: when the token ends, in seconds since the epoch.
        version: of a user, the last change that this answer knows of; else 0.
    """

    kind: PrincipalKind
    user_id: str
    role: str
    event_types: tuple[str, ...]
    expires_at: float
    version: int


def judge_user(claims: Claims, user: User | None, version: int) -> Principal:
    """Whom a user's verified token speaks for, given what the directory says.

    Args:
        claims: of a token of kind USER.
        user: the directory's entry for `claims.user_id`, or None.
        version: the last change that `user` knows of.

    Raises:
        UserRefusedError: there is no such user, or it is disabled.
        TokenRefusedError: the token claims another role than the user has: it is stale.
    """
    if user is None:
        raise UserRefusedError(claims.user_id, UserFault.UNKNOWN)
    if user.status is not UserStatus.ACTIVE:
        raise UserRefusedError(claims.user_id, UserFault.DISABLED)
    if claims.role is not None and claims.role != user.role:
        raise TokenRefusedError(TokenFault.STALE_ROLE)
    return Principal(claims.kind, user.user_id, user.role, (), claims.expires_at, version)


def check_new_users(users: Sequence[NewUser]) -> None:
    """Check what `AddUsers` was asked for.

    Raises:
        InvalidRequestError: too few or too many, an id twice, or an odd id.
    """
    _check_count("users", len(users))
    for user in users:
        if not is_user_id(user.user_id):
            raise InvalidRequestError("users.user_id", USER_ID_RULE)
    if len({user.user_id for user in users}) != len(users):
        raise InvalidRequestError("users.user_id", "must stand once each")


def check_user_ids(user_ids: Sequence[str]) -> None:
    """Check whom a request names; one that is named twice counts once.

    Raises:
        InvalidRequestError: too few or too many, or an odd id.
    """
    _check_count("user_ids", len(user_ids))
    if not all(map(is_user_id, user_ids)):
        raise InvalidRequestError("user_ids", USER_ID_RULE)


def _check_count(field: str, count: int) -> None:
    if not 1 <= count <= MAX_USERS:
        raise InvalidRequestError(field, f"must be 1 to {MAX_USERS}")


@dataclass(frozen=True, slots=True)
class Page:
    """Which users to list.

    Args:
        after: only ids greater than this one, by code point; "" for all.
        size: how many at most.
        only: only these ids; None for all.
    """

    after: str
    size: int
    only: tuple[str, ...] | None


def read_page(page_size: int, page_token: str, user_ids: Sequence[str]) -> Page:
    """Check what `ListUsers` was asked for. A page token is the last id of the page before.

    Raises:
        InvalidRequestError: a size out of range, a token that no answer held, or too many ids.
    """
    if not 0 <= page_size <= MAX_USERS:
        raise InvalidRequestError("page_size", f"must be 0 to {MAX_USERS}")
    if page_token and not is_user_id(page_token):
        raise InvalidRequestError("page_token", "must be the next_page_token of an answer")
    if len(user_ids) > MAX_USERS:
        raise InvalidRequestError("user_ids", f"must be at most {MAX_USERS}")
    # An id of another form is nobody's, and unknown ids are left out.
    only = tuple(dict.fromkeys(filter(is_user_id, user_ids))) if user_ids else None
    return Page(page_token, page_size or DEFAULT_PAGE_SIZE, only)


def plan_adding(wanted: Sequence[NewUser], known: Mapping[str, User]) -> list[Change]:
    """What adding `wanted` changes: in their order, nothing for those that are so already."""
    changes: list[Change] = []
    for new in wanted:
        user = known.get(new.user_id)
        if user is None:
            changes.append(Change(new.user_id, ChangeReason.ADDED))
            continue
        if user.role is not new.role:
            changes.append(Change(new.user_id, ChangeReason.ROLE_CHANGED))
        if user.status is not UserStatus.ACTIVE:
            changes.append(Change(new.user_id, ChangeReason.ENABLED))
    return changes


def plan_disabling(user_ids: Sequence[str], known: Mapping[str, User]) -> list[Change]:
    """What disabling changes: in order, nothing for those that are disabled already.

    Raises:
        UnknownUsersError: some do not exist.
    """
    _all_known(user_ids, known)
    return [
        Change(user_id, ChangeReason.DISABLED)
        for user_id in dict.fromkeys(user_ids)
        if known[user_id].status is UserStatus.ACTIVE
    ]


def plan_removing(user_ids: Sequence[str], known: Mapping[str, User]) -> list[Change]:
    """What removing changes, in order.

    Raises:
        UnknownUsersError: some do not exist.
    """
    _all_known(user_ids, known)
    return [Change(user_id, ChangeReason.REMOVED) for user_id in dict.fromkeys(user_ids)]


def _all_known(user_ids: Sequence[str], known: Mapping[str, User]) -> None:
    unknown = [user_id for user_id in dict.fromkeys(user_ids) if user_id not in known]
    if unknown:
        raise UnknownUsersError(unknown)


def after_adding(wanted: Sequence[NewUser], known: Mapping[str, User], at: datetime) -> list[User]:
    """The users as they are once `wanted` were added at `at`, in their order."""
    changed = {change.user_id for change in plan_adding(wanted, known)}
    users: list[User] = []
    for new in wanted:
        user = known.get(new.user_id)
        if user is None or new.user_id in changed:
            created_at = at if user is None else user.created_at
            user = User(new.user_id, new.role, UserStatus.ACTIVE, created_at, at)
        users.append(user)
    return users


def after_disabling(user_ids: Sequence[str], known: Mapping[str, User], at: datetime) -> list[User]:
    """The users as they are once `user_ids` were disabled at `at`, in their order."""
    users: list[User] = []
    for user_id in user_ids:
        user = known[user_id]
        if user.status is UserStatus.ACTIVE:
            user = User(user_id, user.role, UserStatus.DISABLED, user.created_at, at)
        users.append(user)
    return users
