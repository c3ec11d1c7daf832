"""What the command line can fail with. Each ends the command with one line on standard error.

CliError                 exit status 1: it did not work
├── MisuseError          exit status 2: the caller asked for something that cannot be
│   └── InputError       what the caller gave us to read cannot be read
├── OutputError          standard output cannot be written
│   └── ReaderGoneError  nobody reads it any more: without a word, where it has none
└── PostgresError        the embedded Postgres does not start
"""


class CliError(Exception):
    """A failure whose text is one line, for the person at the terminal."""

    exit_status = 1


class MisuseError(CliError):
    """The caller asked for something that cannot be: a bad flag, a bad value, a missing argument."""

    exit_status = 2


class InputError(MisuseError):
    """What the caller gave us to read, a file or standard input, cannot be read."""


class OutputError(CliError):
    """Standard output cannot be written."""


class ReaderGoneError(OutputError):
    """Nobody reads standard output any more: `| head` has all it wanted. Without a text nothing is said."""


class PostgresError(CliError):
    """The embedded Postgres does not start or does not answer."""
