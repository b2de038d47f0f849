"""Organisations are found by short and former names and by codes; former names are remembered from now on."""

import sqlalchemy as sa
from alembic import op

revision = "0007_names"
down_revision = "0006_whose_commands"
branch_labels = None
depends_on = None

SHORT_NAMES = """
    UPDATE orgs o SET also = s.name, bigrams = o.bigrams || ARRAY(
        SELECT DISTINCT substr(s.name, at, 2) FROM generate_series(1, length(s.name) - 1) AS at
        WHERE substr(s.name, at, 2) <> ALL(o.bigrams))
    FROM (SELECT org_id, replace(normalize(short_name, NFKC), ' ', '') AS name FROM orgs) AS s
    WHERE s.org_id = o.org_id AND s.name <> '' AND strpos(o.plain, s.name) = 0"""


def upgrade() -> None:
    op.add_column(
        "orgs",
        sa.Column(
            "also",
            sa.Text(collation="C"),
            server_default="",
            nullable=False,
            comment="short and former names as they are searched, one a line (BEY-20)",
        ),
    )
    op.alter_column("orgs", "bigrams", comment="of the full name and of `also`")
    op.execute(SHORT_NAMES)
    op.create_index(
        "ix_orgs_division_code",
        "orgs",
        ["division_code", "path"],
        postgresql_where=sa.text("division_code IS NOT NULL"),
    )
    op.create_index(
        "ix_orgs_school_number", "orgs", ["school_number"], postgresql_where=sa.text("school_number <> ''")
    )


def downgrade() -> None:
    op.drop_index("ix_orgs_school_number", "orgs")
    op.drop_index("ix_orgs_division_code", "orgs")
    op.alter_column("orgs", "bigrams", comment=None)
    op.drop_column("orgs", "also")
