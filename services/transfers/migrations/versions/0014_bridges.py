"""Transfers across a border: which system they lead to or come from, and who may withdraw them."""

import sqlalchemy as sa
from alembic import op

revision = "0014_bridges"
down_revision = "0013_member_of_queue"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "transfers",
        sa.Column(
            "peer",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="the other system that it leads to or comes from: BJ, GD, FJ; empty: none (FED-01)",
        ),
    )
    op.add_column(
        "transfers",
        sa.Column(
            "receipted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="since when the peer has it in writing (FED-09)",
        ),
    )
    op.add_column(
        "node_rules",
        sa.Column(
            "fed_withdraw", sa.Text(), server_default="no", nullable=False, comment="across a border (FED-09)"
        ),
    )

    op.create_table(
        "remote_progress",
        sa.Column("transfer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "seq",
            sa.SmallInteger(),
            autoincrement=False,
            nullable=False,
            comment="of the message that said so",
        ),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("transfer_id", "seq", name=op.f("pk_remote_progress")),
        comment="at whose desk transfers lie in other systems, as these say (FED-13)",
    )


def downgrade() -> None:
    op.drop_table("remote_progress")
    op.drop_column("node_rules", "fed_withdraw")
    op.drop_column("transfers", "receipted_at")
    op.drop_column("transfers", "peer")
