"""Season policies, batch moves, statistics, bulk decisions, messages."""

import sqlalchemy as sa
from alembic import op

revision = "0004_seasons"
down_revision = "0003_directory"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bulk_jobs",
        sa.Column("bulk_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False, comment="what to do with each row, as JSON"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bulk_id", name=op.f("pk_bulk_jobs")),
    )
    op.create_index("ix_bulk_jobs_org_id", "bulk_jobs", ["org_id", "started_at"], unique=False)
    op.create_table(
        "bulk_rows",
        sa.Column("bulk_id", sa.Uuid(), nullable=False),
        sa.Column("transfer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("node_no", sa.SmallInteger(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True, comment="null: waits; empty: done; else the refusal"),
        sa.PrimaryKeyConstraint("bulk_id", "transfer_id", name=op.f("pk_bulk_rows")),
    )
    op.create_index(
        "ix_bulk_rows_waiting",
        "bulk_rows",
        ["bulk_id", "transfer_id"],
        unique=False,
        postgresql_where=sa.text("result IS NULL"),
    )
    op.create_table(
        "changes",
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("transfer_id", sa.BigInteger(), nullable=True),
        sa.Column("seq", sa.SmallInteger(), nullable=True),
        comment="what the statistics and the channels have not followed yet; no index,"
        " read from the front and emptied",
    )
    op.create_table(
        "decisions",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("year", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("code", sa.Text(), nullable=False, comment="approve, or why it was rejected"),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False, comment="how long the nodes had waited, in all"),
        sa.PrimaryKeyConstraint("org_id", "year", "code", name=op.f("pk_decisions")),
        comment="people's decisions of each subtree (BEY-06)",
    )
    op.create_table(
        "flows",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("week", sa.Date(), nullable=False, comment="its Monday, in China"),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "week", "event", name=op.f("pk_flows")),
        comment="what happened each week to transfers out of each subtree",
    )
    op.create_table(
        "deliveries",
        sa.Column("webhook_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("transfer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column(
            "next_at", sa.DateTime(timezone=True), nullable=True, comment="null: delivered or given up"
        ),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("webhook_id", "transfer_id", "seq", name=op.f("pk_deliveries")),
    )
    op.create_index(
        "ix_deliveries_next_at",
        "deliveries",
        ["next_at"],
        unique=False,
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_table(
        "escalations",
        sa.Column("transfer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "org_id", sa.BigInteger(), nullable=False, comment="the lowest common superior of both sides"
        ),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer", sa.Text(), server_default="", nullable=False, comment="empty, receive, uphold"),
        sa.Column("answer_note", sa.Text(), server_default="", nullable=False),
        sa.Column("answered_by", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("transfer_id", name=op.f("pk_escalations")),
    )
    op.create_index("ix_escalations_org_id", "escalations", ["org_id", "asked_at"], unique=False)
    op.create_table(
        "figures",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cohort", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("study", sa.Integer(), server_default="0", nullable=False),
        sa.Column("study_in", sa.Integer(), server_default="0", nullable=False),
        sa.Column("studied", sa.Integer(), server_default="0", nullable=False),
        sa.Column("society", sa.Integer(), server_default="0", nullable=False),
        sa.Column("society_in", sa.Integer(), server_default="0", nullable=False),
        sa.Column("settled", sa.Integer(), server_default="0", nullable=False),
        sa.Column("excluded", sa.Integer(), server_default="0", nullable=False),
        sa.Column("idle", sa.Integer(), server_default="0", nullable=False),
        sa.Column("open", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ended", sa.Integer(), server_default="0", nullable=False),
        sa.Column("completed", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("org_id", "cohort", name=op.f("pk_figures")),
        comment="SX, XS and stages of each subtree, kept from event to event (STAT-10..15)",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "graduates",
        sa.Column("member_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cohort", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False, comment="where the member graduated"),
        sa.Column("flagged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "counts", sa.Boolean(), nullable=False, comment="false: marked as delayed or teacher, or deleted"
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member_id", "cohort", name=op.f("pk_graduates")),
    )
    op.create_index("ix_graduates_branch_id", "graduates", ["branch_id"], unique=False)
    op.create_table(
        "messages_read",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("transfer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("person_id", "org_id", "transfer_id", "seq", name=op.f("pk_messages_read")),
    )
    op.create_table(
        "node_rules",
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("province", sa.Text(), nullable=False, comment="empty: the nation"),
        sa.Column(
            "opens_before",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="holds for nodes opened before, and not before the row before",
        ),
        sa.Column("remind_after", sa.Interval(), nullable=True),
        sa.Column("remind_every", sa.Interval(), nullable=True),
        sa.Column("expire_after", sa.Interval(), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("on_expiry", sa.Text(), nullable=False),
        sa.Column(
            "withdraw",
            sa.Text(),
            nullable=False,
            comment="no, first, yes; with _own only the member's own start",
        ),
        sa.PrimaryKeyConstraint("policy", "state", "province", "opens_before", name=op.f("pk_node_rules")),
    )
    op.create_table(
        "policies",
        sa.Column("holds_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False, comment="the file as it was applied"),
        sa.PrimaryKeyConstraint("holds_from", name=op.f("pk_policies")),
    )
    op.create_table(
        "reading_marks",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "org_id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="0: the person's own messages",
        ),
        sa.Column("read_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "org_id", name=op.f("pk_reading_marks")),
    )
    op.create_table(
        "standings",
        sa.Column("member_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cohort", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("origin_path", sa.Text(collation="C"), nullable=False),
        sa.Column("target_path", sa.Text(collation="C"), nullable=False),
        sa.Column("rate", sa.Text(), nullable=False, comment="SX, XS or empty"),
        sa.Column("stage", sa.Text(), nullable=False, comment="none, open, ended, completed"),
        sa.Column(
            "requested", sa.Boolean(), nullable=False, comment="counts where it goes to (Annex F: C, F)"
        ),
        sa.Column("transfer_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("member_id", "cohort", name=op.f("pk_standings")),
        comment="how each graduate stands, as the figures have counted it (Annex F)",
    )
    op.create_index("ix_standings_origin_path", "standings", ["cohort", "origin_path"], unique=False)
    op.create_index(
        "ix_standings_target_path",
        "standings",
        ["cohort", "target_path"],
        unique=False,
        postgresql_where=sa.text("requested"),
    )
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("command_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False, comment="signs what is sent; shown once"),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("pk_webhooks")),
        sa.UniqueConstraint("command_id", name=op.f("uq_webhooks_command_id")),
    )
    op.create_index(
        "ix_webhooks_org_id", "webhooks", ["org_id"], unique=False, postgresql_where=sa.text("active")
    )
    op.add_column(
        "open_nodes",
        sa.Column(
            "withdraw", sa.Text(), server_default="no", nullable=False, comment="no, yes, yes_own (TRF-28)"
        ),
    )
    op.add_column("open_nodes", sa.Column("remind_every", sa.Interval(), nullable=True))
    op.add_column(
        "open_nodes",
        sa.Column(
            "revision",
            sa.SmallInteger(),
            server_default="0",
            nullable=False,
            comment="how often its deadline was changed",
        ),
    )
    op.add_column(
        "open_nodes",
        sa.Column(
            "urged_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when somebody asked for a decision last (BEY-21)",
        ),
    )
    op.add_column(
        "open_nodes",
        sa.Column("looked_by", sa.BigInteger(), nullable=True, comment="who is looking at it (BEY-23)"),
    )
    op.add_column("open_nodes", sa.Column("looked_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("org_directory", sa.Column("division_code", sa.Text(collation="C"), nullable=True))
    op.create_index(
        "ix_org_directory_township",
        "org_directory",
        ["division_code"],
        unique=False,
        postgresql_where=sa.text("purpose = 'township'"),
    )
    op.execute(
        "DELETE FROM path_steps"
    )  # written anew at the start of the service, without a policy in their names
    op.drop_column("path_steps", "expire_after")
    op.drop_column("path_steps", "remind_every")
    op.drop_column("path_steps", "remind_after")
    op.drop_column("path_steps", "on_expiry")
    op.add_column(
        "transfers",
        sa.Column(
            "place_division",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="division code of the place (TRF-13)",
        ),
    )
    op.add_column(
        "transfers",
        sa.Column(
            "concern",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="class of destination that the starter was warned of (BEY-01)",
        ),
    )
    op.add_column(
        "transfers",
        sa.Column(
            "batch_id", sa.Uuid(), nullable=True, comment="the batch move that it belongs to (BATCH-05)"
        ),
    )
    op.add_column(
        "transfers",
        sa.Column("policy", sa.Text(), nullable=False, server_default="", comment="name@version (BEY-07)"),
    )
    op.execute(
        "UPDATE transfers SET policy = split_part(path, ':', 1),"
        " path = substr(path, position(':' IN path) + 1)"
    )
    op.alter_column("transfers", "policy", server_default=None)
    op.execute("UPDATE open_nodes SET withdraw = 'yes' WHERE state <> 'pending_assign'")
    op.create_index(
        "ix_transfers_batch_id",
        "transfers",
        ["batch_id"],
        unique=False,
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_index(
        "ix_transfers_initiator_org_id",
        "transfers",
        ["initiator_org_id", "created_at"],
        unique=False,
        postgresql_where=sa.text("initiator_org_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.execute("UPDATE transfers SET path = policy || ':' || path")
    op.drop_index(
        "ix_transfers_initiator_org_id",
        table_name="transfers",
        postgresql_where=sa.text("initiator_org_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_transfers_batch_id", table_name="transfers", postgresql_where=sa.text("batch_id IS NOT NULL")
    )
    op.drop_column("transfers", "policy")
    op.drop_column("transfers", "batch_id")
    op.drop_column("transfers", "concern")
    op.drop_column("transfers", "place_division")
    op.add_column("path_steps", sa.Column("on_expiry", sa.Text(), nullable=True))
    op.add_column("path_steps", sa.Column("remind_after", sa.Interval(), nullable=True))
    op.add_column("path_steps", sa.Column("remind_every", sa.Interval(), nullable=True))
    op.add_column("path_steps", sa.Column("expire_after", sa.Interval(), nullable=True))
    op.drop_index(
        "ix_org_directory_township",
        table_name="org_directory",
        postgresql_where=sa.text("purpose = 'township'"),
    )
    op.drop_column("org_directory", "division_code")
    op.drop_column("open_nodes", "looked_until")
    op.drop_column("open_nodes", "looked_by")
    op.drop_column("open_nodes", "urged_at")
    op.drop_column("open_nodes", "revision")
    op.drop_column("open_nodes", "remind_every")
    op.drop_column("open_nodes", "withdraw")
    op.drop_index("ix_webhooks_org_id", table_name="webhooks", postgresql_where=sa.text("active"))
    op.drop_table("webhooks")
    op.drop_index("ix_standings_target_path", table_name="standings", postgresql_where=sa.text("requested"))
    op.drop_index("ix_standings_origin_path", table_name="standings")
    op.drop_table("standings")
    op.drop_table("reading_marks")
    op.drop_table("policies")
    op.drop_table("node_rules")
    op.drop_table("messages_read")
    op.drop_index("ix_graduates_branch_id", table_name="graduates")
    op.drop_table("graduates")
    op.drop_table("figures")
    op.drop_index("ix_escalations_org_id", table_name="escalations")
    op.drop_table("escalations")
    op.drop_index(
        "ix_deliveries_next_at", table_name="deliveries", postgresql_where=sa.text("next_at IS NOT NULL")
    )
    op.drop_table("deliveries")
    op.drop_table("flows")
    op.drop_table("decisions")
    op.drop_table("changes")
    op.drop_index("ix_bulk_rows_waiting", table_name="bulk_rows", postgresql_where=sa.text("result IS NULL"))
    op.drop_table("bulk_rows")
    op.drop_index("ix_bulk_jobs_org_id", table_name="bulk_jobs")
    op.drop_table("bulk_jobs")
