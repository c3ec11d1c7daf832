"""What the command line can fail with. Each ends the command with one line on standard error.

CliError            exit status 1: it did not work
├── MisuseError     exit status 2: the caller asked for something that cannot be
└── PostgresError   the embedded Postgres does not start
"""


class CliError(Exception):
    """A failure whose text is one line, for the person at the terminal."""

    exit_status = 1


class MisuseError(CliError):
    """The caller asked for something that cannot be: a bad flag, a bad value, a missing argument."""

    exit_status = 2


class PostgresError(CliError):
    """The embedded Postgres does not start or does not answer."""
