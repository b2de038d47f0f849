"""Who goes to another system and who comes from one (FED-10, FED-14)."""

import sqlalchemy as sa
from alembic import op

revision = "0017_crossings"
down_revision = "0016_mirrored"
branch_labels = None
depends_on = None


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        "handovers",
        sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("opened_at", time, nullable=False),
        comment="records sealed for another system; while the transfer holds the member it is frozen",
    )
    op.create_table(
        "arrivals",
        sa.Column(
            "subject", sa.Text, primary_key=True, comment="the transfer, as messages of a bridge name it"
        ),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("person_id", sa.BigInteger, comment="null: of who cannot come"),
        sa.Column("branch_id", sa.BigInteger, nullable=False, comment="in our mirror of the other system"),
        sa.Column("code", sa.Text, nullable=False, server_default="", comment="why who cannot come cannot"),
        sa.Column(
            "unbound",
            sa.Boolean,
            nullable=False,
            server_default="false",
            comment="the person was here before, in no branch, and is so again where nothing comes of it",
        ),
        sa.Column("transfer_id", sa.BigInteger, comment="null: not begun yet"),
        sa.Column("offered_at", time, nullable=False),
        sa.Column("ended_at", time, comment="null: open"),
        sa.Column("completed", sa.Boolean, nullable=False, server_default="false"),
        sa.Column(
            "settled", sa.Boolean, nullable=False, server_default="false", comment="nobody to erase is left"
        ),
    )
    op.create_index(
        "uq_arrivals_open",
        "arrivals",
        ["person_id"],
        unique=True,
        postgresql_where=sa.text("person_id IS NOT NULL AND ended_at IS NULL"),
    )
    op.create_index("ix_arrivals_person_id", "arrivals", ["person_id"])
    op.create_index(
        "ix_arrivals_transfer_id",
        "arrivals",
        ["transfer_id"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_arrivals_ended_at",
        "arrivals",
        ["ended_at"],
        postgresql_where=sa.text("person_id IS NOT NULL AND NOT completed AND NOT settled"),
    )
    op.create_table(
        "stays_elsewhere",
        sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("branch", sa.Text, nullable=False, comment="its full name in its own system"),
        sa.Column("since", sa.Date, nullable=False),
        sa.Column("until", sa.Date),
        comment="stays in branches of other systems, as a record told of them",
    )


def downgrade() -> None:
    op.drop_table("stays_elsewhere")
    op.drop_table("arrivals")
    op.drop_table("handovers")
