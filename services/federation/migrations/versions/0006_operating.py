"""What operators ask and do: whose transfers they are, days to compare, commands of before, the audit log."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.audit import append_only

revision = "0006_operating"
down_revision = "0005_arrivals"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def _line() -> list[sa.Column[Any]]:
    return [
        sa.Column("paused_by", sa.BigInteger(), nullable=True, comment="null: the command line"),
        sa.Column("paused_reason", sa.Text(), nullable=True),
        sa.Column(
            "up_since", _TIME, nullable=True, comment="since when the peer answers; null while it does not"
        ),
        sa.Column("answered_at", _TIME, nullable=True, comment="when it has answered last"),
        sa.Column(
            "night",
            sa.Date(),
            nullable=True,
            comment="the day on which comparing was asked for by itself last",
        ),
    ]


def _differences() -> list[sa.Column[Any]]:
    return [
        sa.Column(
            "confirmed_at", _TIME, nullable=True, comment="when a person has said what is to be made of it"
        ),
        sa.Column("confirmed_by", sa.BigInteger(), nullable=True, comment="null: the command line"),
        sa.Column("reason", sa.Text(), nullable=True, comment="that the person has given"),
    ]


def upgrade() -> None:
    for column in _line():
        op.add_column("line", column)
    for column in _differences():
        op.add_column("differences", column)
    op.create_index(
        "ix_handovers_open",
        "handovers",
        ["state", "since"],
        postgresql_where=sa.text("state IN ('offered', 'handover', 'deciding', 'awaited')"),
    )
    op.create_index("ix_sent_settled_at", "sent", ["settled_at"])
    op.create_index("ix_received_received_at", "received", ["received_at"])
    op.create_table(
        "departures",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("transfer_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "org_id", sa.BigInteger(), nullable=False, comment="the branch that the member is to leave"
        ),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_departures")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_departures_transfer_id")),
        comment="whose transfers lead to the peer: who may look at them",
    )
    op.create_table(
        "wanted_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", _TIME, nullable=False, comment="not before then it is tried, by one process"),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_wanted_days")),
        comment="days that are to be compared with the peer",
    )
    op.create_table(
        "handled_commands",
        sa.Column("command_id", sa.Uuid(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False, comment="whose command it was"),
        sa.PrimaryKeyConstraint("command_id", name=op.f("pk_handled_commands")),
    )
    _create_log()


def _create_log() -> None:
    op.execute("CREATE SEQUENCE audit_lane")
    op.create_table(
        "audit_log",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "person_id",
            sa.BigInteger(),
            nullable=True,
            comment="who; null: the system itself, or the command line",
        ),
        sa.Column("org_id", sa.BigInteger(), nullable=True, comment="the organisation that was acted for"),
        sa.Column(
            "place_id", sa.BigInteger(), nullable=True, comment="the organisation that it happened to or in"
        ),
        sa.Column("persons", postgresql.ARRAY(sa.BigInteger()), nullable=False, comment="whom it concerns"),
        sa.Column("ref", sa.Text(), nullable=False, comment="what else it concerns, such as migration 12"),
        sa.Column("before", sa.Text(), nullable=True, comment="JSON"),
        sa.Column("after", sa.Text(), nullable=True, comment="JSON"),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("provincial_id", sa.BigInteger(), nullable=True, comment="above the place"),
        sa.Column(
            "acting_provincial_id", sa.BigInteger(), nullable=True, comment="above the acting organisation"
        ),
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
            "told",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="rows when it was told last",
        ),
        sa.Column(
            "closed_at",
            _TIME,
            nullable=True,
            comment="since when other lanes are written: the database was put back to an earlier state",
        ),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_audit_heads")),
        comment="how long each chain of the log is, and its last hash",
        postgresql_with={"fillfactor": "50"},
    )
    for table, what in (
        ("audit_log", "UPDATE OR DELETE OR TRUNCATE"),
        ("audit_heads", "DELETE OR TRUNCATE"),
    ):
        for statement in append_only(table, what):
            op.execute(statement)


def downgrade() -> None:
    for table in ("audit_heads", "audit_log", "handled_commands", "wanted_days", "departures"):
        op.drop_table(table)
    op.execute("DROP SEQUENCE audit_lane")
    op.execute("DROP FUNCTION refuse_change()")
    op.drop_index("ix_received_received_at", "received")
    op.drop_index("ix_sent_settled_at", "sent")
    op.drop_index("ix_handovers_open", "handovers")
    for column in _differences():
        op.drop_column("differences", column.name)
    for column in _line():
        op.drop_column("line", column.name)
