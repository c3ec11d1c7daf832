"""The SQL of the log, and rows to events and back. Which statement when is decided elsewhere.

`STORE` is a whole transaction in one message, so that the server never holds a user's lock while it
waits for us: a writer that freezes stops nobody. Measured against a transaction of INSERT, COPY,
INSERT and COMMIT it costs the same for 500 events, and less than half for 50 and below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from psycopg import AsyncRawCursor
from psycopg.rows import TupleRow

from harkara_event_service.adapters import wire_arrays
from harkara_event_service.adapters.connections import Connection
from harkara_event_service.domain.batches import WRITERS
from harkara_event_service.domain.event import Event, NumberedEvent
from harkara_event_service.domain.numbering import number

# unnest() keeps the order of its arrays, so locks are taken in the order of Numbering.
# A WITH that changes rows is done once and wholly, read or not: counters, then rollup and rows.
_STORE_BATCH = """
WITH raised AS (
    INSERT INTO user_stream AS stream (user_id, last_seq)
    SELECT * FROM unnest($1::text[], $2::bigint[])
    ON CONFLICT (user_id) DO UPDATE SET last_seq = stream.last_seq + excluded.last_seq
    RETURNING user_id, last_seq
), ends AS (
    SELECT array_agg(last_seq ORDER BY user_id) AS last_seqs FROM raised
), logged AS (
    INSERT INTO event_log (event_id, user_id, seq, event_type, event_level, "timestamp", source, data,
                           created_at, collapse_key, expires_at)
    SELECT event_id, user_id, last_seqs[user_number] - behind, event_type, event_level, moment, source, data,
           created_at, collapse_key, expires_at
    FROM ends, unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
                      $9::timestamptz[], $10::text[], $11::text[], $12::timestamptz[], $13::text[],
                      $14::timestamptz[])
         AS event (event_id, user_id, user_number, behind, event_type, event_level, moment, source, data,
                   created_at, collapse_key, expires_at)
), counted AS (
    INSERT INTO event_count AS counter (day, writer, event_type, source, event_level, events)
    SELECT day, $15::smallint, event_type, source, event_level, events
    FROM unnest($16::date[], $17::text[], $18::text[], $19::text[], $20::bigint[])
         AS added (day, event_type, source, event_level, events)
    ON CONFLICT (day, writer, event_type, source, event_level)
    DO UPDATE SET events = counter.events + excluded.events
){batched}
SELECT last_seqs FROM ends
"""
_STORE = _STORE_BATCH.replace("{batched}", "")
_STORE_BATCHED = _STORE_BATCH.replace(
    "{batched}",
    """, batched AS (
    INSERT INTO commit_batch (writer, batch_no, users, last_seqs)
    SELECT $15::smallint, $21, $1, last_seqs FROM ends
)""",
)

# The same for one event: without arrays the server needs a quarter less time.
_STORE_LONE = """
WITH raised AS (
    INSERT INTO user_stream AS stream (user_id, last_seq) VALUES ($2, 1)
    ON CONFLICT (user_id) DO UPDATE SET last_seq = stream.last_seq + 1
    RETURNING last_seq
), logged AS (
    INSERT INTO event_log (event_id, user_id, seq, event_type, event_level, "timestamp", source, data,
                           created_at, collapse_key, expires_at)
    SELECT $1, $2, last_seq, $3, $4, $5, $6, $7, $8, $9, $10 FROM raised
), counted AS (
    INSERT INTO event_count AS counter (day, writer, event_type, source, event_level, events)
    VALUES ($11, $12, $3, $6, $4, 1)
    ON CONFLICT (day, writer, event_type, source, event_level)
    DO UPDATE SET events = counter.events + 1
){batched}
SELECT last_seq FROM raised
"""
_STORE_ONE = _STORE_LONE.replace("{batched}", "")
_STORE_ONE_BATCHED = _STORE_LONE.replace(
    "{batched}",
    """, batched AS (
    INSERT INTO commit_batch (writer, batch_no, users, last_seqs)
    SELECT $12, $13, ARRAY[$2], ARRAY[last_seq] FROM raised
)""",
)

# Also waits for a transaction that is inserting one of the users at this moment, as FOR UPDATE would
# not: after it nothing that these users' writers did is unseen.
_LOCK_USERS = """
INSERT INTO user_stream AS stream (user_id, last_seq)
SELECT user_id, 0 FROM unnest($1::text[]) AS wanted (user_id)
ON CONFLICT (user_id) DO UPDATE SET last_seq = stream.last_seq
"""

_COLUMNS = """event_id, user_id, seq, event_type, event_level, "timestamp", source, data, created_at,
           collapse_key, expires_at"""

_FIND = f"SELECT {_COLUMNS} FROM event_log WHERE event_id = ANY ($1::text[])"  # noqa: S608 - our own text.

# LATERAL: each user's page is one walk along (user_id, seq) that stops at the limit. What lies past the
# bytes is walked too, but neither fetched from where long values lie nor sent.
READ = f"""
SELECT page.*
FROM unnest($1::text[], $2::bigint[]) AS wanted (reader, position),
     LATERAL (
         SELECT {_COLUMNS} FROM (
             SELECT *, sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS bytes_before FROM (
                 SELECT {_COLUMNS} FROM event_log
                 WHERE user_id = wanted.reader AND seq > wanted.position ORDER BY seq LIMIT $3
             ) AS walked
         ) AS measured
         WHERE bytes_before < $4 ORDER BY seq
     ) AS page
"""  # noqa: S608 - as above.

HEADS = """
SELECT (SELECT epoch FROM log_epoch),
       array_agg(user_id), array_agg(last_seq), array_agg(floor_seq)
FROM user_stream WHERE user_id = ANY ($1::text[])
"""

# One probe of the primary key for each slot: a GROUP BY would walk every row of the last minutes.
HIGHEST_BATCHES = f"""
SELECT (SELECT epoch FROM log_epoch),
       array(SELECT coalesce((SELECT max(batch_no) FROM commit_batch WHERE writer = slot), 0)
             FROM generate_series(0, {WRITERS - 1}) AS slot ORDER BY slot)
"""  # noqa: S608 - as above.

# The epoch comes along even where there is no batch.
BATCHES = """
SELECT epoch, batch.writer, batch.batch_no, batch.users, batch.last_seqs
FROM log_epoch LEFT JOIN (
    SELECT page.*
    FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (after_no, place),
         LATERAL (
             SELECT writer, batch_no, users, last_seqs FROM commit_batch
             WHERE writer = place - 1 AND batch_no > after_no
                   AND committed_at <= now() - make_interval(secs => $2)
             ORDER BY batch_no LIMIT $3
         ) AS page
) AS batch ON true
"""

# A writer's last row stays, so that it goes on from there whoever leases its slot next. SKIP LOCKED: every
# replica does this, and none needs to wait for another.
DROP_BATCHES = """
DELETE FROM commit_batch WHERE ctid = ANY (array(
    SELECT batch.ctid FROM commit_batch AS batch
    WHERE committed_at < now() - make_interval(secs => $1)
          AND batch_no < (SELECT max(batch_no) FROM commit_batch WHERE writer = batch.writer)
    LIMIT $2 FOR UPDATE SKIP LOCKED
))
"""


async def store(
    connection: Connection, events: Sequence[Event], writer: int, batch_no: int | None = None
) -> dict[str, int]:
    """Raise the users' counters, store the events and count them, in one statement.

    On a connection in autocommit, outside of a transaction, it has committed when it returns.

    Args:
        connection: a writer's.
        events: at least one, no event_id twice.
        writer: the slot whose rollup rows are raised.
        batch_no: the number under which the batch is kept for other replicas; None to keep none.

    Returns:
        Each event's seq, by event_id.

    Raises:
        UnicodeEncodeError: a text holds a lone surrogate; nothing was sent.
        psycopg.Error: see `sqlstates`.
    """
    cursor = AsyncRawCursor(connection)
    if len(events) == 1:
        values = _values_of_one(events[0], writer)
        if batch_no is None:
            await cursor.execute(_STORE_ONE, values, prepare=True)
        else:
            await cursor.execute(_STORE_ONE_BATCHED, (*values, batch_no), prepare=True)
        row = await cursor.fetchone()
        return {events[0].event_id: _first_int(row)}
    numbering = number(events)
    rows = numbering.rows
    text_array = wire_arrays.text_array
    counted = sorted(
        Counter(
            [(event.accept_time.date(), event.event_type, event.source, event.level) for event in rows]
        ).items()
    )
    await cursor.execute(
        _STORE if batch_no is None else _STORE_BATCHED,
        (
            text_array(numbering.users),
            wire_arrays.int8_array(numbering.counts),
            text_array([event.event_id for event in rows]),
            text_array([event.user_id for event in rows]),
            wire_arrays.int8_array([user + 1 for user in numbering.user_of]),
            wire_arrays.int8_array(numbering.behind),
            text_array([event.event_type for event in rows]),
            text_array([event.level for event in rows]),
            wire_arrays.timestamp_array([event.timestamp for event in rows]),
            text_array([event.source for event in rows]),
            text_array([event.data for event in rows]),
            wire_arrays.timestamp_array([event.accept_time for event in rows]),
            wire_arrays.nullable_text_array([event.collapse_key for event in rows]),
            wire_arrays.nullable_timestamp_array([event.expires_at for event in rows]),
            writer,
            wire_arrays.date_array([key[0] for key, _ in counted]),
            text_array([key[1] for key, _ in counted]),
            text_array([key[2] for key, _ in counted]),
            text_array([key[3] for key, _ in counted]),
            wire_arrays.int8_array([events_of_key for _, events_of_key in counted]),
            *(() if batch_no is None else (batch_no,)),
        ),
        prepare=True,
    )
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("a statement that answers one row answered none")
    return numbering.seqs(row[0])


def _values_of_one(event: Event, writer: int) -> tuple[object, ...]:
    return (
        event.event_id,
        event.user_id,
        event.event_type,
        event.level,
        event.timestamp,
        event.source,
        event.data,
        event.accept_time,
        event.collapse_key,
        event.expires_at,
        event.accept_time.date(),
        writer,
    )


def _first_int(row: TupleRow | None) -> int:
    if row is None:
        raise RuntimeError("a statement that answers one row answered none")
    return int(row[0])


async def lock_users(connection: Connection, user_ids: Sequence[str]) -> None:
    """Lock the users' streams until the transaction ends; one that has none yet gets an empty one.

    Args:
        connection: a writer's, in a transaction.
        user_ids: each once, sorted.
    """
    cursor = AsyncRawCursor(connection)
    await cursor.execute(_LOCK_USERS, (wire_arrays.text_array(user_ids),), prepare=True)


async def find(connection: Connection, event_ids: Sequence[str]) -> list[NumberedEvent]:
    """Those of these events that are stored, in no order."""
    cursor = AsyncRawCursor(connection)
    await cursor.execute(_FIND, (wire_arrays.text_array(event_ids),), prepare=True)
    return [numbered(row) for row in await cursor.fetchall()]


def numbered(row: TupleRow) -> NumberedEvent:
    """The event in a row of `_COLUMNS`."""
    event_id, user_id, seq, event_type, level, moment, source, data, created_at, key, expires_at = row
    return NumberedEvent(
        Event(
            event_id,
            user_id,
            event_type,
            level,
            _utc(moment),
            source,
            data,
            _utc(created_at),
            key,
            None if expires_at is None else _utc(expires_at),
        ),
        seq,
    )


def _utc(moment: datetime) -> datetime:
    # The session's time zone is UTC, but psycopg names it by a ZoneInfo, which compares slowly.
    return moment.replace(tzinfo=UTC)
