"""A graduate's stages begin with `idle`; the comment of the column said otherwise."""

import sqlalchemy as sa
from alembic import op

revision = "0008_stage_comment"
down_revision = "0007_audit_log"
branch_labels = None
depends_on = None

WAS, IS = "none, open, ended, completed", "idle, open, ended, completed"


def upgrade() -> None:
    op.alter_column("standings", "stage", existing_type=sa.Text(), existing_comment=WAS, comment=IS)


def downgrade() -> None:
    op.alter_column("standings", "stage", existing_type=sa.Text(), existing_comment=IS, comment=WAS)
