"""The query-service may read what devices acknowledged: it tells of an event's delivery."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Grants it; the release before asks for no such thing."""
    op.execute("GRANT SELECT ON device_cursor TO harkara_query_service")
