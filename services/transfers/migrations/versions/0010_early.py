"""What the scheduler tells before its instant is kept until the clock here has come so far."""

import sqlalchemy as sa
from alembic import op

revision = "0010_early"
down_revision = "0009_open_counts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "early",
        sa.Column("early_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event", sa.Text(), nullable=False, comment="deadline_expired, reminder_due"),
        sa.Column("transfer_id", sa.BigInteger(), nullable=False),
        sa.Column("node_no", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("early_id", name=op.f("pk_early")),
        comment="what the scheduler told before its instant has come by the clock here (DL-01)",
    )
    op.create_index("ix_early_due_at", "early", ["due_at"])


def downgrade() -> None:
    op.drop_index("ix_early_due_at", table_name="early")
    op.drop_table("early")
