"""What can be wrong with a database before a service has asked it anything.

SchemaError
├── SchemaVersionError    the database is older than this release (or empty): `./harkara migrate` mends it
└── MigrationError        a migration could not be done; nothing of it was kept

A database that cannot be reached, or refuses the login, is `psycopg.OperationalError`, as everywhere.
"""


class SchemaError(Exception):
    """The base of this package's errors; its text is one line, fit for an operator."""


class SchemaVersionError(SchemaError):
    """The database is not at the revision that this release needs.

    Attributes:
        found: The database's revision; None when it has none, because nothing was ever migrated.
        needed: This release's revision.
    """

    def __init__(self, found: str | None, needed: str) -> None:
        self.found = found
        self.needed = needed
        state = "has no tables yet" if found is None else f"is at revision {found}"
        super().__init__(f"database {state}, this release needs {needed}: run ./harkara migrate")


class MigrationError(SchemaError):
    """A migration could not be done; the database is at the last revision that was finished."""
