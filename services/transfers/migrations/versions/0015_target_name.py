"""What is not found in another system is named as it was typed (FED-06)."""

import sqlalchemy as sa
from alembic import op

revision = "0015_target_name"
down_revision = "0014_bridges"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "transfers",
        sa.Column(
            "target_name",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="typed, of an organisation of another system that is not known here (FED-06)",
        ),
    )


def downgrade() -> None:
    op.drop_column("transfers", "target_name")
