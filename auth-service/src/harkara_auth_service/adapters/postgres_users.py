"""The users in Postgres: a `UserDirectory` over the tables of `harkara_schema`.

Whoever changes users takes the lock of `user_change_head`'s one row first. So changes happen one after the
other, versions have no gap, and what is read under that lock stays as it is until the commit. Each change
costs a fixed number of statements, however many users it names: they travel as arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    DateTime,
    Integer,
    Select,
    Text,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.expression import any_
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlmodel import col

from harkara_auth_service.adapters.postgres_session import CHANGE_SECONDS, READ_SECONDS, PostgresSession
from harkara_auth_service.domain.users import (
    Change,
    ChangeReason,
    NewUser,
    Page,
    Role,
    User,
    UserChange,
    UserStatus,
    after_adding,
    after_disabling,
    plan_adding,
    plan_disabling,
    plan_removing,
)
from harkara_auth_service.ports import Changed, ChangePage, Snapshot
from harkara_schema.tables import AppUser, UserChangeHead
from harkara_schema.tables import UserChange as UserChangeRow

CHANGES_CHANNEL: Final = "harkara_user_change"
"""Notified by every transaction that changes users, when it commits."""

_ROLES: Final = frozenset(Role)
_STATUSES: Final = frozenset(UserStatus)


def _texts(name: str) -> BindParameter[Sequence[str]]:
    return bindparam(name, type_=ARRAY(Text))


def _table_of(**columns: BindParameter[Any]) -> TableValuedAlias:
    """Arrays of one length as the columns of a table."""
    return func.unnest(*columns.values()).table_valued(*map(column, columns)).render_derived(name="given")


_AT: Final = bindparam("at", type_=DateTime(timezone=True))
_USER: Final = (
    col(AppUser.user_id),
    col(AppUser.role),
    col(AppUser.status),
    col(AppUser.created_at),
    col(AppUser.updated_at),
)
_LAST_VERSION: Final = col(UserChangeHead.last_version)
_IS_NAMED: Final = col(AppUser.user_id) == any_(_texts("ids"))

# The head and the users in one statement, so both are of one moment; the head's row is always there.
_FIND: Final[Select[*tuple[Any, ...]]] = (
    select(_LAST_VERSION, *_USER).select_from(UserChangeHead).outerjoin(AppUser, _IS_NAMED)
)
_LIST: Final = (
    select(*_USER)
    .where(col(AppUser.user_id) > bindparam("after", type_=Text))
    .order_by(col(AppUser.user_id))
    .limit(bindparam("size", type_=Integer))
)
_LIST_NAMED: Final = _LIST.where(_IS_NAMED)
_LATER: Final = (
    select(col(UserChangeRow.version), col(UserChangeRow.user_id), col(UserChangeRow.reason))
    .where(col(UserChangeRow.version) > bindparam("after", type_=BigInteger))
    .order_by(col(UserChangeRow.version))
    .limit(bindparam("size", type_=Integer))
    .subquery("later")
)
_CHANGES: Final = (
    select(_LAST_VERSION, _LATER.c.version, _LATER.c.user_id, _LATER.c.reason)
    .select_from(UserChangeHead)
    .outerjoin(_LATER, true())
    .order_by(_LATER.c.version)
)

_LOCK: Final = select(_LAST_VERSION).with_for_update()
_NAMED: Final = select(*_USER).where(_IS_NAMED)
_GIVEN_USERS: Final = _table_of(user_id=_texts("ids"), role=_texts("roles"))
_INSERT: Final = upsert(AppUser).from_select(
    ["user_id", "role", "status", "created_at", "updated_at"],
    select(_GIVEN_USERS.c.user_id, _GIVEN_USERS.c.role, literal(UserStatus.ACTIVE.value), _AT, _AT),
)
_ADD: Final = _INSERT.on_conflict_do_update(
    index_elements=["user_id"],
    set_={name: _INSERT.excluded[name] for name in ("role", "status", "updated_at")},
)
_DISABLE: Final = update(AppUser).where(_IS_NAMED).values(status=UserStatus.DISABLED.value, updated_at=_AT)
_REMOVE: Final = delete(AppUser).where(_IS_NAMED)
_GIVEN_CHANGES: Final = _table_of(
    version=bindparam("versions", type_=ARRAY(BigInteger)), user_id=_texts("ids"), reason=_texts("reasons")
)
_RECORD: Final = insert(UserChangeRow).from_select(
    ["version", "user_id", "reason", "changed_at"], select(*_GIVEN_CHANGES.c, _AT)
)
_ADVANCE: Final = update(UserChangeHead).values(last_version=bindparam("version", type_=BigInteger))
_NOTIFY: Final = select(func.pg_notify(CHANGES_CHANNEL, ""))


class PostgresUsers:
    """As the port says.

    Args:
        session: runs the transactions.
    """

    def __init__(self, session: PostgresSession) -> None:
        self._session = session

    async def find(self, user_ids: Sequence[str]) -> Snapshot:
        """As the port says: one statement."""

        async def work(connection: AsyncConnection) -> Snapshot:
            rows = (await connection.execute(_FIND, {"ids": [*user_ids]})).all()
            users = _users_of([row[1:] for row in rows if row[1] is not None])
            return Snapshot(rows[0][0], {user.user_id: user for user in users})

        return await self._session.run(work, READ_SECONDS)

    async def add(self, users: Sequence[NewUser], at: datetime) -> Changed:
        """As the port says."""

        async def work(connection: AsyncConnection) -> Changed:
            version, known = await _lock(connection, [user.user_id for user in users])
            changes = plan_adding(users, known)
            names = {change.user_id for change in changes}
            changed = [user for user in users if user.user_id in names]
            if changed:
                given = {
                    "ids": [user.user_id for user in changed],
                    "roles": [user.role.value for user in changed],
                    "at": at,
                }
                await connection.execute(_ADD, given)
            return Changed(await _record(connection, version, changes, at), after_adding(users, known, at))

        return await self._session.run(work, CHANGE_SECONDS)

    async def disable(self, user_ids: Sequence[str], at: datetime) -> Changed:
        """As the port says."""

        async def work(connection: AsyncConnection) -> Changed:
            version, known = await _lock(connection, user_ids)
            changes = plan_disabling(user_ids, known)
            await connection.execute(_DISABLE, {"ids": [change.user_id for change in changes], "at": at})
            return Changed(
                await _record(connection, version, changes, at), after_disabling(user_ids, known, at)
            )

        return await self._session.run(work, CHANGE_SECONDS)

    async def remove(self, user_ids: Sequence[str], at: datetime) -> Changed:
        """As the port says."""

        async def work(connection: AsyncConnection) -> Changed:
            version, known = await _lock(connection, user_ids)
            changes = plan_removing(user_ids, known)
            await connection.execute(_REMOVE, {"ids": [change.user_id for change in changes]})
            return Changed(await _record(connection, version, changes, at), ())

        return await self._session.run(work, CHANGE_SECONDS)

    async def list(self, page: Page) -> Sequence[User]:
        """As the port says."""

        async def work(connection: AsyncConnection) -> Sequence[User]:
            given: dict[str, object] = {"after": page.after, "size": page.size + 1}
            if page.only is None:
                rows = await connection.execute(_LIST, given)
            else:
                rows = await connection.execute(_LIST_NAMED, {**given, "ids": [*page.only]})
            return _users_of(rows.all())

        return await self._session.run(work, READ_SECONDS)

    async def changes_after(self, version: int, limit: int) -> ChangePage:
        """As the port says: one statement."""

        async def work(connection: AsyncConnection) -> ChangePage:
            rows = (await connection.execute(_CHANGES, {"after": version, "size": limit})).all()
            changes = [UserChange(row[1], row[2], ChangeReason(row[3])) for row in rows if row[1] is not None]
            return ChangePage(rows[0][0], changes)

        return await self._session.run(work, READ_SECONDS)


async def _lock(connection: AsyncConnection, user_ids: Sequence[str]) -> tuple[int, Mapping[str, User]]:
    """Keep all others from changing users until the end; the last version, and those named who exist."""
    version = (await connection.execute(_LOCK)).scalar_one()
    rows = await connection.execute(_NAMED, {"ids": [*user_ids]})
    users = _users_of(rows.all())
    return version, {user.user_id: user for user in users}


async def _record(connection: AsyncConnection, last: int, changes: Sequence[Change], at: datetime) -> int:
    """Give each change the next version; the last one given."""
    if not changes:
        return last
    version = last + len(changes)
    given = {
        "versions": [*range(last + 1, version + 1)],
        "ids": [change.user_id for change in changes],
        "reasons": [change.reason.value for change in changes],
        "at": at,
    }
    await connection.execute(_RECORD, given)
    await connection.execute(_ADVANCE, {"version": version})
    await connection.execute(_NOTIFY)
    return version


def _users_of(rows: Sequence[Sequence[Any]]) -> list[User]:
    """The users that the rows hold.

    One whose role or status this release does not know is left out, which lets nobody in; it must not keep
    out the others that were looked up with it.
    """
    return [
        User(user_id, Role(role), UserStatus(status), created_at, updated_at)
        for user_id, role, status, created_at, updated_at in rows
        if role in _ROLES and status in _STATUSES
    ]
