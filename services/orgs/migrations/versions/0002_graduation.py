"""Which decision on graduation an organisation has taken over."""

import sqlalchemy as sa
from alembic import op

revision = "0002_graduation"
down_revision = "0001_first"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "orgs",
        sa.Column(
            "graduation_version",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="of the last branch_graduated",
        ),
    )


def downgrade() -> None:
    op.drop_column("orgs", "graduation_version")
