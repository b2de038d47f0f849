"""What a bridge asks for by itself is found by an index."""

import sqlalchemy as sa
from alembic import op

revision = "0003_questions"
down_revision = "0002_manifests"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_handovers_on_the_way", "handovers", ["since"], postgresql_where=sa.text("state = 'handover'")
    )
    op.create_index(
        "ix_received_held", "received", ["received_at"], postgresql_where=sa.text("state = 'held'")
    )


def downgrade() -> None:
    op.drop_index("ix_received_held", table_name="received", postgresql_where=sa.text("state = 'held'"))
    op.drop_index(
        "ix_handovers_on_the_way", table_name="handovers", postgresql_where=sa.text("state = 'handover'")
    )
