"""Full names that are built anew from the path."""

import sqlalchemy as sa
from alembic import op

revision = "0008_name_rebuilds"
down_revision = "0007_names"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "name_rebuilds",
        sa.Column("command_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "after",
            sa.Text(collation="C"),
            nullable=False,
            comment="path of the last organisation that was looked at",
        ),
        sa.Column("looked_at", sa.Integer(), server_default="0", nullable=False),
        sa.Column("changed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("asked_by", sa.BigInteger(), nullable=False),
        sa.Column("asked_for", sa.BigInteger(), nullable=True),
        sa.Column("request_id", sa.Text(), server_default="", nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("command_id", name=op.f("pk_name_rebuilds")),
        comment="full names that are built anew from the path (ORG-09)",
    )
    op.create_index(
        "ix_name_rebuilds_open",
        "name_rebuilds",
        ["asked_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_name_rebuilds_open", table_name="name_rebuilds", postgresql_where=sa.text("ended_at IS NULL")
    )
    op.drop_table("name_rebuilds")
