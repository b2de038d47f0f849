"""Open nodes are counted as they come and go; the oldest and the next due of a province are looked up."""

import sqlalchemy as sa
from alembic import op

revision = "0009_open_counts"
down_revision = "0008_stage_comment"
branch_labels = None
depends_on = None

COUNTED = tuple(
    text
    for what, sign, rows in (("INSERT", "", "came"), ("DELETE", "-", "went"))
    for text in (
        f"""
CREATE FUNCTION count_nodes_{rows}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO open_counts (province, state, n)
    SELECT province, state, {sign}count(*) FROM {rows} GROUP BY province, state;
    RETURN NULL;
END $$""",
        f"""
CREATE TRIGGER open_nodes_{rows} AFTER {what} ON open_nodes
    REFERENCING {"NEW" if what == "INSERT" else "OLD"} TABLE AS {rows}
    FOR EACH STATEMENT EXECUTE FUNCTION count_nodes_{rows}()""",
    )
)


def upgrade() -> None:
    op.create_table(
        "open_counts",
        sa.Column("province", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        comment="how many nodes are open: the sum of n; each statement adds what it opened and closed,"
        " and the follower of the figures sums up",
    )
    # before the count, since making a trigger keeps writers away until the commit
    for statement in COUNTED:
        op.execute(statement)
    op.execute(
        "INSERT INTO open_counts (province, state, n)"
        " SELECT province, state, count(*) FROM open_nodes GROUP BY province, state"
    )
    op.create_index("ix_open_nodes_province_opened_at", "open_nodes", ["province", "opened_at"])
    op.create_index(
        "ix_open_nodes_province_expires_at",
        "open_nodes",
        ["province", "expires_at"],
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_open_nodes_province_expires_at", "open_nodes")
    op.drop_index("ix_open_nodes_province_opened_at", "open_nodes")
    for rows in ("came", "went"):
        op.execute(f"DROP TRIGGER open_nodes_{rows} ON open_nodes")
        op.execute(f"DROP FUNCTION count_nodes_{rows}()")
    op.drop_table("open_counts")
