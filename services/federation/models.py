"""The tables of one bridge: where each transfer stands, what was said, what was heard.

What was said and heard is kept for ever: it is the evidence of a transfer, and what makes a repetition known.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared import audit, db, directory, inbox, lives, outbox, sessions_ended

metadata = db.metadata()
_time = sa.DateTime(timezone=True)

handovers = sa.Table(
    "handovers",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True, comment="the system that the member leaves, its number"),
    sa.Column("side", sa.Text, nullable=False, comment="which part is ours"),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("heard", postgresql.ARRAY(sa.Text), nullable=False, comment="what has to be known later"),
    sa.Column("our_seq", sa.Integer, nullable=False, comment="the last number that we have given"),
    sa.Column("our_head", sa.Text, nullable=False, comment="the hash of the message with that number"),
    sa.Column("their_seq", sa.Integer, nullable=False, comment="everything up to it has come"),
    sa.Column("their_head", sa.Text, nullable=False),
    sa.Column("since", _time, nullable=False, comment="when it came to this state"),
    sa.Column("day", sa.Date, comment="in China, on which its offer was signed; null while none is known"),
    sa.Index("ix_handovers_day", "day"),
    sa.Index(
        "ix_handovers_open",
        "state",
        "since",
        postgresql_where=sa.text("state IN ('offered', 'handover', 'deciding', 'awaited')"),
    ),
    sa.Index("ix_handovers_on_the_way", "since", postgresql_where=sa.text("state = 'handover'")),
)

sent = sa.Table(
    "sent",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("jws", sa.Text, nullable=False, comment="signed once; every try sends these bytes"),
    sa.Column("said_at", _time, nullable=False),
    sa.Column("expires_at", _time, comment="null: it must arrive"),
    sa.Column("state", sa.Text, nullable=False, comment="waiting, receipted, or parked for a person"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", _time, nullable=False),
    sa.Column("lease", sa.Uuid, comment="who is sending it now"),
    sa.Column("leased_until", _time),
    sa.Column("receipt", sa.Text, comment="the peer's receipt that ended the sending"),
    sa.Column("receipt_code", sa.Text, comment="why the peer refuses it, or why it is parked"),
    sa.Column("settled_at", _time),
    sa.Index("ix_sent_waiting", "said_at", "subject", "seq", postgresql_where=sa.text("state = 'waiting'")),
    sa.Index("ix_sent_settled_at", "settled_at"),
    sa.Index("ix_sent_parked", "settled_at", postgresql_where=sa.text("state = 'parked'")),
)

received = sa.Table(
    "received",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("jws", sa.Text, nullable=False),
    sa.Column("said_at", _time, nullable=False, comment="by the peer's clock"),
    sa.Column("received_at", _time, nullable=False),
    sa.Column(
        "state", sa.Text, nullable=False, comment="applied, late, held, refused, quarantined, discarded"
    ),
    sa.Column("code", sa.Text, nullable=False, comment="why it was refused or quarantined; empty if not"),
    sa.Index("ix_received_received_at", "received_at"),
    sa.Index("ix_received_held", "received_at", postgresql_where=sa.text("state = 'held'")),
)

receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("jws", sa.Text, nullable=False, comment="the first one, which every repetition gets"),
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("found_at", _time, nullable=False),
    sa.Column("decision", sa.Text, comment="applied, refused, discarded; null while nobody has decided"),
    sa.Column("reason", sa.Text),
    sa.Column("decided_by", sa.BigInteger),
    sa.Column("decided_at", _time),
    sa.Index("ix_quarantine_open", "found_at", postgresql_where=sa.text("decision IS NULL")),
)

differences = sa.Table(
    "differences",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, nullable=False, comment="whose manifests differ"),
    sa.Column("ours", sa.Text, nullable=False, comment="how it stands here, JSON; empty: it is not here"),
    sa.Column("theirs", sa.Text, nullable=False),
    sa.Column("found_at", _time, nullable=False),
    sa.Column("seen_at", _time, nullable=False, comment="when it was found last"),
    sa.Column("gone_at", _time, comment="when it was found no more"),
    sa.Column("confirmed_at", _time, comment="when a person has said what is to be made of it"),
    sa.Column("confirmed_by", sa.BigInteger, comment="null: the command line"),
    sa.Column("reason", sa.Text, comment="that the person has given"),
    sa.Index("ix_differences_open", "day", postgresql_where=sa.text("gone_at IS NULL")),
)

reconciliations = sa.Table(
    "reconciliations",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("compared_at", _time, nullable=False),
    sa.Column("transfers", sa.Integer, nullable=False, comment="of ours on that day"),
    sa.Column("differing", sa.Integer, nullable=False),
    comment="when each day was compared with the peer last, and whether it was clean",
)

homes = sa.Table(
    "homes",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("asked_at", _time, nullable=False),
    sa.Column("home", sa.Text, comment="where our registry has the member; null while it has not said"),
    sa.Column("told_at", _time, comment="which question that answers: not older than its asked_at"),
    comment="where members are whose transfers have ended",
)

readings = sa.Table(
    "readings",
    metadata,
    sa.Column("reading", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("begun_at", _time, nullable=False),
    sa.Column("ended_at", _time, comment="null: it is not whole"),
    sa.Column("version", sa.Text, comment="as the peer names it"),
    comment="when the peer's directory was read",
)

line = sa.Table(
    "line",
    metadata,
    sa.Column("one", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("down_since", _time, comment="when the peer was first found away; null while it answers"),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0", comment="since then"),
    sa.Column("probe_at", _time, comment="not before then the next try is made"),
    sa.Column("paused_at", _time, comment="since when an operator lets nothing go out"),
    sa.Column("paused_by", sa.BigInteger, comment="null: the command line"),
    sa.Column("paused_reason", sa.Text),
    sa.Column("up_since", _time, comment="since when the peer answers; null while it does not"),
    sa.Column("answered_at", _time, comment="when it has answered last"),
    sa.Column("night", sa.Date, comment="the day on which comparing was asked for by itself last"),
    sa.Column("reading_at", _time, comment="when somebody asked for the peer's directory to be read anew"),
    sa.Column("skew_ms", sa.Integer, comment="how far the peer's clock is ahead, by its last receipt"),
    sa.CheckConstraint("one", name="one"),
    comment="one row: whether the peer answers",
)

arrivals = sa.Table(
    "arrivals",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("command_id", sa.Uuid, nullable=False, unique=True, comment="of the request to transfers"),
    sa.Column("source_branch_id", sa.BigInteger, nullable=False, comment="in our mirror of the peer"),
    sa.Column("target_org_id", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("remark", sa.Text, nullable=False),
    sa.Column("member_id", sa.BigInteger, comment="as members knows the person; null until it has answered"),
    sa.Column("transfer_id", sa.BigInteger, unique=True, comment="ours; null until transfers has answered"),
    sa.Column("end_code", sa.Text, comment="why the peer has called it off"),
    sa.Column("end_note", sa.Text),
    comment="who is offered to us: the transfer here that belongs to each transfer of the peer",
)

departures = sa.Table(
    "departures",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("transfer_id", sa.BigInteger, nullable=False, unique=True),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("org_id", sa.BigInteger, nullable=False, comment="the branch that the member is to leave"),
    comment="whose transfers lead to the peer: who may look at them",
)

wanted_days = sa.Table(
    "wanted_days",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("asked_at", _time, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", _time, nullable=False, comment="not before then it is tried, by one process"),
    comment="days that are to be compared with the peer",
)

handled_commands = sa.Table(
    "handled_commands",
    metadata,
    sa.Column("command_id", sa.Uuid, primary_key=True),
    sa.Column("reply", sa.Text, nullable=False),
    sa.Column("person_id", sa.BigInteger, nullable=False, comment="whose command it was"),
)

org_directory, _ = directory.tables(metadata)
org_directory.append_column(
    sa.Column(
        "changed_at",
        _time,
        nullable=False,
        server_default=sa.text("clock_timestamp()"),
        comment="the order of our own directory at the door",
    )
)
sa.Index("ix_org_directory_changed_at", org_directory.c.changed_at, org_directory.c.org_id)
sa.Index(
    "ix_org_directory_peer_code",
    org_directory.c.system,
    org_directory.c.peer_code,
    postgresql_where=sa.text("peer_code IS NOT NULL"),
)
sa.Index("ix_org_directory_name", sa.text("normalize(name, NFKC)"), _table=org_directory)
sessions_ended.tables(metadata)
audit.tables(metadata)

lives.table(metadata)
outbox.table(metadata)
inbox.tables(metadata)
