"""The three trees are walked, and read by the beginning of a name, by small indexes of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0015_peers_small"
down_revision = "0014_mirror_waiting"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_orgs_system", "orgs")
    for name in ("path", "plain"):
        op.create_index(
            f"ix_orgs_peers_{name}",
            "orgs",
            ["system", name],
            postgresql_where=sa.text("system <> 'national'"),
        )


def downgrade() -> None:
    op.drop_index("ix_orgs_peers_plain", "orgs")
    op.drop_index("ix_orgs_peers_path", "orgs")
    op.create_index("ix_orgs_system", "orgs", ["system", "path"])
