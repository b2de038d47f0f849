"""Where members are whose transfers have ended; when the peer's directory is to be read anew."""

import sqlalchemy as sa
from alembic import op

revision = "0007_homes"
down_revision = "0006_operating"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "homes",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column(
            "home",
            sa.Text(),
            nullable=True,
            comment="where our registry has the member; null while it has not said",
        ),
        sa.Column(
            "told_at",
            _TIME,
            nullable=True,
            comment="which question that answers: not older than its asked_at",
        ),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_homes")),
        comment="where members are whose transfers have ended",
    )
    op.add_column(
        "line",
        sa.Column(
            "reading_at",
            _TIME,
            nullable=True,
            comment="when somebody asked for the peer's directory to be read anew",
        ),
    )


def downgrade() -> None:
    op.drop_column("line", "reading_at")
    op.drop_table("homes")
