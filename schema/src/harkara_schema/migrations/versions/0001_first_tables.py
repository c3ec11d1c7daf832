"""The first tables, the roles that may use them, and partitions for the present weeks."""

import secrets

from alembic import op
from sqlalchemy import text

from harkara_schema.partitions import create_partition_sql, weeks_needed

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Spelled out, not taken from `harkara_schema.tables`: a migration says what was done on its day.
_TABLES = """
CREATE TABLE log_epoch (
    id smallint CONSTRAINT log_epoch_pkey PRIMARY KEY,
    epoch text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT log_epoch_one_row_check CHECK (id = 1)
);

CREATE TABLE user_stream (
    user_id text COLLATE "C" CONSTRAINT user_stream_pkey PRIMARY KEY,
    last_seq bigint NOT NULL,
    floor_seq bigint NOT NULL DEFAULT 0
);

CREATE TABLE event_log (
    event_id text COLLATE "C" CONSTRAINT event_log_pkey PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    event_level text COLLATE "C" NOT NULL,
    "timestamp" timestamptz NOT NULL,
    source text COLLATE "C" NOT NULL,
    data text NOT NULL,
    created_at timestamptz NOT NULL,
    collapse_key text COLLATE "C"
) PARTITION BY RANGE (event_id);
CREATE INDEX event_log_user_id_seq_idx ON event_log (user_id, seq);
CREATE INDEX event_log_critical_created_at_idx ON event_log (created_at) WHERE event_level = 'critical';

CREATE TABLE event_count (
    day date NOT NULL,
    writer smallint NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    event_level text COLLATE "C" NOT NULL,
    events bigint NOT NULL,
    CONSTRAINT event_count_pkey PRIMARY KEY (day, writer, event_type, source, event_level)
);

CREATE TABLE commit_batch (
    writer smallint NOT NULL,
    batch_no bigint NOT NULL,
    users text[] COLLATE "C" NOT NULL,
    last_seqs bigint[] NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT commit_batch_pkey PRIMARY KEY (writer, batch_no)
);

CREATE TABLE app_user (
    user_id text COLLATE "C" CONSTRAINT app_user_pkey PRIMARY KEY,
    role text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT app_user_status_check CHECK (status IN ('active', 'disabled'))
);

CREATE TABLE user_change (
    version bigint CONSTRAINT user_change_pkey PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT user_change_reason_check
        CHECK (reason IN ('disabled', 'removed', 'role_changed', 'enabled', 'added'))
);

CREATE TABLE user_change_head (
    id smallint CONSTRAINT user_change_head_pkey PRIMARY KEY,
    last_version bigint NOT NULL,
    CONSTRAINT user_change_head_one_row_check CHECK (id = 1)
);
INSERT INTO user_change_head (id, last_version) VALUES (1, 0);
"""

# Roles belong to the whole cluster: another database of it may have made them already, or be making them at
# this moment. Then CREATE ROLE waits for that transaction and fails with unique_violation, which is as good.
_ROLES = """
DO $$
DECLARE
    wanted text;
    roles text[] := '{harkara_event_service, harkara_auth_service, harkara_query_service}';
BEGIN
    FOREACH wanted IN ARRAY roles LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;
"""

# To give event_log away, one must be a member of the new owner. A superuser is a member of everything; any
# other who may create roles joins. USAGE asks for membership with the role's rights: from PostgreSQL 16 on,
# whoever creates a role is a member without them.
_MEMBERSHIP = """
DO $$
BEGIN
    IF NOT pg_has_role('harkara_event_service', 'USAGE') THEN
        GRANT harkara_event_service TO CURRENT_USER;
    END IF;
EXCEPTION WHEN unique_violation THEN
    NULL;
END
$$;
"""

# event-service makes and drops partitions, and so owns the log and may create tables. Reading through
# event_log asks for rights on event_log only: partitions made later need no grant, and no default privileges.
_GRANTS = """
GRANT USAGE ON SCHEMA {schema} TO harkara_event_service, harkara_auth_service, harkara_query_service;
GRANT SELECT ON schema_version TO harkara_event_service, harkara_auth_service, harkara_query_service;

GRANT CREATE ON SCHEMA {schema} TO harkara_event_service;
ALTER TABLE event_log OWNER TO harkara_event_service;
GRANT SELECT, INSERT, UPDATE ON user_stream, event_count TO harkara_event_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON commit_batch TO harkara_event_service;
GRANT SELECT ON log_epoch TO harkara_event_service;

GRANT SELECT, INSERT, UPDATE, DELETE ON app_user TO harkara_auth_service;
GRANT SELECT, INSERT ON user_change TO harkara_auth_service;
GRANT SELECT, UPDATE ON user_change_head TO harkara_auth_service;

GRANT SELECT ON event_log, user_stream, event_count, log_epoch TO harkara_query_service;
"""


def upgrade() -> None:
    """Makes everything that an empty database needs to take events at once."""
    connection = op.get_bind()
    op.execute(_TABLES)
    connection.execute(
        text("INSERT INTO log_epoch (id, epoch) VALUES (1, :epoch)"), {"epoch": secrets.token_urlsafe(12)}
    )
    op.execute(_ROLES)
    op.execute(_MEMBERSHIP)
    schema = connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    op.execute(_GRANTS.format(schema=schema))
    # The database's clock: the migration may run on any machine, the partitions are for what is stored here.
    now = connection.execute(text("SELECT now()")).scalar_one()
    for week in weeks_needed(now):
        for statement in create_partition_sql(week):
            op.execute(statement)
