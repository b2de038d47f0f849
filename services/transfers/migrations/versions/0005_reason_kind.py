"""Whom the reason of a transfer is for."""

import sqlalchemy as sa
from alembic import op

revision = "0005_reason_kind"
down_revision = "0004_seasons"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "transfers",
        sa.Column(
            "reason_kind",
            sa.Text(),
            server_default="any",
            nullable=False,
            comment="whom the reason is for: graduate, abroad, any, ordinary, outward, drop_out"
            " (GRAD-15, TYPE-14, TYPE-21)",
        ),
    )
    op.execute(
        "UPDATE transfers SET reason_kind = CASE reason"
        " WHEN 'ordinary' THEN 'ordinary' WHEN 'abroad_study' THEN 'abroad' ELSE 'graduate' END"
        " WHERE reason <> 'special_unit'"
    )


def downgrade() -> None:
    op.drop_column("transfers", "reason_kind")
