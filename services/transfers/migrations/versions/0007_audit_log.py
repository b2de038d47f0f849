"""The audit log with its heads and seals on the trails, which nobody changes or deletes (BEY-10)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from shared.audit import append_only

revision = "0007_audit_log"
down_revision = "0006_webhooks_once"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("audit_lane")))
    op.create_table(
        "audit_log",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), comment="who; null: the system itself, or the command line"),
        sa.Column("org_id", sa.BigInteger(), comment="the organisation that was acted for"),
        sa.Column("place_id", sa.BigInteger(), comment="the organisation that it happened to or in"),
        sa.Column("persons", ARRAY(sa.BigInteger()), nullable=False, comment="whom it concerns"),
        sa.Column("ref", sa.Text(), nullable=False, comment="what else it concerns, such as migration 12"),
        sa.Column("before", sa.Text(), comment="JSON"),
        sa.Column("after", sa.Text(), comment="JSON"),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("provincial_id", sa.BigInteger(), comment="above the place"),
        sa.Column("acting_provincial_id", sa.BigInteger(), comment="above the acting organisation"),
        sa.Column("hash", sa.LargeBinary(), nullable=False, comment="of the hash before and this line"),
        sa.PrimaryKeyConstraint("lane", "seq", name=op.f("pk_audit_log")),
        comment="append-only (BEY-10)",
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"])
    op.create_index("ix_audit_log_person_id", "audit_log", ["person_id", "at"])
    op.create_index("ix_audit_log_place_id", "audit_log", ["place_id", "at"])
    op.create_index("ix_audit_log_persons", "audit_log", ["persons"], postgresql_using="gin")
    op.create_table(
        "audit_heads",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "told", sa.BigInteger(), server_default="0", nullable=False, comment="rows when it was told last"
        ),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_audit_heads")),
        comment="how long each chain of the log is, and its last hash",
        postgresql_with={"fillfactor": "50"},
    )
    for statement in (*append_only("audit_log"), *append_only("audit_heads", "DELETE OR TRUNCATE")):
        op.execute(statement)
    op.create_table(
        "audit_segments",
        sa.Column("segment_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("transfer_ids", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("seqs", sa.ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=False,
            comment="hash over the hashes of these lines of the trails, in order",
        ),
        sa.PrimaryKeyConstraint("segment_no", name=op.f("pk_audit_segments")),
        comment="which lines of the trails were sealed together; each is named by a line of the log;"
        " append-only",
    )
    for table in ("audit_segments", "audit"):
        for statement in append_only(table):
            op.execute(statement)
    # What was there before is sealed by the next rounds of the follower: the last line of each trail covers
    # the others.
    op.execute(
        "INSERT INTO changes (member_id, transfer_id, seq)"
        " SELECT member_id, transfer_id, audit_seq FROM transfers"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER audit_append_only ON audit")
    op.drop_table("audit_segments")
    op.drop_table("audit_heads")
    op.drop_table("audit_log")
    op.execute(sa.schema.DropSequence(sa.Sequence("audit_lane")))
    op.execute("DROP FUNCTION refuse_change()")
