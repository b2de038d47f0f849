"""Codes that reset forgotten passwords."""

import sqlalchemy as sa
from alembic import op

revision = "0006_reset_codes"
down_revision = "0005_imports"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reset_codes",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("code_index", sa.LargeBinary(), nullable=False, comment="keyed hash of person and code"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_by", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_reset_codes")),
    )


def downgrade() -> None:
    op.drop_table("reset_codes")
