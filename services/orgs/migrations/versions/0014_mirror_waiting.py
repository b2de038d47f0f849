"""What a peer's directory does not say when it was changed waits for its superior all the same (FED-04)."""

import sqlalchemy as sa
from alembic import op

revision = "0014_mirror_waiting"
down_revision = "0013_mirror"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("mirror_waiting", "changed")


def downgrade() -> None:
    # what waits is read again at the next reading
    op.execute("DELETE FROM mirror_waiting")
    op.add_column("mirror_waiting", sa.Column("changed", sa.DateTime(timezone=True), nullable=False))
