"""The heads of the other services' audit logs, as they were told (BEY-10)."""

import sqlalchemy as sa
from alembic import op

from shared.audit import append_only

revision = "0004_kept_heads"
down_revision = "0003_revisions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kept_heads",
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("service", "lane", "rows", "hash", name=op.f("pk_kept_heads")),
        comment="how long each chain of the audit logs was, and its last hash, as it was told; append-only",
    )
    for statement in append_only("kept_heads"):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("kept_heads")
    op.execute("DROP FUNCTION refuse_change()")
