"""What a database that was put back must not hand out again: ids of messages, numbers, lanes."""

import sqlalchemy as sa
from alembic import op

from shared.outbox import NEVER_AGAIN

revision = "0011_lives"
down_revision = "0010_early"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # the default comes afterwards: what stands in the outbox keeps the id under which it was published
    op.add_column(
        "outbox",
        sa.Column(
            "message_id",
            sa.Uuid(),
            nullable=True,
            comment="what consumers remember; null: of before, known by service and id",
        ),
    )
    op.alter_column("outbox", "message_id", server_default=sa.text(NEVER_AGAIN))
    op.create_table(
        "lives",
        sa.Column(
            "began_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
        ),
        sa.Column("place", sa.Text(), nullable=False, comment="the server and its timeline"),
        sa.Column("lost", sa.Boolean(), nullable=False, comment="the end of the life before may be missing"),
        sa.PrimaryKeyConstraint("began_at", name=op.f("pk_lives")),
        comment="since when this database hands out numbers, and since when others",
    )
    op.add_column(
        "audit_heads",
        sa.Column(
            "closed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="since when other lanes are written: the database was put back to an earlier state",
        ),
    )


def downgrade() -> None:
    op.drop_column("audit_heads", "closed_at")
    op.drop_table("lives")
    op.drop_column("outbox", "message_id")
