"""The tables of the orgs service."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from shared import audit, db, inbox, lives, outbox, sessions_ended, throttle

metadata = db.metadata()
_time = sa.DateTime(timezone=True)

new_org_id = sa.Sequence("new_org_id", start=2**50, metadata=metadata)

orgs = sa.Table(
    "orgs",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("parent_id", sa.BigInteger),
    sa.Column(
        "path", sa.Text(collation="C"), nullable=False, comment="ids from the root, each followed by a dot"
    ),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("province", sa.Text, nullable=False),
    sa.Column("system", sa.Text, nullable=False),
    sa.Column("provincial_id", sa.BigInteger),
    sa.Column("vault_id", sa.BigInteger),
    sa.Column("short_name", sa.Text, nullable=False),
    sa.Column("full_name", sa.Text, nullable=False),
    sa.Column(
        "plain",
        sa.Text(collation="C"),
        sa.Computed("replace(normalize(full_name, NFKC), ' ', '')", persisted=True),
        nullable=False,
        comment="as it is searched",
    ),
    sa.Column(
        "also",
        sa.Text(collation="C"),
        nullable=False,
        server_default="",
        comment="short and former names as they are searched, one a line (BEY-20)",
    ),
    sa.Column("bigrams", ARRAY(sa.Text), nullable=False, comment="of the full name and of `also`"),
    sa.Column(
        "spoken",
        ARRAY(sa.Text),
        nullable=False,
        server_default="{}",
        comment="what people call a committee, without 共青团 and the ending (SRCH-10)",
    ),
    sa.Column("industry", sa.Text, nullable=False, server_default=""),
    sa.Column("phone", sa.Text, nullable=False, server_default=""),
    sa.Column("division_code", sa.Text),
    sa.Column("grad_year", sa.SmallInteger),
    sa.Column("display_order", sa.BigInteger, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False, server_default="false"),
    sa.Column(
        "school_number",
        sa.Text,
        nullable=False,
        server_default="",
        comment="of independent schools only (SCH-04)",
    ),
    sa.Column(
        "checked_at", _time, comment="when its own administrator checked the data for the first time (ORG-16)"
    ),
    sa.Column(
        "was_kind", sa.Text, comment="before its one change of kind (ORG-11); null: it may still change"
    ),
    sa.Column(
        "graduation_version",
        sa.BigInteger,
        nullable=False,
        server_default="0",
        comment="of the last branch_graduated",
    ),
    sa.Column("peer_code", sa.Text(collation="C"), comment="in its own system (FED-04)"),
    sa.Column(
        "peer_reading",
        sa.BigInteger,
        nullable=False,
        server_default="0",
        comment="of its system's directory, in which it was seen last",
    ),
    sa.Column("peer_changed", _time, comment="when its system had changed it"),
    sa.Column(
        "gone",
        sa.Boolean,
        nullable=False,
        server_default="false",
        comment="its system knows it no more; it is kept for those who went there",
    ),
    sa.Index(
        "uq_orgs_peer_code",
        "system",
        "peer_code",
        unique=True,
        postgresql_where=sa.text("peer_code IS NOT NULL"),
    ),
    sa.Index("ix_orgs_path", "path"),
    sa.Index("ix_orgs_plain", "plain"),
    sa.Index(
        "ix_orgs_division_code",
        "division_code",
        "path",
        postgresql_where=sa.text("division_code IS NOT NULL"),
    ),
    sa.Index("ix_orgs_school_number", "school_number", postgresql_where=sa.text("school_number <> ''")),
    *(
        sa.Index(f"ix_orgs_peers_{name}", "system", name, postgresql_where=sa.text("system <> 'national'"))
        for name in ("path", "plain")
    ),
    sa.Index("ix_orgs_parent_id", "parent_id", "display_order"),
    sa.Index("ix_orgs_bigrams", "bigrams", postgresql_using="gin"),
    sa.Index(
        "ix_orgs_bigrams_above",
        "bigrams",
        postgresql_using="gin",
        postgresql_where=sa.text("kind <> 'branch'"),
    ),
    sa.Index(
        "ix_orgs_bigrams_peers",
        "bigrams",
        postgresql_using="gin",
        postgresql_where=sa.text("system <> 'national'"),
    ),
    sa.Index(
        "ix_orgs_spoken",
        "spoken",
        postgresql_using="gin",
        postgresql_where=sa.text("spoken <> '{}'"),
    ),
)

mirror_waiting = sa.Table(
    "mirror_waiting",
    metadata,
    sa.Column("system", sa.Text, primary_key=True),
    sa.Column("code", sa.Text(collation="C"), primary_key=True),
    sa.Column("parent_code", sa.Text(collation="C"), nullable=False),
    sa.Column("reading", sa.BigInteger, nullable=False),
    sa.Column("org", sa.Text, nullable=False, comment="as it was read, JSON"),
    sa.Index("ix_mirror_waiting_parent_code", "system", "parent_code"),
    comment="organisations of a peer whose superior was not read yet",
)

mirror_pages = sa.Table(
    "mirror_pages",
    metadata,
    sa.Column("system", sa.Text, primary_key=True),
    sa.Column("reading", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("page", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("last", sa.Boolean, nullable=False),
    comment="pages of readings of a peer's whole directory",
)

administrators = sa.Table(
    "administrators",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("changed_at", _time, nullable=False),
    sa.Column("changed_by", sa.BigInteger),
    sa.Column("observer", sa.Boolean, nullable=False, server_default="false", comment="looks only (ROLE-10)"),
    sa.Index("ix_administrators_person_id", "person_id"),
)

cadres = sa.Table(
    "cadres",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("post", sa.Text, nullable=False, comment="empty: none any more"),
    sa.Column("has_phone", sa.Boolean, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    comment="who holds a post where, as members tells it",
)

migrations = sa.Table(
    "migrations",
    metadata,
    sa.Column("migration_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("command_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("org_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("from_org_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("to_org_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("total", sa.Integer, nullable=False, server_default="0", comment="organisations to move"),
    sa.Column(
        "moved",
        sa.Integer,
        nullable=False,
        server_default="0",
        comment="of these; readers see them move all at once",
    ),
    sa.Column("requested_by", sa.BigInteger, nullable=False),
    sa.Column("old_decided_by", sa.BigInteger),
    sa.Column("new_decided_by", sa.BigInteger),
    sa.Column("requested_at", _time, nullable=False),
    sa.Column("expires_at", _time, nullable=False, comment="when the open node is returned"),
    sa.Column("ended_at", _time),
    sa.Index("ix_migrations_open", "org_id", postgresql_where=sa.text("ended_at IS NULL")),
)

name_rebuilds = sa.Table(
    "name_rebuilds",
    metadata,
    sa.Column("command_id", sa.Uuid, primary_key=True),
    sa.Column("org_id", sa.BigInteger, nullable=False),
    sa.Column("path", sa.Text(collation="C"), nullable=False),
    sa.Column(
        "after",
        sa.Text(collation="C"),
        nullable=False,
        comment="path of the last organisation that was looked at",
    ),
    sa.Column("looked_at", sa.Integer, nullable=False, server_default="0"),
    sa.Column("changed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("asked_by", sa.BigInteger, nullable=False),
    sa.Column("asked_for", sa.BigInteger),
    sa.Column("request_id", sa.Text, nullable=False, server_default=""),
    sa.Column("asked_at", _time, nullable=False),
    sa.Column("ended_at", _time),
    sa.Index("ix_name_rebuilds_open", "asked_at", postgresql_where=sa.text("ended_at IS NULL")),
    comment="full names that are built anew from the path (ORG-09)",
)

handled_commands = sa.Table(
    "handled_commands",
    metadata,
    sa.Column("command_id", sa.Uuid, primary_key=True),
    sa.Column("reply", sa.Text, nullable=False),
    sa.Column("person_id", sa.BigInteger, comment="whose command it was; null: of before this was kept"),
)

audit.tables(metadata)
lives.table(metadata)
lives.version_floor(metadata)
outbox.table(metadata)
inbox.tables(metadata)
sessions_ended.tables(metadata)
throttle.table(metadata)
