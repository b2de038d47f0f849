"""When work or study was found; from which day on a development number is needed.

Making `complete` anew writes every row of people once: some ten minutes for 75 million, in which
the table is locked.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010_found_and_numbers"
down_revision = "0009_reset_reach"
branch_labels = None
depends_on = None

COMPLETE = (
    "name <> '' AND ethnic_group <> '' AND phone_sealed IS NOT NULL"
    " AND (branch_id IS NULL OR (joined_on IS NOT NULL"
    " AND (joined_on < {since} OR development_number <> '')))"
)


def _complete(since: str) -> None:
    op.drop_column("people", "complete")
    op.add_column(
        "people",
        sa.Column(
            "complete",
            sa.Boolean(),
            sa.Computed(COMPLETE.format(since=since), persisted=True),
            nullable=True,
            comment="every required field is filled (MEM-22)",
        ),
    )


def upgrade() -> None:
    op.add_column(
        "people",
        sa.Column(
            "number_from",
            sa.Date(),
            server_default="2017-01-01",
            nullable=False,
            comment="who joined from then on needs a development number; by province (MEM-08)",
        ),
    )
    op.add_column(
        "people",
        sa.Column(
            "found_on",
            sa.Date(),
            nullable=True,
            comment="when work or study was found, of who waits in a hand-over branch (TYPE-16)",
        ),
    )
    op.execute(
        "UPDATE people p SET number_from = '2016-01-01' FROM org_directory o"
        " WHERE o.org_id = p.branch_id AND o.province = '65'"
    )
    _complete("number_from")


def downgrade() -> None:
    _complete("'2017-01-01'::date")
    op.drop_column("people", "found_on")
    op.drop_column("people", "number_from")
