"""Readings of the peer's directory."""

import sqlalchemy as sa
from alembic import op

revision = "0004_readings"
down_revision = "0003_questions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "readings",
        sa.Column("reading", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True, comment="null: it is not whole"),
        sa.Column("version", sa.Text(), nullable=True, comment="as the peer names it"),
        sa.PrimaryKeyConstraint("reading", name=op.f("pk_readings")),
        comment="when the peer's directory was read",
    )


def downgrade() -> None:
    op.drop_table("readings")
