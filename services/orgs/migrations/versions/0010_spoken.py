"""Committees are found by the names that people use (SRCH-10)."""

import sqlalchemy as sa
from alembic import op

from services.orgs import spoken

revision = "0010_spoken"
down_revision = "0009_lives"
branch_labels = None
depends_on = None

PIECE = 5_000
_NEXT = sa.text("""
    SELECT org_id, kind, full_name, short_name, also FROM orgs
    WHERE kind <> 'branch' AND org_id > :after ORDER BY org_id LIMIT :piece""")
_FILL = sa.text("""
    UPDATE orgs o SET spoken = i.spoken
    FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, spoken text[])
    WHERE o.org_id = i.org_id""")


def upgrade() -> None:
    op.add_column(
        "orgs",
        sa.Column(
            "spoken",
            sa.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="what people call a committee, without 共青团 and the ending (SRCH-10)",
        ),
    )
    fill(op.get_bind())
    op.create_index(
        "ix_orgs_bigrams_above",
        "orgs",
        ["bigrams"],
        postgresql_using="gin",
        postgresql_where=sa.text("kind <> 'branch'"),
    )
    op.create_index(
        "ix_orgs_spoken",
        "orgs",
        ["spoken"],
        postgresql_using="gin",
        postgresql_where=sa.text("spoken <> '{}'"),
    )


def fill(tx: sa.Connection) -> None:
    """Give the committees that are there what people call them, in pieces."""
    after = -(2**62)
    while rows := tx.execute(_NEXT, {"after": after, "piece": PIECE}).all():
        items = [
            {
                "org_id": row.org_id,
                "spoken": spoken.forms(row.kind, (row.full_name, row.short_name, *row.also.split("\n"))),
            }
            for row in rows
        ]
        tx.execute(_FILL.bindparams(sa.bindparam("items", type_=sa.JSON)), {"items": items})
        after = rows[-1].org_id


def downgrade() -> None:
    op.drop_index("ix_orgs_spoken", "orgs")
    op.drop_index("ix_orgs_bigrams_above", "orgs")
    op.drop_column("orgs", "spoken")
