"""What waits is kept for each organisation and for all above it, not counted (ADR 26)."""

from importlib import import_module
from typing import Any

import sqlalchemy as sa
from alembic import op

from services.transfers.figures import sums
from services.transfers.models import COUNTED

revision = "0017_kept_counts"
down_revision = "0016_peer_code"
branch_labels = None
depends_on = None

_BEFORE = import_module("services.transfers.migrations.versions.0009_open_counts").COUNTED
_COLUMNS: tuple[sa.Column[Any], ...] = (
    sa.Column("org_id", sa.BigInteger(), comment="empty: a sum, which the follower has made of lines"),
    sa.Column("superior_id", sa.BigInteger()),
    sa.Column("opened_at", sa.DateTime(timezone=True)),
    sa.Column("expires_at", sa.DateTime(timezone=True)),
    sa.Column("reminded", sa.Boolean()),
)
_INDEXED = ("org_id", "superior_id")


def upgrade() -> None:
    for column in _COLUMNS:
        op.add_column("open_counts", column)
    for name in _INDEXED:
        op.create_index(
            f"ix_open_counts_{name}", "open_counts", [name], postgresql_where=sa.text(f"{name} IS NOT NULL")
        )
    op.create_table(
        "open_own",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "superior_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="0: nobody beside it"
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column(
            "reminded", sa.BigInteger(), nullable=False, comment="of those, that the clock has reminded of"
        ),
        sa.PrimaryKeyConstraint("org_id", "superior_id", "state", name="pk_open_own"),
        comment="how many nodes wait for each organisation, up to the lines of open_counts that name one",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("ix_open_own_superior_id", "open_own", ["superior_id"])
    op.create_table(
        "open_below",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("waiting", sa.BigInteger(), nullable=False),
        sa.Column("due_soon", sa.BigInteger(), nullable=False),
        sa.Column("overdue", sa.BigInteger(), nullable=False),
        sa.Column("assigning", sa.BigInteger(), nullable=False),
        sa.Column(
            "oldest",
            sa.DateTime(timezone=True),
            comment="since when the first of them is open",
            nullable=True,
        ),
        sa.PrimaryKeyConstraint("org_id", name="pk_open_below"),
        comment="what waits in each subtree, by the clock of followed, up to the lines of open_counts",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "followed",
        sa.Column("what", sa.Text(), nullable=False, comment="open_below"),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("what", name="pk_followed"),
        comment="by which instant deadlines are counted as passed",
    )
    _forget("came", "went")
    # before the count, since making a trigger keeps writers away until the commit
    for statement in COUNTED:
        op.execute(statement)
    op.execute("INSERT INTO followed (what, until) VALUES ('open_below', now())")
    sums.mend(op.get_bind())


def _forget(*names: str) -> None:
    for name in names:
        op.execute(f"DROP TRIGGER open_nodes_{name} ON open_nodes")
        op.execute(f"DROP FUNCTION count_nodes_{name}()")


def downgrade() -> None:
    _forget("insert", "delete", "update")
    for statement in _BEFORE:
        op.execute(statement)
    for table in ("followed", "open_below", "open_own"):
        op.drop_table(table)
    for name in _INDEXED:
        op.drop_index(f"ix_open_counts_{name}", "open_counts")
    for column in reversed(_COLUMNS):
        op.drop_column("open_counts", column.name)
