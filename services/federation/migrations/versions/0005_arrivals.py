"""Who is offered to us; organisations and rights, as every service knows them."""

import sqlalchemy as sa
from alembic import op

revision = "0005_arrivals"
down_revision = "0004_readings"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "arrivals",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("command_id", sa.Uuid(), nullable=False, comment="of the request to transfers"),
        sa.Column("source_branch_id", sa.BigInteger(), nullable=False, comment="in our mirror of the peer"),
        sa.Column("target_org_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("remark", sa.Text(), nullable=False),
        sa.Column(
            "member_id",
            sa.BigInteger(),
            nullable=True,
            comment="as members knows the person; null until it has answered",
        ),
        sa.Column(
            "transfer_id", sa.BigInteger(), nullable=True, comment="ours; null until transfers has answered"
        ),
        sa.Column("end_code", sa.Text(), nullable=True, comment="why the peer has called it off"),
        sa.Column("end_note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_arrivals")),
        sa.UniqueConstraint("command_id", name=op.f("uq_arrivals_command_id")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_arrivals_transfer_id")),
        comment="who is offered to us: the transfer here that belongs to each transfer of the peer",
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
        sa.Column("industry", sa.Text(), server_default="", nullable=False),
        sa.Column("division_code", sa.Text(collation="C"), nullable=True),
        sa.Column("peer_code", sa.Text(collation="C"), nullable=True),
        sa.Column(
            "changed_at",
            _TIME,
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="the order of our own directory at the door",
        ),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_org_directory")),
    )
    op.create_index("ix_org_directory_path", "org_directory", ["path"])
    op.create_index("ix_org_directory_parent_id", "org_directory", ["parent_id"])
    op.create_index(
        "ix_org_directory_township",
        "org_directory",
        ["division_code"],
        postgresql_where=sa.text("purpose = 'township'"),
    )
    op.create_index("ix_org_directory_changed_at", "org_directory", ["changed_at", "org_id"])
    op.create_index(
        "ix_org_directory_peer_code",
        "org_directory",
        ["system", "peer_code"],
        postgresql_where=sa.text("peer_code IS NOT NULL"),
    )
    op.create_index("ix_org_directory_name", "org_directory", [sa.text("normalize(name, NFKC)")])
    op.create_table(
        "administrator_directory",
        sa.Column("org_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("observer", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("org_id", "person_id", name=op.f("pk_administrator_directory")),
    )
    op.create_index("ix_administrator_directory_person_id", "administrator_directory", ["person_id"])
    op.create_table(
        "ended_sessions",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("until", _TIME, nullable=False, comment="its last token has lapsed by then"),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_ended_sessions")),
    )
    op.create_index(op.f("ix_ended_sessions_until"), "ended_sessions", ["until"])


def downgrade() -> None:
    for table in ("ended_sessions", "administrator_directory", "org_directory", "arrivals"):
        op.drop_table(table)
