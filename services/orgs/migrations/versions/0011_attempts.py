"""Searches of people who have not signed in are counted by their network address (SRCH-10)."""

import sqlalchemy as sa
from alembic import op

revision = "0011_attempts"
down_revision = "0010_spoken"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column(
            "tried",
            sa.Text(),
            nullable=False,
            comment="a blind index or a network address; also of numbers that nobody has",
        ),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "level",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="how often it was closed lately; each lock is twice as long",
        ),
        sa.PrimaryKeyConstraint("tried", name=op.f("pk_attempts")),
    )
    op.create_index(op.f("ix_attempts_began_at"), "attempts", ["began_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_attempts_began_at"), table_name="attempts")
    op.drop_table("attempts")
