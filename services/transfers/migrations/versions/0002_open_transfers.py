"""One open transfer per member becomes a small table, so that the end of a transfer renews no index."""

import sqlalchemy as sa
from alembic import op

revision = "0002_open_transfers"
down_revision = "0001_first"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "open_transfers",
        sa.Column("member_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("transfer_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("member_id", name="pk_open_transfers"),
        comment="one open transfer per member (TRF-02)",
    )
    op.execute(
        "INSERT INTO open_transfers SELECT member_id, transfer_id FROM transfers WHERE ended_at IS NULL"
    )
    op.drop_index("uq_transfers_one_open_per_member", "transfers")


def downgrade() -> None:
    op.create_index(
        "uq_transfers_one_open_per_member",
        "transfers",
        ["member_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_table("open_transfers")
