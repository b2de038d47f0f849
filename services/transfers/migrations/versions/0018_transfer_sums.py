"""How many transfers lead out of each subtree, by reason and state, is kept, not counted (BEY-11, ADR 26)."""

import sqlalchemy as sa
from alembic import op

from services.transfers.figures import totals

revision = "0018_transfer_sums"
down_revision = "0017_kept_counts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transfer_lines",
        sa.Column("org_id", sa.BigInteger(), nullable=False, comment="the source"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        comment="how many transfers have come into a state and left it, until the follower sums them up",
    )
    op.create_table(
        "transfer_sums",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "reason", "state", name="pk_transfer_sums"),
        comment="how many transfers lead out of each subtree, up to transfer_lines (BEY-11)",
        postgresql_with={"fillfactor": "70"},
    )
    totals.mend(op.get_bind())


def downgrade() -> None:
    op.drop_table("transfer_sums")
    op.drop_table("transfer_lines")
