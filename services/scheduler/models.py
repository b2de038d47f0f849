"""The tables of the scheduler.

One row per open node, with the instants that somebody waits for, or per end of a transfer; days;
heads that it keeps for others.
"""

from __future__ import annotations

import sqlalchemy as sa

from shared import audit, db, inbox, lives, outbox

metadata = db.metadata()
_time = sa.DateTime(timezone=True)

timers = sa.Table(
    "timers",
    metadata,
    sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("node_no", sa.SmallInteger, nullable=False),
    sa.Column("revision", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("remind_at", _time),
    sa.Column("remind_every", sa.Interval),
    sa.Column("expires_at", _time),
    sa.Column("due_at", _time, sa.Computed("LEAST(remind_at, expires_at)", persisted=True)),
    sa.Column("ended_on", sa.Date, comment="the transfer waits for nobody any more; forgotten later"),
    sa.Index("ix_timers_ended_on", "ended_on", postgresql_where=sa.text("ended_on IS NOT NULL")),
    sa.Index("ix_timers_due_at", "due_at", postgresql_where=sa.text("due_at IS NOT NULL")),
)

days = sa.Table("days", metadata, sa.Column("day", sa.Date, primary_key=True), comment="days that were told")

kept_heads = audit.keep(
    sa.Table(
        "kept_heads",
        metadata,
        sa.Column("service", sa.Text, primary_key=True),
        sa.Column("lane", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("rows", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("kept_at", _time, nullable=False),
        comment="how long each chain of the audit logs was, and its last hash, as it was told; append-only",
    )
)

lives.table(metadata)
outbox.table(metadata)
inbox.tables(metadata)
