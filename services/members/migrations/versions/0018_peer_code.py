"""Of an organisation that another system keeps, its code there (FED-04)."""

import sqlalchemy as sa
from alembic import op

revision = "0018_peer_code"
down_revision = "0017_crossings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("org_directory", sa.Column("peer_code", sa.Text(collation="C"), nullable=True))


def downgrade() -> None:
    op.drop_column("org_directory", "peer_code")
