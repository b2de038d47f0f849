"""A lock that grows remembers how often it was closed."""

import sqlalchemy as sa
from alembic import op

revision = "0013_attempts_level"
down_revision = "0012_deleted_index"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "attempts",
        sa.Column(
            "level",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="how often it was closed lately; each lock is twice as long",
        ),
    )


def downgrade() -> None:
    op.drop_column("attempts", "level")
