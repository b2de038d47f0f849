"""A reset code remembers for which organisation it was made.

Codes under way were made by the old rule and are void.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009_reset_reach"
down_revision = "0008_graduates"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM reset_codes")
    op.add_column(
        "reset_codes",
        sa.Column(
            "issued_for", sa.BigInteger(), nullable=True, comment="the organisation whose right made the code"
        ),
    )
    op.alter_column(
        "reset_codes",
        "issued_by",
        existing_type=sa.BigInteger(),
        nullable=True,
        comment="null: on the command line",
    )


def downgrade() -> None:
    op.execute("DELETE FROM reset_codes")
    op.alter_column("reset_codes", "issued_by", existing_type=sa.BigInteger(), nullable=False, comment=None)
    op.drop_column("reset_codes", "issued_for")
