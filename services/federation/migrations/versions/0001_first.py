"""First schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.outbox import NEVER_AGAIN

revision = "0001_first"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "failed_messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="1", nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "next_attempt_at", sa.DateTime(timezone=True), nullable=True, comment="null: a dead letter"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failed_messages")),
    )
    op.create_index("ix_failed_messages_due", "failed_messages", ["next_attempt_at"], unique=False)
    op.create_table(
        "handovers",
        sa.Column(
            "subject", sa.Text(), nullable=False, comment="the system that the member leaves, its number"
        ),
        sa.Column("side", sa.Text(), nullable=False, comment="which part is ours"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("heard", postgresql.ARRAY(sa.Text()), nullable=False, comment="what has to be known later"),
        sa.Column("our_seq", sa.Integer(), nullable=False, comment="the last number that we have given"),
        sa.Column("our_head", sa.Text(), nullable=False, comment="the hash of the message with that number"),
        sa.Column("their_seq", sa.Integer(), nullable=False, comment="everything up to it has come"),
        sa.Column("their_head", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, comment="when it came to this state"),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_handovers")),
    )
    op.create_table(
        "inbox",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column(
            "handled_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_inbox")),
    )
    op.create_table(
        "line",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "down_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the peer was first found away; null while it answers",
        ),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False, comment="since then"),
        sa.Column(
            "probe_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not before then the next try is made",
        ),
        sa.Column(
            "paused_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="since when an operator lets nothing go out",
        ),
        sa.Column(
            "skew_ms",
            sa.Integer(),
            nullable=True,
            comment="how far the peer's clock is ahead, by its last receipt",
        ),
        sa.CheckConstraint("one", name=op.f("ck_line_one")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_line")),
        comment="one row: whether the peer answers",
    )
    op.create_table(
        "lives",
        sa.Column(
            "began_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("place", sa.Text(), nullable=False, comment="the server and its timeline"),
        sa.Column("lost", sa.Boolean(), nullable=False, comment="the end of the life before may be missing"),
        sa.PrimaryKeyConstraint("began_at", name=op.f("pk_lives")),
        comment="since when this database hands out numbers, and since when others",
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "message_id",
            sa.Uuid(),
            server_default=sa.text(NEVER_AGAIN),
            nullable=True,
            comment="what consumers remember; null: of before, known by service and id",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_unpublished",
        "outbox",
        ["id"],
        unique=False,
        postgresql_where=sa.text("published_at IS NULL"),
    )
    op.create_table(
        "quarantine",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "decision",
            sa.Text(),
            nullable=True,
            comment="applied, refused, discarded; null while nobody has decided",
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("subject", "seq", name=op.f("pk_quarantine")),
    )
    op.create_index(
        "ix_quarantine_open",
        "quarantine",
        ["found_at"],
        unique=False,
        postgresql_where=sa.text("decision IS NULL"),
    )
    op.create_table(
        "receipts",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("jws", sa.Text(), nullable=False, comment="the first one, which every repetition gets"),
        sa.PrimaryKeyConstraint("subject", "seq", name=op.f("pk_receipts")),
    )
    op.create_table(
        "received",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("jws", sa.Text(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False, comment="by the peer's clock"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="applied, late, held, refused, quarantined, discarded"
        ),
        sa.Column(
            "code", sa.Text(), nullable=False, comment="why it was refused or quarantined; empty if not"
        ),
        sa.PrimaryKeyConstraint("subject", "seq", name=op.f("pk_received")),
    )
    op.create_table(
        "sent",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("jws", sa.Text(), nullable=False, comment="signed once; every try sends these bytes"),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True, comment="null: it must arrive"),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting, receipted, or parked for a person"),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease", sa.Uuid(), nullable=True, comment="who is sending it now"),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("receipt", sa.Text(), nullable=True, comment="the peer's receipt that ended the sending"),
        sa.Column(
            "receipt_code", sa.Text(), nullable=True, comment="why the peer refuses it, or why it is parked"
        ),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("subject", "seq", name=op.f("pk_sent")),
    )
    op.create_index(
        "ix_sent_parked", "sent", ["settled_at"], unique=False, postgresql_where=sa.text("state = 'parked'")
    )
    op.create_index(
        "ix_sent_waiting",
        "sent",
        ["said_at", "subject", "seq"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )


def downgrade() -> None:
    op.drop_index("ix_sent_waiting", table_name="sent", postgresql_where=sa.text("state = 'waiting'"))
    op.drop_index("ix_sent_parked", table_name="sent", postgresql_where=sa.text("state = 'parked'"))
    op.drop_table("sent")
    op.drop_table("received")
    op.drop_table("receipts")
    op.drop_index("ix_quarantine_open", table_name="quarantine", postgresql_where=sa.text("decision IS NULL"))
    op.drop_table("quarantine")
    op.drop_index(
        "ix_outbox_unpublished", table_name="outbox", postgresql_where=sa.text("published_at IS NULL")
    )
    op.drop_table("outbox")
    op.drop_table("lives")
    op.drop_table("line")
    op.drop_table("inbox")
    op.drop_table("handovers")
    op.drop_index("ix_failed_messages_due", table_name="failed_messages")
    op.drop_table("failed_messages")
