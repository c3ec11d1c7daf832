"""The outbox' table and functions, as SQL. Running it again changes nothing."""

from __future__ import annotations

from typing import Any, Final

from psycopg import Connection

CHANNEL: Final = "harkara_outbox"
"""Where a commit is told (NOTIFY)."""

_SQL: Final = """\
CREATE TABLE IF NOT EXISTS {schema}.harkara_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL,
    user_id text NOT NULL,
    event_type text NOT NULL,
    data text NOT NULL,
    event_level text,
    event_time timestamptz NOT NULL,
    collapse_key text,
    ttl interval,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Of a parked one: when Emit refused it, and why.
    refused_at timestamptz,
    refused_code text,
    refused_field text,
    refused_message text
);

-- What is to be sent, however many are parked.
CREATE INDEX IF NOT EXISTS harkara_outbox_unsent ON {schema}.harkara_outbox (id) WHERE refused_at IS NULL;

-- "evt_" and a new ULID: 48 bits of milliseconds, 80 of chance. Five bits of each byte of two UUIDs that are
-- chance alone: in byte 6 of a UUID stands its version.
CREATE OR REPLACE FUNCTION {schema}.harkara_event_id() RETURNS text LANGUAGE plpgsql VOLATILE AS $function$
DECLARE
    letters constant text := '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
    milliseconds constant bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
    chance constant bytea := substring(uuid_send(gen_random_uuid()) FOR 6)
        || substring(uuid_send(gen_random_uuid()) FOR 6) || substring(uuid_send(gen_random_uuid()) FOR 4);
    made text := 'evt_';
BEGIN
    FOR place IN REVERSE 9..0 LOOP
        made := made || substr(letters, ((milliseconds >> (5 * place)) & 31)::int + 1, 1);
    END LOOP;
    FOR place IN 0..15 LOOP
        made := made || substr(letters, (get_byte(chance, place) & 31) + 1, 1);
    END LOOP;
    RETURN made;
END
$function$;

-- Puts an event into the outbox, in the caller's own transaction; returns its event_id. What it means is
-- told by EventDraft in harkara/event/v1/event.proto. Refuses nothing but NULLs: what Emit refuses is
-- parked, and the transaction of an order does not fail because of its event.
CREATE OR REPLACE FUNCTION {schema}.harkara_emit(
    user_id text,
    event_type text,
    data json,
    event_level text DEFAULT NULL,
    event_time timestamptz DEFAULT clock_timestamp(),
    collapse_key text DEFAULT NULL,
    ttl interval DEFAULT NULL
) RETURNS text LANGUAGE plpgsql VOLATILE AS $function$
DECLARE
    new_id constant text := {schema}.harkara_event_id();
BEGIN
    INSERT INTO {schema}.harkara_outbox
        (event_id, user_id, event_type, data, event_level, event_time, collapse_key, ttl)
    VALUES (new_id, user_id, event_type, data::text, event_level, event_time, collapse_key, ttl);
    {notify}
    RETURN new_id;
END
$function$;
"""


def schema_sql(schema: str = "public", *, notify: bool = True) -> str:
    """Return the migration, for whatever runs a service's migrations; it can run again.

    Args:
        schema: Where everything goes; it must be there.
        notify: Wake the relay with each commit. Commits that notify go one after the other in Postgres:
            above some thousand a second leave it out, and let the relay poll.
    """
    quoted = '"' + schema.replace('"', '""') + '"'
    return _SQL.replace("{schema}", quoted).replace(
        "{notify}", f"PERFORM pg_notify('{CHANNEL}', '');" if notify else "-- The relay polls."
    )


def install(connection: Connection[Any], schema: str = "public", *, notify: bool = True) -> None:
    """Make the table and the functions, in a transaction or as a part of the caller's.

    Args:
        connection: As whoever owns the schema.
        schema: As in `schema_sql`.
        notify: Likewise.
    """
    with connection.transaction():
        # Two at once would both find nothing, and then collide.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('harkara_outbox'))")
        connection.execute(schema_sql(schema, notify=notify).encode())
