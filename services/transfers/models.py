"""The tables of the transfers service.

`transfers` is updated in place without touching an index (fillfactor leaves room), because what is indexed and changes lives in two
small tables: `open_nodes`, one row per open node, deleted by the decision (whoever deletes it has decided), and `open_transfers`,
one row per member with an open transfer, deleted at the end.
"""
from __future__ import annotations

import sqlalchemy as sa

from shared import db, directory, inbox, outbox, sessions_ended

metadata = db.metadata()
_time = sa.DateTime(timezone=True)

transfers = sa.Table(
    "transfers", metadata,
    sa.Column("transfer_id", sa.BigInteger, sa.Identity(always=True, cache=500), primary_key=True),
    sa.Column("command_id", sa.Uuid, nullable=False),
    sa.Column("member_id", sa.BigInteger, nullable=False),
    sa.Column("initiator", sa.Text, nullable=False),
    sa.Column("initiator_org_id", sa.BigInteger),
    sa.Column("initiator_person_id", sa.BigInteger, nullable=False),
    sa.Column("source_branch_id", sa.BigInteger, nullable=False),
    sa.Column("source_superior_id", sa.BigInteger),
    sa.Column("source_province", sa.Text, nullable=False),
    sa.Column("provincial_id", sa.BigInteger),
    sa.Column("target_org_id", sa.BigInteger, nullable=False),
    sa.Column("target_superior_id", sa.BigInteger),
    sa.Column("target_province", sa.Text, nullable=False),
    sa.Column("target_branch_id", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("place_name", sa.Text, nullable=False),
    sa.Column("place_address", sa.Text, nullable=False),
    sa.Column("contact", sa.Text, nullable=False),
    sa.Column("remark", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("node_no", sa.SmallInteger, nullable=False),
    sa.Column("created_at", _time, nullable=False),
    sa.Column("ended_at", _time),
    sa.Column("end_code", sa.Text, nullable=False, server_default=""),
    sa.Column("end_note", sa.Text, nullable=False, server_default=""),
    sa.Column("audit_seq", sa.SmallInteger, nullable=False),
    sa.Column("audit_head", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("command_id"),
    sa.Index("ix_transfers_member_id", "member_id"),
    sa.Index("ix_transfers_source_branch_id", "source_branch_id", "transfer_id"),
    sa.Index("ix_transfers_target_org_id", "target_org_id", "transfer_id"),
    postgresql_with={"fillfactor": "60"},
)

open_nodes = sa.Table(
    "open_nodes", metadata,
    sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("node_no", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("province", sa.Text, nullable=False),
    sa.Column("org_id", sa.BigInteger, nullable=False),
    sa.Column("superior_id", sa.BigInteger),
    sa.Column("opened_at", _time, nullable=False),
    sa.Column("remind_at", _time),
    sa.Column("expires_at", _time),
    sa.Column("on_expiry", sa.Text),
    sa.Column("reminders", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Index("ix_open_nodes_org_id", "org_id", "opened_at", "transfer_id"),
    sa.Index("ix_open_nodes_superior_id", "superior_id", "opened_at", "transfer_id", postgresql_where=sa.text("superior_id IS NOT NULL")),
)

open_transfers = sa.Table(
    "open_transfers", metadata,
    sa.Column("member_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("transfer_id", sa.BigInteger, nullable=False),
    comment="one open transfer per member (TRF-02)",
)

audit = sa.Table(
    "audit", metadata,
    sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("at", _time, nullable=False),
    sa.Column("person_id", sa.BigInteger),
    sa.Column("org_id", sa.BigInteger),
    sa.Column("decision_id", sa.Uuid),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)

path_steps = sa.Table(
    "path_steps", metadata,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("node_no", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("remind_after", sa.Interval),
    sa.Column("remind_every", sa.Interval),
    sa.Column("expire_after", sa.Interval),
    sa.Column("on_expiry", sa.Text),
)

outbox.table(metadata)
inbox.tables(metadata)
directory.tables(metadata)
sessions_ended.tables(metadata)
