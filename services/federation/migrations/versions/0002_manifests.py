"""Manifests of days, and what differs from those of the peer."""

import sqlalchemy as sa
from alembic import op

revision = "0002_manifests"
down_revision = "0001_first"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "handovers",
        sa.Column(
            "day",
            sa.Date(),
            nullable=True,
            comment="in China, on which its offer was signed; null while none is known",
        ),
    )
    op.create_index("ix_handovers_day", "handovers", ["day"])
    time = sa.DateTime(timezone=True)
    op.create_table(
        "differences",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="whose manifests differ"),
        sa.Column(
            "ours", sa.Text(), nullable=False, comment="how it stands here, JSON; empty: it is not here"
        ),
        sa.Column("theirs", sa.Text(), nullable=False),
        sa.Column("found_at", time, nullable=False),
        sa.Column("seen_at", time, nullable=False, comment="when it was found last"),
        sa.Column("gone_at", time, nullable=True, comment="when it was found no more"),
        sa.PrimaryKeyConstraint("subject", "kind", name=op.f("pk_differences")),
    )
    op.create_index(
        "ix_differences_open", "differences", ["day"], postgresql_where=sa.text("gone_at IS NULL")
    )
    op.create_table(
        "reconciliations",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("compared_at", time, nullable=False),
        sa.Column("transfers", sa.Integer(), nullable=False, comment="of ours on that day"),
        sa.Column("differing", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_reconciliations")),
        comment="when each day was compared with the peer last, and whether it was clean",
    )


def downgrade() -> None:
    op.drop_table("reconciliations")
    op.drop_index(
        "ix_differences_open", table_name="differences", postgresql_where=sa.text("gone_at IS NULL")
    )
    op.drop_table("differences")
    op.drop_index("ix_handovers_day", table_name="handovers")
    op.drop_column("handovers", "day")
