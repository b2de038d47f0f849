"""Deleted people."""

import sqlalchemy as sa
from alembic import op

revision = "0004_records"
down_revision = "0003_graduation"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deleted_people",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("id_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=True),
        sa.Column("joined_on", sa.Date(), nullable=True),
        sa.Column("development_number", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_by", sa.BigInteger(), nullable=False),
        sa.Column(
            "deleted_for", sa.BigInteger(), nullable=False, comment="the leading body that was acted for"
        ),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_deleted_people")),
    )


def downgrade() -> None:
    op.drop_table("deleted_people")
