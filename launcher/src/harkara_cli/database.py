"""Makes a mesh's database ready on a Postgres that runs: its tables, and a login for each service."""

import psycopg
from psycopg import sql

from harkara_cli.data_dir import DataDir
from harkara_cli.embedded_postgres import EmbeddedPostgres
from harkara_cli.errors import CliError
from harkara_schema.logins import LOGINS, make_logins

DATABASE = "harkara"


def prepare(server: EmbeddedPostgres, data: DataDir) -> dict[str, str]:
    """Makes what is missing.

    Args:
        server: Ready.
        data: The data folder, with the passwords.

    Returns:
        The libpq URL of each service that uses Postgres, by the service's name.

    Raises:
        CliError: It cannot be done, in one line.
    """
    try:
        make_database(server)
        migrate(server.dsn_of(DATABASE))
        make_logins(server.dsn, {user: data.password_file(user).read_text().strip() for user in LOGINS})
    except (psycopg.Error, OSError) as error:
        message = f"the database cannot be prepared: {_first_line(error)}"
        raise CliError(message) from error
    return {
        user.replace("_", "-"): server.dsn_of(DATABASE, user, data.password_file(user).read_text().strip())
        for user in LOGINS
    }


def make_database(server: EmbeddedPostgres) -> None:
    """Makes the mesh's database, empty, where it is missing.

    Raises:
        CliError: It cannot be done, in one line.
    """
    try:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            if not _exists(connection, "pg_database", "datname", DATABASE):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    except psycopg.Error as error:
        message = f"the database cannot be made: {_first_line(error)}"
        raise CliError(message) from error


def migrate(dsn: str) -> tuple[str | None, str]:
    """Brings a database's tables to this release.

    Args:
        dsn: A libpq URL of the database's owner.

    Returns:
        The revision before (None where there was none) and the one now.

    Raises:
        CliError: It cannot be done, in one line.
    """
    from harkara_schema.version import HEAD_REVISION, current_revision  # noqa: PLC0415 - see below.

    try:
        before = current_revision(dsn)
        if before is not None and before >= HEAD_REVISION:
            return before, before
        # Alembic and SQLAlchemy take a second to import: only a migration needs them.
        from harkara_schema.migrate import SchemaError  # noqa: PLC0415
        from harkara_schema.migrate import migrate as run  # noqa: PLC0415

        try:
            done = run(dsn)
        except SchemaError as error:
            message = f"the migration failed: {_first_line(error)}"
            raise CliError(message) from error
    except psycopg.Error as error:
        message = f"the migration failed: {_first_line(error)}"
        raise CliError(message) from error
    return done.from_revision, done.to_revision


def new_epoch(dsn: str) -> str:
    """Begins a new life of the log: clients will not resume across it.

    Returns:
        The new epoch.

    Raises:
        CliError: It cannot be done, in one line.
    """
    from harkara_schema.migrate import SchemaError  # noqa: PLC0415 - see above.
    from harkara_schema.migrate import new_epoch as run  # noqa: PLC0415

    try:
        return run(dsn)
    except (SchemaError, psycopg.Error) as error:
        message = f"no new epoch: {_first_line(error)}"
        raise CliError(message) from error


def _exists(
    connection: "psycopg.Connection[tuple[object, ...]]", table: str, column: str, value: str
) -> bool:
    query = sql.SQL("SELECT 1 FROM {} WHERE {} = %s").format(sql.Identifier(table), sql.Identifier(column))
    return connection.execute(query, [value]).fetchone() is not None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
