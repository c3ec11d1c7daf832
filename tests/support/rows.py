"""Rows of the tables, for tests that need some and do not care which."""

from datetime import UTC, datetime

import psycopg

_INSERT = """
INSERT INTO event_log
    (event_id, user_id, seq, event_type, event_level, "timestamp", source, data, created_at, collapse_key,
     expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def insert_event(
    connection: "psycopg.Connection[tuple[object, ...]]",
    event_id: str,
    *,
    user_id: str = "user_1",
    seq: int = 1,
    event_type: str = "order_created",
    event_level: str = "high",
    timestamp: datetime = datetime(2026, 1, 27, tzinfo=UTC),
    source: str = "orders_service",
    data: str = "{}",
    created_at: datetime = datetime(2026, 1, 27, tzinfo=UTC),
    collapse_key: str | None = None,
    expires_at: datetime | None = None,
) -> None:
    """Puts one row into the log, as it is given; moves no stream and counts nothing."""
    connection.execute(
        _INSERT,
        [
            *(event_id, user_id, seq, event_type, event_level, timestamp, source, data, created_at),
            *(collapse_key, expires_at),
        ],
    )
