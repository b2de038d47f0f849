"""The tables of the transfers service.

`transfers` is updated in place without touching an index (fillfactor leaves room), because what is indexed
and changes lives in two small tables: `open_nodes`, one row per open node, deleted by the decision (whoever
deletes it has decided), and `open_transfers`, one row per member with an open transfer, deleted at the end.
"""

from __future__ import annotations

import sqlalchemy as sa

from services.transfers.figures.rules import FIGURES, MEASURES
from shared import audit as audit_log
from shared import db, directory, inbox, lives, outbox, sessions_ended

metadata = db.metadata()
_time = sa.DateTime(timezone=True)

transfers = sa.Table(
    "transfers",
    metadata,
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
    sa.Column(
        "place_division",
        sa.Text,
        nullable=False,
        server_default="",
        comment="division code of the place (TRF-13)",
    ),
    sa.Column(
        "target_name",
        sa.Text,
        nullable=False,
        server_default="",
        comment="typed, of an organisation of another system that is not known here (FED-06)",
    ),
    sa.Column(
        "concern",
        sa.Text,
        nullable=False,
        server_default="",
        comment="class of destination that the starter was warned of (BEY-01)",
    ),
    sa.Column(
        "reason_kind",
        sa.Text,
        nullable=False,
        server_default="any",
        comment="whom the reason is for: graduate, abroad, any, ordinary, outward, drop_out"
        " (GRAD-15, TYPE-14, TYPE-21)",
    ),
    sa.Column("batch_id", sa.Uuid, comment="the batch move that it belongs to (BATCH-05)"),
    sa.Column(
        "peer",
        sa.Text,
        nullable=False,
        server_default="",
        comment="the other system that it leads to or comes from: BJ, GD, FJ; empty: none (FED-01)",
    ),
    sa.Column("receipted_at", _time, comment="since when the peer has it in writing (FED-09)"),
    sa.Column("policy", sa.Text, nullable=False, comment="name@version (BEY-07)"),
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
    sa.Index(
        "ix_transfers_initiator_org_id",
        "initiator_org_id",
        "created_at",
        postgresql_where=sa.text("initiator_org_id IS NOT NULL"),
    ),
    sa.Index("ix_transfers_batch_id", "batch_id", postgresql_where=sa.text("batch_id IS NOT NULL")),
    postgresql_with={"fillfactor": "60"},
)

open_nodes = sa.Table(
    "open_nodes",
    metadata,
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
    sa.Column("withdraw", sa.Text, nullable=False, server_default="no", comment="no, yes, yes_own (TRF-28)"),
    sa.Column("remind_every", sa.Interval),
    sa.Column(
        "revision",
        sa.SmallInteger,
        nullable=False,
        server_default="0",
        comment="how often its deadline was changed",
    ),
    sa.Column("reminders", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("urged_at", _time, comment="when somebody asked for a decision last (BEY-21)"),
    sa.Column("looked_by", sa.BigInteger, comment="who is looking at it (BEY-23)"),
    sa.Column("looked_until", _time),
    sa.Index("ix_open_nodes_org_id", "org_id", "opened_at", "transfer_id"),
    sa.Index(
        "ix_open_nodes_superior_id",
        "superior_id",
        "opened_at",
        "transfer_id",
        postgresql_where=sa.text("superior_id IS NOT NULL"),
    ),
    sa.Index("ix_open_nodes_province_opened_at", "province", "opened_at"),
    sa.Index(
        "ix_open_nodes_province_expires_at",
        "province",
        "expires_at",
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    ),
)

open_counts = sa.Table(
    "open_counts",
    metadata,
    sa.Column("province", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("org_id", sa.BigInteger, comment="empty: a sum, which the follower has made of lines"),
    sa.Column("superior_id", sa.BigInteger),
    sa.Column("opened_at", _time),
    sa.Column("expires_at", _time),
    sa.Column("reminded", sa.Boolean),
    sa.Index("ix_open_counts_province", "province", "state", postgresql_where=sa.text("org_id IS NULL")),
    sa.Index("ix_open_counts_org_id", "org_id", postgresql_where=sa.text("org_id IS NOT NULL")),
    sa.Index(
        "ix_open_counts_superior_id", "superior_id", postgresql_where=sa.text("superior_id IS NOT NULL")
    ),
    comment="how many nodes are open: the sum of n; each statement adds what it opened and closed,"
    " and the follower of the figures sums up",
)

_COUNTED_BY = "province, state, org_id, superior_id, opened_at, expires_at"
_COUNT = f"""SELECT {_COUNTED_BY}, reminders > 0 AS reminded, {{sign}}count(*) AS n
    FROM {{nodes}} GROUP BY {_COUNTED_BY}, reminders > 0"""
_CAME, _WENT = _COUNT.format(sign="", nodes="came"), _COUNT.format(sign="-", nodes="went")
COUNTED = tuple(
    text
    for what, given, lines in (
        ("INSERT", "NEW TABLE AS came", _CAME),
        ("DELETE", "OLD TABLE AS went", _WENT),
        (
            "UPDATE",
            "OLD TABLE AS went NEW TABLE AS came",
            f"""SELECT {_COUNTED_BY}, reminded, sum(n) FROM ({_WENT} UNION ALL {_CAME}) AS both_sides
    GROUP BY {_COUNTED_BY}, reminded HAVING sum(n) <> 0""",
        ),
    )
    for text in (
        f"""
CREATE FUNCTION count_nodes_{what.lower()}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO open_counts ({_COUNTED_BY}, reminded, n)
    {lines};
    RETURN NULL;
END $$""",
        f"""
CREATE TRIGGER open_nodes_{what.lower()} AFTER {what} ON open_nodes REFERENCING {given}
    FOR EACH STATEMENT EXECUTE FUNCTION count_nodes_{what.lower()}()""",
    )
)
"""Have each statement that opens, closes or changes nodes say how many of each kind there are more or fewer.

Triggers, so that it holds for whoever writes. Lines are added and none is changed, so nobody waits for a
counter, and the sum is exact in every snapshot.
"""
for _statement in COUNTED:
    sa.event.listen(open_nodes, "after_create", sa.DDL(_statement))  # type: ignore[no-untyped-call]

open_own = sa.Table(
    "open_own",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column(
        "superior_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="0: nobody beside it"
    ),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("reminded", sa.BigInteger, nullable=False, comment="of those, that the clock has reminded of"),
    sa.Index("ix_open_own_superior_id", "superior_id"),
    comment="how many nodes wait for each organisation, up to the lines of open_counts that name one",
    postgresql_with={"fillfactor": "70"},
)

open_below = sa.Table(
    "open_below",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in MEASURES),
    sa.Column("oldest", _time, comment="since when the first of them is open"),
    comment="what waits in each subtree, by the clock of followed, up to the lines of open_counts",
    postgresql_with={"fillfactor": "70"},
)

followed = sa.Table(
    "followed",
    metadata,
    sa.Column("what", sa.Text, primary_key=True, comment="open_below"),
    sa.Column("until", _time, nullable=False),
    comment="by which instant deadlines are counted as passed",
)

transfer_lines = sa.Table(
    "transfer_lines",
    metadata,
    sa.Column("org_id", sa.BigInteger, nullable=False, comment="the source"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("n", sa.BigInteger, nullable=False),
    comment="how many transfers have come into a state and left it, until the follower sums them up",
)

transfer_sums = sa.Table(
    "transfer_sums",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
    comment="how many transfers lead out of each subtree, up to transfer_lines (BEY-11)",
    postgresql_with={"fillfactor": "70"},
)

early = sa.Table(
    "early",
    metadata,
    sa.Column("early_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("event", sa.Text, nullable=False, comment="deadline_expired, reminder_due"),
    sa.Column("transfer_id", sa.BigInteger, nullable=False),
    sa.Column("node_no", sa.SmallInteger, nullable=False),
    sa.Column("due_at", _time, nullable=False),
    sa.Index("ix_early_due_at", "due_at"),
    comment="what the scheduler told before its instant has come by the clock here (DL-01)",
)

open_transfers = sa.Table(
    "open_transfers",
    metadata,
    sa.Column("member_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("transfer_id", sa.BigInteger, nullable=False),
    sa.Column("name", sa.Text, nullable=False, server_default="", comment="the member's, while it is open"),
    sa.Column("identity_check", sa.Text, nullable=False, server_default="unchecked", comment="MEM-19"),
    comment="one open transfer per member (TRF-02), with what the queue shows of the member",
)

audit = audit_log.keep(
    sa.Table(
        "audit",
        metadata,
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
)

audit_segments = audit_log.keep(
    sa.Table(
        "audit_segments",
        metadata,
        sa.Column("segment_no", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("transfer_ids", sa.ARRAY(sa.BigInteger), nullable=False),
        sa.Column("seqs", sa.ARRAY(sa.SmallInteger), nullable=False),
        sa.Column(
            "digest",
            sa.LargeBinary,
            nullable=False,
            comment="hash over the hashes of these lines of the trails, in order",
        ),
        comment="which lines of the trails were sealed together; each is named by a line of the log;"
        " append-only",
    )
)

org_messages = sa.Table(
    "org_messages",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", _time, primary_key=True),
    sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("person_id", sa.BigInteger, comment="who has done it: it is no news to them"),
    comment="which lines of the trails are messages to the office that has started the transfer (MSG-01)",
)

path_steps = sa.Table(
    "path_steps",
    metadata,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("node_no", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
)

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("holds_from", _time, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False, comment="the file as it was applied"),
)

node_rules = sa.Table(
    "node_rules",
    metadata,
    sa.Column("policy", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("province", sa.Text, primary_key=True, comment="empty: the nation"),
    sa.Column(
        "opens_before",
        _time,
        primary_key=True,
        comment="holds for nodes opened before, and not before the row before",
    ),
    sa.Column("remind_after", sa.Interval),
    sa.Column("remind_every", sa.Interval),
    sa.Column("expire_after", sa.Interval),
    sa.Column("not_before", _time),
    sa.Column("on_expiry", sa.Text, nullable=False),
    sa.Column(
        "withdraw", sa.Text, nullable=False, comment="no, first, yes; with _own only the member's own start"
    ),
    sa.Column(
        "fed_withdraw", sa.Text, nullable=False, server_default="no", comment="across a border (FED-09)"
    ),
)

remote_progress = sa.Table(
    "remote_progress",
    metadata,
    sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column(
        "seq", sa.SmallInteger, primary_key=True, autoincrement=False, comment="of the message that said so"
    ),
    sa.Column("organisation", sa.Text, nullable=False),
    sa.Column("phone", sa.Text, nullable=False),
    sa.Column("since", _time, nullable=False),
    sa.Column("until", _time),
    comment="at whose desk transfers lie in other systems, as these say (FED-13)",
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("member_id", sa.BigInteger, nullable=False),
    sa.Column("transfer_id", sa.BigInteger),
    sa.Column("seq", sa.SmallInteger),
    comment="what the statistics and the channels have not followed yet; no index,"
    " read from the front and emptied",
)

graduates = sa.Table(
    "graduates",
    metadata,
    sa.Column("member_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("cohort", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("branch_id", sa.BigInteger, nullable=False, comment="where the member graduated"),
    sa.Column("flagged_at", _time, nullable=False),
    sa.Column(
        "counts", sa.Boolean, nullable=False, comment="false: marked as delayed or teacher, or deleted"
    ),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Index("ix_graduates_branch_id", "branch_id"),
)

standings = sa.Table(
    "standings",
    metadata,
    sa.Column("member_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("cohort", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("origin_path", sa.Text(collation="C"), nullable=False),
    sa.Column("target_path", sa.Text(collation="C"), nullable=False),
    sa.Column("rate", sa.Text, nullable=False, comment="SX, XS or empty"),
    sa.Column("stage", sa.Text, nullable=False, comment="idle, open, ended, completed"),
    sa.Column("requested", sa.Boolean, nullable=False, comment="counts where it goes to (Annex F: C, F)"),
    sa.Column("transfer_id", sa.BigInteger),
    sa.Index("ix_standings_origin_path", "cohort", "origin_path"),
    sa.Index("ix_standings_target_path", "cohort", "target_path", postgresql_where=sa.text("requested")),
    comment="how each graduate stands, as the figures have counted it (Annex F)",
)

figures = sa.Table(
    "figures",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("cohort", sa.SmallInteger, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Integer, nullable=False, server_default="0") for name in FIGURES),
    comment="SX, XS and stages of each subtree, kept from event to event (STAT-10..15)",
    postgresql_with={"fillfactor": "70"},
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("year", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("code", sa.Text, primary_key=True, comment="approve, or why it was rejected"),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False, comment="how long the nodes had waited, in all"),
    comment="people's decisions of each subtree (BEY-06)",
)

flows = sa.Table(
    "flows",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("week", sa.Date, primary_key=True, comment="its Monday, in China"),
    sa.Column("event", sa.Text, primary_key=True),
    sa.Column("n", sa.Integer, nullable=False),
    comment="what happened each week to transfers out of each subtree",
)

bulk_jobs = sa.Table(
    "bulk_jobs",
    metadata,
    sa.Column("bulk_id", sa.Uuid, primary_key=True),
    sa.Column("org_id", sa.BigInteger, nullable=False),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("decision", sa.Text, nullable=False, comment="what to do with each row, as JSON"),
    sa.Column("started_at", _time, nullable=False),
    sa.Index("ix_bulk_jobs_org_id", "org_id", "started_at"),
)

bulk_rows = sa.Table(
    "bulk_rows",
    metadata,
    sa.Column("bulk_id", sa.Uuid, primary_key=True),
    sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("node_no", sa.SmallInteger, nullable=False),
    sa.Column("result", sa.Text, comment="null: waits; empty: done; else the refusal"),
    sa.Index("ix_bulk_rows_waiting", "bulk_id", "transfer_id", postgresql_where=sa.text("result IS NULL")),
)

work_views = sa.Table(
    "work_views",
    metadata,
    sa.Column("view_id", sa.Uuid, primary_key=True),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("org_id", sa.BigInteger, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("filter", sa.Text, nullable=False, comment="as JSON"),
    sa.Column("sort", sa.Text, nullable=False),
    sa.Column("kept_at", _time, nullable=False),
    sa.UniqueConstraint("person_id", "org_id", "name"),
    comment="filters of the queue that people keep for an organisation, at most 20 each",
)

phrases = sa.Table(
    "phrases",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, primary_key=True),
    sa.Column("used_at", _time, nullable=False),
    comment="notes of rejections that a person may use again, the last ten (TRF-27)",
)

escalations = sa.Table(
    "escalations",
    metadata,
    sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("org_id", sa.BigInteger, nullable=False, comment="the lowest common superior of both sides"),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("asked_at", _time, nullable=False),
    sa.Column("answer", sa.Text, nullable=False, server_default="", comment="empty, receive, uphold"),
    sa.Column("answer_note", sa.Text, nullable=False, server_default=""),
    sa.Column("answered_by", sa.BigInteger),
    sa.Column("answered_at", _time),
    sa.Index("ix_escalations_org_id", "org_id", "asked_at"),
)

reading_marks = sa.Table(
    "reading_marks",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column(
        "org_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="0: the person's own messages"
    ),
    sa.Column("read_until", _time, nullable=False),
)

messages_read = sa.Table(
    "messages_read",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.SmallInteger, primary_key=True, autoincrement=False),
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("webhook_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("command_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("org_id", sa.BigInteger, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False, comment="signs what is sent; shown once"),
    sa.Column("active", sa.Boolean, nullable=False, server_default="true"),
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", _time, nullable=False),
    sa.Index("ix_webhooks_org_id", "org_id", postgresql_where=sa.text("active")),
    sa.Index("uq_webhooks_told", "org_id", "url", unique=True, postgresql_where=sa.text("active")),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("webhook_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("attempts", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("next_at", _time, comment="null: delivered or given up"),
    sa.Column("delivered_at", _time),
    sa.Column("problem", sa.Text, nullable=False, server_default=""),
    sa.Index("ix_deliveries_next_at", "next_at", postgresql_where=sa.text("next_at IS NOT NULL")),
)

audit_log.tables(metadata)
lives.table(metadata)
outbox.table(metadata)
inbox.tables(metadata)
directory.tables(metadata)
sessions_ended.tables(metadata)
