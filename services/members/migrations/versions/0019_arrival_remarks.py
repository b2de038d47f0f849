"""What another system's registry says beside who is to come, for whoever decides about it (FED-08)."""

import sqlalchemy as sa
from alembic import op

revision = "0019_arrival_remarks"
down_revision = "0018_peer_code"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "of who may come, for who decides; null once ended"
    op.add_column("arrivals", sa.Column("remark_sealed", sa.LargeBinary, nullable=True, comment=comment))


def downgrade() -> None:
    op.drop_column("arrivals", "remark_sealed")
