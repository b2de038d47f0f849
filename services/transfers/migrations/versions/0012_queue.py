"""Views of the queue of approvals, and phrases used before."""

import sqlalchemy as sa
from alembic import op

revision = "0012_queue"
down_revision = "0011_lives"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "work_views",
        sa.Column("view_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False, comment="as JSON"),
        sa.Column("sort", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("view_id", name=op.f("pk_work_views")),
        sa.UniqueConstraint("person_id", "org_id", "name", name=op.f("uq_work_views_person_id_org_id_name")),
        comment="filters of the queue that people keep for an organisation, at most 20 each",
    )
    op.create_table(
        "phrases",
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "text", name=op.f("pk_phrases")),
        comment="notes of rejections that a person may use again, the last ten (TRF-27)",
    )


def downgrade() -> None:
    op.drop_table("phrases")
    op.drop_table("work_views")
