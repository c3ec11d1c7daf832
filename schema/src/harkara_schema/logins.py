"""The logins of the services: each a member of its service's group role, and nothing else.

The migrations make the group roles and say what each may do. A login is a deployment's own, with its
password.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg import sql

LOGINS: Final[Mapping[str, str]] = {
    "event_service": "harkara_event_service",
    "auth_service": "harkara_auth_service",
    "query_service": "harkara_query_service",
}
"""Each service's login, and the group role that it is a member of."""


def make_logins(dsn: str, passwords: Mapping[str, str]) -> None:
    """Make the logins that are missing, and set every password.

    Args:
        dsn: a libpq URL of a superuser, or of a role with CREATEROLE that made the group roles.
        passwords: one for each of `LOGINS`.

    Raises:
        psycopg.Error: the database cannot be reached, or refuses.
    """
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        for login, group in LOGINS.items():
            found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [login]).fetchone()
            statement = "ALTER ROLE {} LOGIN PASSWORD {}" if found else "CREATE ROLE {} LOGIN PASSWORD {}"
            # Made unreadable here: a statement may end up in the server's log.
            secret = connection.pgconn.encrypt_password(
                passwords[login].encode(), login.encode(), b"scram-sha-256"
            )
            name = sql.Identifier(login)
            connection.execute(sql.SQL(statement).format(name, sql.Literal(secret.decode())))
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), name))
