"""Imports that are worked off in the background."""

import sqlalchemy as sa
from alembic import op

revision = "0005_imports"
down_revision = "0004_records"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False, comment="the organisation that was acted for"),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("import_id", name=op.f("pk_imports")),
    )
    op.create_index("ix_imports_started_at", "imports", ["started_at"], unique=False)
    op.create_table(
        "import_rows",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting, entered, failed"),
        sa.Column(
            "row_sealed",
            sa.LargeBinary(),
            nullable=True,
            comment="the row as it was read; null once it is entered",
        ),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("import_id", "number", name=op.f("pk_import_rows")),
    )
    op.create_index(
        "ix_import_rows_waiting",
        "import_rows",
        ["import_id", "number"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )


def downgrade() -> None:
    op.drop_table("import_rows")
    op.drop_table("imports")
