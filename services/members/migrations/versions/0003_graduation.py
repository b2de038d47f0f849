"""Marks of graduation: of branches and of members."""

import sqlalchemy as sa
from alembic import op

revision = "0003_graduation"
down_revision = "0002_attempts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "branch_marks",
        sa.Column("branch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "graduates_on", sa.Date(), nullable=True, comment="the last day of the month of graduation"
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="why there is no time: teachers, mixed"),
        sa.Column(
            "converted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="since when it is a graduates' organisation",
        ),
        sa.Column(
            "members",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="flagged when it was converted",
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("marked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("marked_by", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("branch_id", name=op.f("pk_branch_marks")),
    )
    op.create_index(
        "ix_branch_marks_due",
        "branch_marks",
        ["graduates_on"],
        unique=False,
        postgresql_where=sa.text("converted_at IS NULL AND graduates_on IS NOT NULL"),
    )
    op.add_column(
        "people",
        sa.Column("mark", sa.Text(), server_default="", nullable=False, comment="own, delayed, teacher"),
    )
    op.add_column("people", sa.Column("mark_reason", sa.Text(), server_default="", nullable=False))
    op.create_index(
        "ix_people_own_time",
        "people",
        ["graduates_on"],
        unique=False,
        postgresql_where=sa.text("mark IN ('own', 'delayed') AND NOT graduate"),
    )


def downgrade() -> None:
    op.drop_index("ix_people_own_time", table_name="people")
    op.drop_column("people", "mark_reason")
    op.drop_column("people", "mark")
    op.drop_table("branch_marks")
