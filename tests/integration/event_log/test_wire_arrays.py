"""Whole columns as parameters: Postgres must read in them what we wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import TupleRow

from harkara_event_service.adapters import wire_arrays
from harkara_event_service.adapters.wire_arrays import WireArray
from tests.support.postgres import Database

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
MOMENTS = st.datetimes(timezones=st.just(UTC))
quickly = settings(
    max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection[TupleRow]]:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        wire_arrays.register(connection)
        connection.execute("SET timezone = 'UTC'")
        yield connection


def read_back(connection: psycopg.Connection[TupleRow], array: WireArray) -> list[object]:
    rows = connection.execute(
        "SELECT each FROM unnest(%s) WITH ORDINALITY AS a (each, n) ORDER BY n", (array,)
    )
    return [each for (each,) in rows.fetchall()]


@given(values=st.lists(TEXT, max_size=20))
@quickly
def test_texts(connection: psycopg.Connection[TupleRow], values: Sequence[str]) -> None:
    assert read_back(connection, wire_arrays.text_array(values)) == values


@given(values=st.lists(st.none() | TEXT, max_size=20))
@quickly
def test_texts_and_nulls(connection: psycopg.Connection[TupleRow], values: Sequence[str | None]) -> None:
    assert read_back(connection, wire_arrays.nullable_text_array(values)) == values


@given(values=st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=20))
@quickly
def test_integers(connection: psycopg.Connection[TupleRow], values: Sequence[int]) -> None:
    assert read_back(connection, wire_arrays.int8_array(values)) == values


@given(values=st.lists(MOMENTS, max_size=20))
@quickly
def test_moments(connection: psycopg.Connection[TupleRow], values: Sequence[datetime]) -> None:
    assert read_back(connection, wire_arrays.timestamp_array(values)) == values


@given(values=st.lists(st.none() | MOMENTS, max_size=20))
@quickly
def test_moments_and_nulls(
    connection: psycopg.Connection[TupleRow], values: Sequence[datetime | None]
) -> None:
    assert read_back(connection, wire_arrays.nullable_timestamp_array(values)) == values


@given(values=st.lists(st.dates(), max_size=20))
@quickly
def test_days(connection: psycopg.Connection[TupleRow], values: Sequence[date]) -> None:
    assert read_back(connection, wire_arrays.date_array(values)) == values


def test_a_moment_of_another_zone_is_the_same_moment(connection: psycopg.Connection[TupleRow]) -> None:
    moment = datetime(2026, 1, 27, 10, 30, tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert read_back(connection, wire_arrays.timestamp_array([elsewhere])) == [moment]


def test_a_nul_is_refused_as_the_content_that_it_is(connection: psycopg.Connection[TupleRow]) -> None:
    with pytest.raises(psycopg.errors.CharacterNotInRepertoire):
        read_back(connection, wire_arrays.text_array(["a", "\0"]))


def test_a_lone_surrogate_never_leaves() -> None:
    with pytest.raises(UnicodeEncodeError):
        wire_arrays.text_array(["a", "\ud800"])
