"""First schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001_first"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "administrator_directory",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "person_id", name=op.f("pk_administrator_directory")),
    )
    op.create_table(
        "audit",
        sa.Column("transfer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=True),
        sa.Column("org_id", sa.BigInteger(), nullable=True),
        sa.Column("decision_id", sa.Uuid(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("transfer_id", "seq", name=op.f("pk_audit")),
    )
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
        "open_nodes",
        sa.Column("transfer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("node_no", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("province", sa.Text(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("superior_id", sa.BigInteger(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("remind_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("on_expiry", sa.Text(), nullable=True),
        sa.Column("reminders", sa.SmallInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("transfer_id", "node_no", name=op.f("pk_open_nodes")),
    )
    op.create_index(
        "ix_open_nodes_org_id", "open_nodes", ["org_id", "opened_at", "transfer_id"], unique=False
    )
    op.create_index(
        "ix_open_nodes_superior_id",
        "open_nodes",
        ["superior_id", "opened_at", "transfer_id"],
        unique=False,
        postgresql_where=sa.text("superior_id IS NOT NULL"),
    )
    op.create_table(
        "org_directory",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("path", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("province", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("provincial_id", sa.BigInteger(), nullable=True),
        sa.Column("vault_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_org_directory")),
    )
    op.create_index("ix_org_directory_parent_id", "org_directory", ["parent_id"], unique=False)
    op.create_index("ix_org_directory_path", "org_directory", ["path"], unique=False)
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
        "path_steps",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("node_no", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("remind_after", sa.Interval(), nullable=True),
        sa.Column("remind_every", sa.Interval(), nullable=True),
        sa.Column("expire_after", sa.Interval(), nullable=True),
        sa.Column("on_expiry", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("path", "node_no", name=op.f("pk_path_steps")),
    )
    op.create_table(
        "transfers",
        sa.Column("transfer_id", sa.BigInteger(), sa.Identity(always=True, cache=500), nullable=False),
        sa.Column("command_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("initiator", sa.Text(), nullable=False),
        sa.Column("initiator_org_id", sa.BigInteger(), nullable=True),
        sa.Column("initiator_person_id", sa.BigInteger(), nullable=False),
        sa.Column("source_branch_id", sa.BigInteger(), nullable=False),
        sa.Column("source_superior_id", sa.BigInteger(), nullable=True),
        sa.Column("source_province", sa.Text(), nullable=False),
        sa.Column("provincial_id", sa.BigInteger(), nullable=True),
        sa.Column("target_org_id", sa.BigInteger(), nullable=False),
        sa.Column("target_superior_id", sa.BigInteger(), nullable=True),
        sa.Column("target_province", sa.Text(), nullable=False),
        sa.Column("target_branch_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("place_name", sa.Text(), nullable=False),
        sa.Column("place_address", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("remark", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("node_no", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_code", sa.Text(), server_default="", nullable=False),
        sa.Column("end_note", sa.Text(), server_default="", nullable=False),
        sa.Column("audit_seq", sa.SmallInteger(), nullable=False),
        sa.Column("audit_head", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("transfer_id", name=op.f("pk_transfers")),
        sa.UniqueConstraint("command_id", name=op.f("uq_transfers_command_id")),
        postgresql_with={"fillfactor": "60"},
    )
    op.create_index("ix_transfers_member_id", "transfers", ["member_id"], unique=False)
    op.create_index(
        "ix_transfers_source_branch_id", "transfers", ["source_branch_id", "transfer_id"], unique=False
    )
    op.create_index("ix_transfers_target_org_id", "transfers", ["target_org_id", "transfer_id"], unique=False)
    op.create_index(
        "uq_transfers_one_open_per_member",
        "transfers",
        ["member_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "uq_transfers_one_open_per_member",
        table_name="transfers",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_index("ix_transfers_target_org_id", table_name="transfers")
    op.drop_index("ix_transfers_source_branch_id", table_name="transfers")
    op.drop_index("ix_transfers_member_id", table_name="transfers")
    op.drop_table("transfers")
    op.drop_table("path_steps")
    op.drop_index(
        "ix_outbox_unpublished", table_name="outbox", postgresql_where=sa.text("published_at IS NULL")
    )
    op.drop_table("outbox")
    op.drop_index("ix_org_directory_path", table_name="org_directory")
    op.drop_index("ix_org_directory_parent_id", table_name="org_directory")
    op.drop_table("org_directory")
    op.drop_index(
        "ix_open_nodes_superior_id",
        table_name="open_nodes",
        postgresql_where=sa.text("superior_id IS NOT NULL"),
    )
    op.drop_index("ix_open_nodes_org_id", table_name="open_nodes")
    op.drop_table("open_nodes")
    op.drop_table("inbox")
    op.drop_index("ix_failed_messages_due", table_name="failed_messages")
    op.drop_table("failed_messages")
    op.drop_table("audit")
    op.drop_table("administrator_directory")
