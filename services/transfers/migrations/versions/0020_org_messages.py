"""What an office is told is found by an index, not among all that it has started (ADR 28)."""

import sqlalchemy as sa
from alembic import op

revision = "0020_org_messages"
down_revision = "0019_sums_by_province"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "org_messages",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("transfer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), comment="who has done it: it is no news to them"),
        sa.PrimaryKeyConstraint("org_id", "at", "transfer_id", "seq", name="pk_org_messages"),
        comment="which lines of the trails are messages to the office that has started the transfer (MSG-01)",
    )
    # as many as are shown: of the last 400 days
    op.execute("""
        INSERT INTO org_messages (org_id, at, transfer_id, seq, event, person_id)
        SELECT t.initiator_org_id, a.at, a.transfer_id, a.seq, a.event, a.person_id
        FROM transfers t JOIN audit a USING (transfer_id)
        WHERE t.initiator_org_id IS NOT NULL AND a.at > now() - interval '400 days'
            AND a.event NOT IN ('reserved', 'integrated', 'record_taken')""")


def downgrade() -> None:
    op.drop_table("org_messages")
