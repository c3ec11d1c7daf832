"""${message}.

Revises: ${down_revision | comma,n}
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say here what changes, and how the release that is still running gets along with it."""
    ${upgrades if upgrades else 'raise NotImplementedError'}
