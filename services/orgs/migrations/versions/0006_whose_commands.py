"""An answered command remembers whose it was."""

import sqlalchemy as sa
from alembic import op

revision = "0006_whose_commands"
down_revision = "0005_division_codes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "handled_commands",
        sa.Column(
            "person_id",
            sa.BigInteger(),
            nullable=True,
            comment="whose command it was; null: of before this was kept",
        ),
    )


def downgrade() -> None:
    op.drop_column("handled_commands", "person_id")
