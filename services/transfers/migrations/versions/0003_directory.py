"""Industries of organisations; rights by person."""

import sqlalchemy as sa
from alembic import op

revision = "0003_directory"
down_revision = "0002_open_transfers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("org_directory", sa.Column("industry", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "administrator_directory", sa.Column("observer", sa.Boolean(), server_default="false", nullable=False)
    )
    op.create_index("ix_administrator_directory_person_id", "administrator_directory", ["person_id"])
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
    op.drop_column("administrator_directory", "observer")
    op.drop_index("ix_administrator_directory_person_id", table_name="administrator_directory")
    op.drop_column("org_directory", "industry")
