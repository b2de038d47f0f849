"""The organisations of the three provinces are mirrored from their own directories (FED-04, FED-06)."""

import sqlalchemy as sa
from alembic import op

revision = "0013_mirror"
down_revision = "0012_systems"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "orgs", sa.Column("peer_code", sa.Text(collation="C"), comment="in its own system (FED-04)")
    )
    op.add_column(
        "orgs",
        sa.Column(
            "peer_reading",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="of its system's directory, in which it was seen last",
        ),
    )
    op.add_column(
        "orgs",
        sa.Column("peer_changed", sa.DateTime(timezone=True), comment="when its system had changed it"),
    )
    op.add_column(
        "orgs",
        sa.Column(
            "gone",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="its system knows it no more; it is kept for those who went there",
        ),
    )
    op.create_index(
        "uq_orgs_peer_code",
        "orgs",
        ["system", "peer_code"],
        unique=True,
        postgresql_where=sa.text("peer_code IS NOT NULL"),
    )
    op.create_table(
        "mirror_waiting",
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("parent_code", sa.Text(collation="C"), nullable=False),
        sa.Column("reading", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
        sa.Column("org", sa.Text(), nullable=False, comment="as it was read, JSON"),
        sa.PrimaryKeyConstraint("system", "code", name=op.f("pk_mirror_waiting")),
        comment="organisations of a peer whose superior was not read yet",
    )
    op.create_index("ix_mirror_waiting_parent_code", "mirror_waiting", ["system", "parent_code"])
    op.create_table(
        "mirror_pages",
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("reading", sa.BigInteger(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("last", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("system", "reading", "page", name=op.f("pk_mirror_pages")),
        comment="pages of readings of a peer's whole directory",
    )


def downgrade() -> None:
    op.drop_table("mirror_pages")
    op.drop_table("mirror_waiting")
    op.drop_index("uq_orgs_peer_code", "orgs")
    for name in ("gone", "peer_changed", "peer_reading", "peer_code"):
        op.drop_column("orgs", name)
