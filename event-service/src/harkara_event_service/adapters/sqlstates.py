"""What to do about an error of Postgres while events are stored; the only place that reads SQLSTATEs.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

from enum import Enum

import psycopg


class Verdict(Enum):
    """What an error says about the transaction that met it."""

    TAKEN = "an event_id is in the log already: look which"
    GUILTY = "the content of some event was refused: find out which"
    NO_PARTITION = "the week of some event has no partition yet"
    AGAIN = "nothing is wrong with the events: the same once more"
    OVERLOADED = "the server has no room: turn the events away"
    LOST = "the connection is gone; a commit that was sent may have been done"
    UNEXPECTED = "nothing that we know: not done, and better tried on another connection"


_DEADLY = {"FATAL", "PANIC"}
_UNIQUE_VIOLATION = "23505"
_BATCH_NUMBER = "commit_batch_pkey"
_CHECK_VIOLATION = "23514"
_LOCK_NOT_AVAILABLE = "55P03"
_QUERY_CANCELED = "57014"  # What statement_timeout does; the connection lives on.

_BY_CLASS = {
    "08": Verdict.LOST,
    "22": Verdict.GUILTY,
    "23": Verdict.GUILTY,
    "40": Verdict.AGAIN,
    "53": Verdict.OVERLOADED,
    "54": Verdict.GUILTY,  # A limit of the program, such as an index entry that is too long.
    "57": Verdict.LOST,
}


def judge(error: psycopg.Error) -> Verdict:
    """What `error`, met while storing events, asks for."""
    sqlstate = error.sqlstate
    if sqlstate is None:
        return _judge_ours(error)
    if error.diag.severity_nonlocalized in _DEADLY:
        # The server ended the connection, perhaps while it committed: its code tells why, not what was done.
        return Verdict.LOST
    if sqlstate == _UNIQUE_VIOLATION:
        # A commit's number that is taken says that we know the slot's last one no more: lease it anew.
        is_number = error.diag.constraint_name == _BATCH_NUMBER
        return Verdict.UNEXPECTED if is_number else Verdict.TAKEN
    if sqlstate == _CHECK_VIOLATION and not error.diag.constraint_name:
        # "no partition of relation … found for row" has no code of its own, but names no constraint.
        return Verdict.NO_PARTITION
    if sqlstate in {_LOCK_NOT_AVAILABLE, _QUERY_CANCELED}:
        return Verdict.AGAIN
    return _BY_CLASS.get(sqlstate[:2], Verdict.UNEXPECTED)


def _judge_ours(error: psycopg.Error) -> Verdict:
    """An error that the client library raised by itself."""
    if isinstance(error, psycopg.DataError):
        return Verdict.GUILTY
    return Verdict.LOST if isinstance(error, psycopg.OperationalError) else Verdict.UNEXPECTED


def told(error: psycopg.Error) -> str:
    """What may be logged of an error: never its detail or context, which quote rows."""
    return error.diag.message_primary or str(error).partition("\n")[0]
