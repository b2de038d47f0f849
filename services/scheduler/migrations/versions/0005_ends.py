"""The end of a transfer stays known for a while, so that no node told late is watched for ever."""

import sqlalchemy as sa
from alembic import op

revision = "0005_ends"
down_revision = "0004_kept_heads"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "timers",
        sa.Column(
            "ended_on",
            sa.Date(),
            nullable=True,
            comment="the transfer waits for nobody any more; forgotten later",
        ),
    )
    op.create_index(
        "ix_timers_ended_on", "timers", ["ended_on"], postgresql_where=sa.text("ended_on IS NOT NULL")
    )


def downgrade() -> None:
    op.execute("DELETE FROM timers WHERE ended_on IS NOT NULL")
    op.drop_index("ix_timers_ended_on", table_name="timers", postgresql_where=sa.text("ended_on IS NOT NULL"))
    op.drop_column("timers", "ended_on")
