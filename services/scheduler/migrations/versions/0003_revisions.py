"""A changed deadline replaces the earlier one."""

import sqlalchemy as sa
from alembic import op

revision = "0003_revisions"
down_revision = "0002_days"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("timers", sa.Column("revision", sa.SmallInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("timers", "revision")
