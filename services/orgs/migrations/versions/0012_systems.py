"""Each system is searched by an index of its own (FED-02, FED-04, FED-05)."""

import sqlalchemy as sa
from alembic import op

revision = "0012_systems"
down_revision = "0011_attempts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_orgs_system", "orgs", ["system", "path"])
    op.create_index(
        "ix_orgs_bigrams_peers",
        "orgs",
        ["bigrams"],
        postgresql_using="gin",
        postgresql_where=sa.text("system <> 'national'"),
    )


def downgrade() -> None:
    op.drop_index("ix_orgs_bigrams_peers", "orgs")
    op.drop_index("ix_orgs_system", "orgs")
