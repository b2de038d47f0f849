"""Graduates are told to the statistics; division codes of organisations."""

import sqlalchemy as sa
from alembic import op

revision = "0008_graduates"
down_revision = "0007_whole_rule_book"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("graduate_version")))
    # the graduates of today are told once, in messages of at most 500 items like those of `shared.outbox`
    op.execute("""
        INSERT INTO outbox (topic, body)
        SELECT 'graduate_changed',
            json_agg(json_build_object('member_id', person_id, 'cohort', cohort, 'branch_id', branch_id,
                'counts', true, 'at', now(), 'version', nextval('graduate_version')))::text
        FROM (
            SELECT person_id, branch_id, extract(year FROM graduates_on)::int AS cohort,
                (row_number() OVER () - 1) / 500 AS chunk
            FROM people
            WHERE graduate AND branch_id IS NOT NULL AND graduates_on IS NOT NULL
        ) AS flagged
        GROUP BY chunk""")
    op.create_index(
        "ix_people_graduates",
        "people",
        ["branch_id", "person_id"],
        unique=False,
        postgresql_where=sa.text("graduate"),
    )
    op.add_column("org_directory", sa.Column("division_code", sa.Text(collation="C"), nullable=True))
    op.create_index(
        "ix_org_directory_township",
        "org_directory",
        ["division_code"],
        unique=False,
        postgresql_where=sa.text("purpose = 'township'"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_org_directory_township",
        table_name="org_directory",
        postgresql_where=sa.text("purpose = 'township'"),
    )
    op.drop_column("org_directory", "division_code")
    op.drop_index("ix_people_graduates", table_name="people")
    op.execute(sa.schema.DropSequence(sa.Sequence("graduate_version")))
