"""What each device has acknowledged, and when an event stops being worth delivering."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = """
ALTER TABLE event_log ADD COLUMN expires_at timestamptz;

CREATE TABLE device_cursor (
    user_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    epoch text NOT NULL,
    acked_seq bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT device_cursor_pkey PRIMARY KEY (user_id, device_id)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON device_cursor TO harkara_event_service;
"""


def upgrade() -> None:
    """Adds both; a nullable column without a default rewrites nothing."""
    op.execute(_TABLES)
