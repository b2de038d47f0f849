"""The deleted are known by the blind index of their numbers.

So nobody is deleted here and entered elsewhere.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012_deleted_index"
down_revision = "0012_audit_log"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "deleted_people",
        sa.Column(
            "id_index",
            sa.LargeBinary(),
            nullable=True,
            comment="so that nobody is deleted here and entered elsewhere (TRF-36)",
        ),
    )
    op.create_index("ix_deleted_people_id_index", "deleted_people", ["id_index"])


def downgrade() -> None:
    op.drop_index("ix_deleted_people_id_index", "deleted_people")
    op.drop_column("deleted_people", "id_index")
