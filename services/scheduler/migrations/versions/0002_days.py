"""Days that were told."""

import sqlalchemy as sa
from alembic import op

revision = "0002_days"
down_revision = "0001_first"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_days")),
        comment="days that were told",
    )


def downgrade() -> None:
    op.drop_table("days")
