"""Failed sign-ins counted by number and by address; one open stay per person."""

import sqlalchemy as sa
from alembic import op

revision = "0002_attempts"
down_revision = "0001_first"
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
        sa.PrimaryKeyConstraint("tried", name=op.f("pk_attempts")),
    )
    op.create_index(op.f("ix_attempts_began_at"), "attempts", ["began_at"], unique=False)
    op.add_column(
        "accounts", sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True, comment="null: never")
    )
    op.drop_column("accounts", "failed")
    op.drop_column("accounts", "locked_until")
    op.add_column(
        "sessions",
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
    )
    op.create_index(
        "uq_memberships_one_open",
        "memberships",
        ["person_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "uq_memberships_one_open", table_name="memberships", postgresql_where=sa.text("ended_at IS NULL")
    )
    op.drop_column("sessions", "created_at")
    op.add_column("accounts", sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("accounts", sa.Column("failed", sa.Integer(), server_default="0", nullable=False))
    op.drop_column("accounts", "changed_at")
    op.drop_index(op.f("ix_attempts_began_at"), table_name="attempts")
    op.drop_table("attempts")
