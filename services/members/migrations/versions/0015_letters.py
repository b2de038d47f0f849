"""What a letter needs to be printed again, why it was declared void, and an index."""

import sqlalchemy as sa
from alembic import op

revision = "0015_letters"
down_revision = "0014_lives"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("letters", sa.Column("to_org", sa.Text(), nullable=False, server_default=""))
    op.add_column(
        "letters", sa.Column("dues_until", sa.Date(), nullable=True, comment="null: of before this was kept")
    )
    op.add_column("letters", sa.Column("void_reason", sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_letters_org_id", "letters", ["org_id", "letter_id"])


def downgrade() -> None:
    op.drop_index("ix_letters_org_id", table_name="letters")
    op.drop_column("letters", "void_reason")
    op.drop_column("letters", "dues_until")
    op.drop_column("letters", "to_org")
