"""A page of people has room for a second version of four in ten, so that holding members touches no index."""

from alembic import op

revision = "0020_room_for_holds"
down_revision = "0019_arrival_remarks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE people SET (fillfactor = 60)")


def downgrade() -> None:
    op.execute("ALTER TABLE people SET (fillfactor = 70)")
