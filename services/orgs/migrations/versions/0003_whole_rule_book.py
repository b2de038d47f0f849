"""School numbers, first checks, cadres, migrations of subtrees."""

import sqlalchemy as sa
from alembic import op

revision = "0003_whole_rule_book"
down_revision = "0002_graduation"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "orgs",
        sa.Column(
            "school_number",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="of independent schools only (SCH-04)",
        ),
    )
    op.add_column(
        "orgs",
        sa.Column(
            "checked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when its own administrator checked the data for the first time (ORG-16)",
        ),
    )
    op.add_column(
        "orgs",
        sa.Column(
            "was_kind",
            sa.Text(),
            nullable=True,
            comment="before its one change of kind (ORG-11); null: it may still change",
        ),
    )
    op.add_column(
        "orgs",
        sa.Column(
            "plain",
            sa.Text(collation="C"),
            sa.Computed("replace(normalize(full_name, NFKC), ' ', '')", persisted=True),
            nullable=False,
            comment="as it is searched",
        ),
    )
    op.create_index("ix_orgs_plain", "orgs", ["plain"])
    op.add_column(
        "administrators",
        sa.Column(
            "observer", sa.Boolean(), server_default="false", nullable=False, comment="looks only (ROLE-10)"
        ),
    )
    op.create_table(
        "cadres",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("post", sa.Text(), nullable=False, comment="empty: none any more"),
        sa.Column("has_phone", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "person_id", name=op.f("pk_cadres")),
        comment="who holds a post where, as members tells it",
    )
    op.create_table(
        "migrations",
        sa.Column("migration_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("command_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("from_org_id", sa.BigInteger(), nullable=False),
        sa.Column("to_org_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False, comment="organisations to move"),
        sa.Column(
            "moved",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="of these; readers see them move all at once",
        ),
        sa.Column("requested_by", sa.BigInteger(), nullable=False),
        sa.Column("old_decided_by", sa.BigInteger(), nullable=True),
        sa.Column("new_decided_by", sa.BigInteger(), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "expires_at", sa.DateTime(timezone=True), nullable=False, comment="when the open node is returned"
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("migration_id", name=op.f("pk_migrations")),
        sa.UniqueConstraint("command_id", name=op.f("uq_migrations_command_id")),
    )
    op.create_index(op.f("ix_migrations_org_id"), "migrations", ["org_id"])
    op.create_index(op.f("ix_migrations_from_org_id"), "migrations", ["from_org_id"])
    op.create_index(op.f("ix_migrations_to_org_id"), "migrations", ["to_org_id"])
    op.create_index(
        "ix_migrations_open", "migrations", ["org_id"], postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_table(
        "ended_sessions",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column(
            "until", sa.DateTime(timezone=True), nullable=False, comment="its last token has lapsed by then"
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_ended_sessions")),
    )
    op.create_index(op.f("ix_ended_sessions_until"), "ended_sessions", ["until"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_ended_sessions_until"), table_name="ended_sessions")
    op.drop_table("ended_sessions")
    op.drop_table("migrations")
    op.drop_table("cadres")
    op.drop_index("ix_orgs_plain", table_name="orgs")
    op.drop_column("orgs", "plain")
    op.drop_column("administrators", "observer")
    op.drop_column("orgs", "was_kind")
    op.drop_column("orgs", "checked_at")
    op.drop_column("orgs", "school_number")
