"""Each error of Postgres, and what is done about it."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from harkara_event_service.adapters.sqlstates import Verdict, judge, told


@pytest.mark.parametrize(
    ("sqlstate", "verdict"),
    [
        ("23505", Verdict.TAKEN),
        ("23514", Verdict.NO_PARTITION),  # Without a constraint's name, which these have none of.
        ("22021", Verdict.GUILTY),
        ("22P05", Verdict.GUILTY),
        ("23502", Verdict.GUILTY),
        ("54000", Verdict.GUILTY),
        ("40001", Verdict.AGAIN),
        ("40P01", Verdict.AGAIN),
        ("55P03", Verdict.AGAIN),
        ("57014", Verdict.AGAIN),
        ("53100", Verdict.OVERLOADED),
        ("53200", Verdict.OVERLOADED),
        ("53300", Verdict.OVERLOADED),
        ("08006", Verdict.LOST),
        ("57P01", Verdict.LOST),
        ("57P02", Verdict.LOST),
        ("57P03", Verdict.LOST),
        ("25006", Verdict.UNEXPECTED),
        ("42P01", Verdict.UNEXPECTED),
        ("42501", Verdict.UNEXPECTED),
        ("XX000", Verdict.UNEXPECTED),
    ],
)
def test_an_sqlstate_has_its_verdict(sqlstate: str, verdict: Verdict) -> None:
    assert judge(errors.lookup(sqlstate)()) is verdict


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (psycopg.OperationalError("the connection is closed"), Verdict.LOST),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), Verdict.GUILTY),
        (psycopg.InterfaceError("misuse"), Verdict.UNEXPECTED),
    ],
)
def test_an_error_of_the_client_library_has_its_verdict(error: psycopg.Error, verdict: Verdict) -> None:
    assert judge(error) is verdict


def test_what_is_logged_of_an_error_is_one_line() -> None:
    error = psycopg.OperationalError("connection failed\nDETAIL: the row was (secret)")

    assert told(error) == "connection failed"
